"""Where the hand-written shaders and the player lie: beside the package, or inside the wheel."""

from __future__ import annotations

from pathlib import Path

from webrt.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent


def shader_dir() -> Path:
    """The folder of `lib/*.wgsl` and `routines/*.wgsl`."""
    return _find("shaders")


def web_dir() -> Path:
    """The folder of `webrt.js` and its modules."""
    return _find("web")


def _find(name: str) -> Path:
    for folder in (_PACKAGE / f"_{name}", _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise UsageError(f"webrt's {name}/ is missing beside {_PACKAGE}: install webrt again")
