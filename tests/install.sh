#!/bin/sh
# Install what is missing of the named groups: python, vulkan, browsers, npm.
# Debian packages come through apt when this runs as root; otherwise it says what to install.
set -eu
PATH="$PATH:/usr/sbin:/sbin"
cd "$(dirname "$0")/.."

missing=""
need() { # need COMMAND-OR-FILE PACKAGE...
    thing=$1
    shift
    case $thing in
        /*) [ -e "$thing" ] || missing="$missing $*" ;;
        *) command -v "$thing" >/dev/null 2>&1 || missing="$missing $*" ;;
    esac
}

install_missing() {
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing:$missing"
        apt-get update -qq
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        echo "please install (Debian's names):$missing" >&2
        return 1
    fi
    missing=""
}

for group in "$@"; do
    case $group in
        python)
            need "${PYTHON:-python3}" python3 python3-venv
            if command -v "${PYTHON:-python3}" >/dev/null 2>&1; then
                "${PYTHON:-python3}" -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
            fi
            ;;
        vulkan)
            ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1' || missing="$missing libvulkan1"
            # Mesa's software driver: the tests name lavapipe and so need it even beside a real GPU.
            ls /usr/share/vulkan/icd.d/lvp_icd.*.json >/dev/null 2>&1 || missing="$missing mesa-vulkan-drivers"
            ;;
        browsers)
            need chromium chromium
            need firefox-esr firefox-esr
            ;;
        npm)
            need node nodejs npm
            need npm npm
            ;;
    esac
done
install_missing
case " $* " in
    *" npm "*)
        if [ ! -e e2e/node_modules/.installed ] || [ e2e/package-lock.json -nt e2e/node_modules/.installed ]; then
            npm ci --prefix e2e --no-audit --no-fund --ignore-scripts --loglevel=error
            touch e2e/node_modules/.installed
        fi
        ;;
esac
