"""The demo page, as `webrt serve` serves it: any pack, and magika's drop area."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import Chromium
from playwright.sync_api import Page, expect
from site_server import CACHE, ROOT, served

from webrt.cli.serve import Site, tuning_folder


@contextlib.contextmanager
def opened(
    chromium: Chromium,
    pack: Path,
    query: str = "",
    isolated: bool = True,
    tuning: Path | None = None,
) -> Iterator[Page]:
    """The demo page of a pack, in a phone's window; a console error fails the test."""
    with served(Site(pack, tuning=tuning), isolated) as url:
        page = chromium.browser.new_page(viewport={"width": 390, "height": 844})
        errors: list[str] = []
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        try:
            page.goto(url + query)
            yield page
            assert errors == []
        finally:
            page.close()


def fits_the_window(page: Page) -> bool:
    script = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    return bool(page.evaluate(script))


def test_any_pack(chromium: Chromium, packs: Path, sample: str) -> None:
    with opened(chromium, packs / sample.rsplit("/", 1)[1], "?device=webgpu") as page:
        expect(page.get_by_role("status")).to_have_text("Ready.", timeout=30_000)
        expect(page.locator("#facts")).to_contain_text("Runs onwebgpu: ")
        expect(page.locator("#facts")).to_contain_text("Kernels4")
        expect(page.get_by_text("What kind of file is it?")).to_be_hidden()
        page.get_by_label("length").fill("3")
        expect(page.locator("#shape-0")).to_have_text("[1, 3]")
        page.get_by_label("Fill ids with").select_option("values")
        page.get_by_label("Values of ids").fill("1, 0, 2")
        page.get_by_label("Fill scale with").select_option("ones")
        page.get_by_role("button", name="Run").click()
        rows = page.locator("#outputs tr")
        expect(rows).to_have_count(5)
        expect(rows.nth(0)).to_contain_text("1, 1.25, 1.5, 1.75, 0, 0.25, 0.5, 0.75")
        expect(rows.nth(1)).to_contain_text("[1, 4]")
        expect(rows.nth(3)).to_contain_text("int64")
        expect(page.locator("#timings")).to_contain_text("Median")
        assert fits_the_window(page)
        page.screenshot(path=CACHE / "demo.png", full_page=True)
        page.get_by_label("Values of ids").fill("11")
        page.get_by_role("button", name="Run").click()
        message = "ShapeError: input 'ids': the value 11 is outside of 0 … 9"
        expect(page.get_by_role("status")).to_have_text(message)


def test_the_device_can_be_chosen(chromium: Chromium, packs: Path, sample: str) -> None:
    pack = packs / sample.rsplit("/", 1)[1]
    with opened(chromium, pack) as page:
        expect(page.locator("#facts")).to_contain_text("Runs onwasm: CPU, ")  # the GPU is software
        page.locator("[name=device]").select_option("wasm")
        page.get_by_label("Threads").fill("2")
        page.get_by_role("button", name="Load again").click()
        expect(page.locator("#facts")).to_contain_text("Runs onwasm: CPU, 2 threads")
        expect(page.get_by_label("Threads")).to_have_value("2")
        page.get_by_label("Fill ids with").select_option("ones")
        page.get_by_label("Fill scale with").select_option("ones")
        page.get_by_role("button", name="Run").click()
        expect(page.locator("#outputs tr").nth(0)).to_contain_text("1, 1.25, 1.5, 1.75, 1, 1.25")
    with opened(chromium, pack, "?device=wasm&threads=2", isolated=False) as page:
        expect(page.locator("#facts")).to_contain_text("Runs onwasm: CPU, 1 thread")
        expect(page.locator("#facts")).to_contain_text(
            "One threadthe page isn't cross-origin isolated"
        )


def test_a_broken_pack_is_said(chromium: Chromium, packs: Path, sample: str) -> None:
    with opened(chromium, packs / "sample") as page:
        expect(page.get_by_role("status")).to_have_text("Ready.", timeout=30_000)
        page.route("**/manifest.json", lambda route: route.fulfill(body="{}"))
        page.reload()
        expect(page.get_by_role("status")).to_contain_text("PackError: ", timeout=30_000)
        expect(page.get_by_role("status")).to_contain_text("doesn't end in its sha256")


@pytest.mark.parametrize("model", ["magika"], indirect=True)
def test_files_get_labels(chromium: Chromium, packs: Path, model: Path) -> None:
    with opened(chromium, packs / model.stem) as page:
        expect(page.get_by_text("What kind of file is it?")).to_be_visible(timeout=60_000)
        here = Path(__file__)
        files: list[Path] = [here, here.parent.parent / "web" / "demo" / "demo.css"]
        tiny = CACHE / "tiny.txt"
        tiny.write_text("hi")
        page.locator("#file").set_input_files([*files, tiny])
        labels = page.locator("#labels li")
        expect(labels).to_have_count(4, timeout=60_000)
        expect(labels.nth(0)).to_have_text("tiny.txt: too small to tell")
        expect(labels.nth(1)).to_contain_text("python test_demo.py")
        expect(labels.nth(2)).to_contain_text("css demo.css")
        assert fits_the_window(page)
        page.screenshot(path=CACHE / "magika.png", full_page=True)


PYODIDE = Path(os.environ.get("WEBRT_PYODIDE", ROOT / "e2e" / "node_modules" / "pyodide"))


def test_the_demo_tunes(chromium: Chromium, packs: Path, sample: str) -> None:
    """With the files of `webrt serve --pyodide`, under the page's own Content-Security-Policy."""
    pack = packs / sample.rsplit("/", 1)[1]
    query = "?device=wasm&threads=1&tune=background"
    with tuning_folder(PYODIDE) as tuning, opened(chromium, pack, query, tuning=tuning) as page:
        expect(page.get_by_role("status")).to_have_text("Ready.", timeout=30_000)
        expect(page.get_by_label("Tuning")).to_have_value("background")
        page.get_by_role("button", name="Run").click()
        expect(page.locator("#tuning")).to_contain_text("trials: kernels of a run", timeout=60_000)
        assert fits_the_window(page)
