"""A notebook's widget: Python's side with traitlets, the front end in Chromium, and messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import Chromium
from playwright.sync_api import Page, expect
from site_server import CACHE, Site
from test_player import expected, rows

import webrt
from webrt.pack.archive import write_archive

PAGE = """<!doctype html><meta charset="utf-8"><title></title>
<link rel="icon" href="data:,">
<script type="module" src="/e2e/pages/anywidget.js"></script>"""
SCALE = np.arange(1, 5, dtype=np.float32)


class Comm:
    """A kernel's end of a widget's channel: what is sent waits here for the page."""

    comm_id = "webrt-test"

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.handle: Callable[[dict[str, Any]], None] = lambda message: None

    def on_msg(self, callback: Callable[[dict[str, Any]], None]) -> None:
        self.handle = callback

    def send(self, data: Any, metadata: Any = None, buffers: Any = None) -> None:
        json.dumps(data)  # what JSON can't say doesn't pass
        parts = [base64.b64encode(b).decode() for b in buffers or ()]
        self.sent.append({"data": data, "buffers": parts})

    def close(self, *args: Any, **kwargs: Any) -> None:
        self.sent.append({"data": {"method": "close"}, "buffers": []})

    def take(self) -> list[dict[str, Any]]:
        sent, self.sent = self.sent, []
        return sent

    def to_kernel(self, text: str, buffers: list[str]) -> list[dict[str, Any]]:
        """A message from the page; gives those that the kernel sends on it."""
        parts = [memoryview(base64.b64decode(b)) for b in buffers]
        self.handle({"content": {"data": json.loads(text)}, "buffers": parts})
        # An echo of the page's own update would be a message too: ipywidgets sends none by default.
        return self.take()


class Notebook:
    """A page that shows a widget."""

    def __init__(self, page: Page, widget: Any) -> None:
        self.page, self.widget, self.comm = page, widget, Comm()
        widget.comm = self.comm

    def show(self, url: str, views: int = 1) -> None:
        self.page.expose_function("toKernel", self.comm.to_kernel)
        self.page.goto(url)
        self.page.wait_for_function("globalThis.ready")
        state = {k: v for k, v in self.widget.get_state().items() if k != "layout"}
        self.page.evaluate("([state, views]) => showWidget(state, views)", [state, views])

    def deliver(self) -> None:
        for message in self.comm.take():
            self.page.evaluate("(message) => fromKernel(message)", message)

    def result(self, answer: Any, seconds: float = 30) -> dict[str, Any]:
        self.deliver()
        for _ in range(int(seconds / 0.02)):
            if answer.done():
                break
            self.page.wait_for_timeout(20)
        found: dict[str, Any] = answer.result(0)
        return found


@pytest.fixture
def page(chromium: Chromium, site: Site) -> Iterator[Page]:
    site.pages["/notebook.html"] = ("text/html", PAGE.encode(), {})
    page = chromium.browser.new_page(viewport={"width": 700, "height": 900})
    errors: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []


def check(outputs: dict[str, Any], ids: list[list[int]]) -> None:
    for name, wanted in expected(ids).items():
        found = outputs[name]
        assert (str(found.dtype), list(found.shape)) == (wanted["type"], wanted["dims"])
        assert found.ravel().tolist() == wanted["data"]


@pytest.mark.parametrize(("kind", "form"), [("webgpu", "folder"), ("wasm", "file")])
def test_a_kernel_without_a_server(
    page: Page, site: Site, packs: Path, sample: str, tmp_path: Path, kind: str, form: str
) -> None:
    """The player and the pack come as messages; the page asks no server for anything."""
    from webrt.widget import SessionWidget

    pack = packs / "sample"
    if form == "file":
        pack = tmp_path / "sample.webrt"
        write_archive(packs / "sample", pack)
    notebook = Notebook(
        page, SessionWidget(pack, device=kind, threads=1 if kind == "wasm" else None)
    )
    early = notebook.widget.submit({"ids": rows(1, 2), "scale": SCALE})
    site.requests.clear()
    notebook.show(f"{site.url}/notebook.html", views=2)
    check(notebook.result(early), rows(1, 2))
    assert set(site.requests) <= {"/notebook.html", "/e2e/pages/anywidget.js", "/favicon.ico"}
    state = notebook.widget.state
    assert (state["name"], state["device"]["kind"]) == ("ready", kind)
    assert [i["name"] for i in state["inputs"]] == ["ids", "scale"]
    check(
        notebook.result(notebook.widget.submit({"ids": rows(2, 33), "scale": [1, 2, 3, 4]})),
        rows(2, 33),
    )
    some = notebook.result(notebook.widget.submit({"ids": rows(1, 3), "scale": SCALE}, ["echo"]))
    assert list(some) == ["echo"]
    assert len(notebook.widget.times) == 3
    assert all(t > 0 for t in notebook.widget.times)
    with pytest.raises(webrt.ShapeError, match="outside of 0 … 9"):
        notebook.widget.submit({"ids": [[10]], "scale": SCALE})
    with pytest.raises(webrt.UsageError, match="unknown output 'nothing'"):
        notebook.result(notebook.widget.submit({"ids": [[1]], "scale": SCALE}, ["nothing"]))


def test_what_it_shows(page: Page, site: Site, packs: Path, sample: str) -> None:
    from webrt.widget import SessionWidget

    notebook = Notebook(page, SessionWidget(packs / "sample", device="webgpu"))
    notebook.show(f"{site.url}/notebook.html", views=2)
    first, second = page.locator(".webrt").all()
    expect(first.get_by_role("status")).to_have_text("Ready.", timeout=30_000)
    expect(first).to_contain_text("Runs onwebgpu: ")
    first.get_by_label("ids: length").fill("5")
    first.get_by_label("Fill ids with").select_option("zeros")
    first.get_by_label("Fill scale with").select_option("ones")
    first.get_by_role("button", name="Run").click()
    expect(first.locator("table").nth(1)).to_contain_text("hiddenfloat32[1, 5, 4]")
    expect(second).to_contain_text("Last answer")  # both views show one session
    notebook.result(notebook.widget.submit({"ids": rows(1, 4), "scale": SCALE}))
    expect(first.locator("table").nth(1)).to_contain_text("echoint64[1, 4]0, 3, 6, 9")
    assert len(notebook.widget.times) == 2
    page.screenshot(path=CACHE / "widget.png", full_page=True)
    page.evaluate("endWidget()")


def test_a_pack_behind_a_url(page: Page, site: Site, sample: str) -> None:
    """With the player from the same server: what a notebook server with static files does."""
    from webrt.widget import SessionWidget

    url = f"{site.url}{sample}"
    notebook = Notebook(page, SessionWidget(url=url, device="wasm", player=f"{site.url}/web"))
    notebook.show(f"{site.url}/notebook.html")
    expect(page.get_by_role("status")).to_have_text("Ready.", timeout=30_000)
    check(
        notebook.result(notebook.widget.submit({"ids": rows(1, 2), "scale": [1, 2, 3, 4]})),
        rows(1, 2),
    )


def test_tuning_in_a_notebook(page: Page, site: Site, packs: Path, wheel: str, sample: str) -> None:
    from webrt.widget import SessionWidget

    widget = SessionWidget(packs / "sample", device="wasm", threads=1, tune="now", budget=3,
                           pyodide=f"{site.url}/pyodide/")  # fmt: skip
    notebook = Notebook(page, widget)
    notebook.show(f"{site.url}/notebook.html")
    expect(page.locator(".webrt")).to_contain_text("Tuning (done): ", timeout=60_000)
    assert widget.state["tuning"]["trials"] > 0
    assert widget.state["tuning"]["curve"]
    check(notebook.result(widget.submit({"ids": rows(1, 2), "scale": SCALE})), rows(1, 2))
    page.screenshot(path=CACHE / "widget-tuned.png", full_page=True)


def test_a_broken_pack_is_said(page: Page, site: Site, packs: Path, sample: str) -> None:
    from webrt.widget import SessionWidget

    notebook = Notebook(page, SessionWidget(packs / "sample", device="cuda"))
    notebook.show(f"{site.url}/notebook.html")
    expect(page.get_by_role("status")).to_contain_text("unknown device 'cuda'", timeout=30_000)
    assert notebook.widget.state["name"] == "failed"
    with pytest.raises(webrt.DeviceError, match="unknown device"):
        notebook.result(notebook.widget.submit({"ids": [[1]], "scale": SCALE}))
