"""Headless browsers that perform a test's jobs: Chromium through Playwright, Firefox ESR bare."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from playwright.sync_api import Browser, BrowserContext, sync_playwright
from site_server import Site

CHROMIUM_FLAGS = [
    "--no-sandbox", "--enable-unsafe-webgpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
FIREFOX_PREFERENCES = {
    "dom.webgpu.enabled": True,
    "gfx.webgpu.ignore-blocklist": True,
    "dom.webgpu.workers.enabled": True,
    "dom.disable_open_during_load": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class Performer(Protocol):
    """A browser on a site."""

    def run(
        self, script: str, args: object = None, *, timeout: float = 120, csp: str | None = None
    ) -> Any:
        """The value of `async (tools, args) => …` in a fresh page; raises JobError."""


class Chromium:
    def __init__(self, site: Site, browser: Browser | BrowserContext) -> None:
        self.site = site
        self.browser = browser

    def run(
        self, script: str, args: object = None, *, timeout: float = 120, csp: str | None = None
    ) -> Any:
        name = self.site.add_job(script, args, csp=csp)
        page = self.browser.new_page()
        lines: list[str] = []
        page.on("console", lambda message: lines.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: lines.append(str(error)))
        try:
            page.goto(f"{self.site.url}/jobs/{name}.html")
            deadline = time.monotonic() + timeout
            while self.site.results[name].empty() and time.monotonic() < deadline:
                page.wait_for_timeout(20)  # Playwright's own waiting: it hears the console
            assert not self.site.results[name].empty(), f"{name} reported nothing for {timeout} s"
            return self.site.result(name, timeout)
        except Exception as error:
            for line in lines:
                error.add_note(line)
            raise
        finally:
            page.close()


class Firefox:
    """One Firefox that takes the site's jobs by itself: see pages/driver.html."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def run(
        self, script: str, args: object = None, *, timeout: float = 120, csp: str | None = None
    ) -> Any:
        name = self.site.add_job(script, args, csp=csp)
        self.site.waiting.put(name)
        return self.site.result(name, timeout)


def chromium_path() -> str:
    found = os.environ.get("WEBRT_CHROMIUM") or shutil.which("chromium")
    assert found, "no chromium: run `make system`"
    return found


@contextlib.contextmanager
def open_chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def open_firefox(site: Site) -> Iterator[Firefox]:
    path = os.environ.get("WEBRT_FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")
    assert path, "no firefox-esr: run `make system`"
    with tempfile.TemporaryDirectory(prefix="webrt-firefox-", ignore_cleanup_errors=True) as home:
        profile = Path(home) / "profile"
        profile.mkdir()
        lines = [f'user_pref("{k}", {json.dumps(v)});\n' for k, v in FIREFOX_PREFERENCES.items()]
        (profile / "user.js").write_text("".join(lines))
        environment = os.environ | {"HOME": home, "XDG_RUNTIME_DIR": home, "MOZ_HEADLESS": "1"}
        environment.pop("VK_DRIVER_FILES", None)  # tests/drivers.py names more than Firefox has
        process = subprocess.Popen(
            [path, "--headless", "--no-remote", "--profile", str(profile),
             f"{site.url}/e2e/pages/driver.html"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield Firefox(site)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
