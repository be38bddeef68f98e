"""Strict pages: Content-Security-Policies, cross-origin isolation, and nothing asked of others."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browsers import Chromium
from playwright.sync_api import Page, expect
from site_server import ROOT, Site, served
from test_player import expected, rows

from webrt.cli import gallery
from webrt.cli.export import export, import_map
from webrt.cli.serve import Folder
from webrt.cli.serve import Site as PackSite

PYODIDE = os.environ.get("WEBRT_PYODIDE", ROOT / "e2e" / "node_modules" / "pyodide")
GPU = "default-src 'none'; script-src 'self'; connect-src 'self'"
CPU = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self';"
    " connect-src 'self'"
)

RUN = """async ({InferenceSession, Tensor}, {url, options, ids}) => {
  const violations = [];
  document.addEventListener("securitypolicyviolation",
    (event) => violations.push(`${event.effectiveDirective}: ${event.blockedURI}`));
  const session = await InferenceSession.create(url, options);
  const {hidden} = await session.run({
    ids: new Tensor("int64", ids.flat(), [ids.length, ids[0].length]),
    scale: new Tensor("float32", [1, 2, 3, 4])});
  const {kind, threads} = session.deviceInfo;
  await session.release();
  return {hidden: [...hidden.data], violations, kind, threads: threads ?? null,
    isolated: crossOriginIsolated};
}"""


@pytest.mark.parametrize("name", ["chromium", "isolated", "isolated_firefox"])
def test_the_least_policies(request: pytest.FixtureRequest, sample: str, name: str) -> None:
    """The GPU takes scripts alone, the CPU wasm and workers too; isolated or not.

    Firefox on other pages: test_player.py and test_wasm.py.
    """
    browser = request.getfixturevalue(name)
    ids = rows(2, 3)
    for kind, csp in (("webgpu", GPU), ("wasm", CPU)):
        arguments = {"url": sample, "ids": ids, "options": {"device": kind}}
        found = browser.run(RUN, arguments, csp=csp)
        assert found["hidden"] == expected(ids)["hidden"]["data"]
        assert (found["kind"], found["violations"]) == (kind, [])
        assert found["isolated"] is name.startswith("isolated")
        assert kind == "webgpu" or found["isolated"] or found["threads"] == 1


PYTHON = """async (_, {wheel, url, device, ids}) => {
  const violations = [];
  document.addEventListener("securitypolicyviolation",
    (event) => violations.push(`${event.effectiveDirective}: ${event.blockedURI}`));
  const {loadPyodide} = await import("/pyodide/pyodide.mjs");
  const python = await loadPyodide({indexURL: new URL("/pyodide/", location.href).href});
  python.unpackArchive(await (await fetch(wheel)).arrayBuffer(), "wheel");
  python.registerJsModule("webrt_device", await import("/web/devices.js"));
  python.registerJsModule("webrt_records", await import("/web/records.js"));
  python.globals.set("args", JSON.stringify({url, device, ids}));
  const found = await python.runPythonAsync(`
import json, webrt
args = json.loads(args)
session = await webrt.load_async(args["url"], device=args["device"])
outputs = await session.run_async({"ids": args["ids"], "scale": [1.0, 2.0, 3.0, 4.0]})
from webrt.runtime.devices.browser import own_records
json.dumps([list(outputs["hidden"].elements), await own_records("nobody's")])`);
  const [hidden, records] = JSON.parse(found);
  return {hidden, records: JSON.parse(records).records, violations};
}"""


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_python_in_a_strict_page(chromium: Chromium, wheel: str, sample: str, device: str) -> None:
    """Pyodide itself takes wasm; the page hands the player over, so that nothing is evaluated."""
    arguments = {"wheel": wheel, "url": sample, "device": device, "ids": rows(1, 4)}
    found = chromium.run(PYTHON, arguments, csp=CPU)
    wanted = expected(rows(1, 4))["hidden"]["data"]
    assert found == {"hidden": wanted, "records": [], "violations": []}


class Inline(HTMLParser):
    """What a policy without 'unsafe-inline' refuses, and what loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(given["content"])
        if tag == "style" or (tag == "script" and "src" not in given):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.found.append(name)
            if name in ("src", "href", "action") and tag != "a" and "//" in str(value):
                self.found.append(f"{name}={value}")


PAGES = sorted(
    [*(ROOT / "web" / "gallery").glob("*.html"), *(ROOT / "web" / "demo").glob("*.html")]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT / "web").as_posix())
def test_pages_hold_no_inline_code(page: Path) -> None:
    seen = Inline()
    seen.feed(page.read_text())
    assert seen.found == []
    assert seen.policy.startswith("default-src 'none'")
    assert "unsafe" not in seen.policy.replace("'wasm-unsafe-eval'", "")
    sources = {s for d in seen.policy.split(";") for s in d.split()[1:]}
    assert sources <= {"'none'", "'self'", "'wasm-unsafe-eval'", "data:", "blob:"}


@contextlib.contextmanager
def watched(chromium: Chromium) -> Iterator[tuple[Page, set[str]]]:
    """A page in a context of its own, and the origins of what it and its workers ask for."""
    context = chromium.browser.new_context()
    origins: set[str] = set()
    errors: list[str] = []
    context.on("request", lambda r: origins.add(_origin(r.url)))
    page = context.new_page()
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page, origins
    context.close()
    assert errors == []


def _origin(url: str) -> str:
    parts = urlsplit(url.removeprefix("blob:"))
    return parts.scheme if parts.scheme == "data" else f"{parts.scheme}://{parts.netloc}"


def test_the_demo_asks_nobody_else(chromium: Chromium, packs: Path, sample: str) -> None:
    with served(PackSite(packs / "sample")) as url, watched(chromium) as (page, origins):
        page.goto(f"{url}?device=wasm&threads=2")
        expect(page.get_by_role("status")).to_have_text("Ready.", timeout=30_000)
        page.get_by_role("button", name="Run").click()
        expect(page.locator("#outputs tr")).to_have_count(5)
        assert origins - {"data"} == {_origin(url)}


@pytest.mark.parametrize("model", ["magika"], indirect=True)
def test_the_gallery_asks_nobody_else(
    chromium: Chromium, packs: Path, model: Path, tmp_path: Path
) -> None:
    shutil.copytree(packs / model.stem, tmp_path / "packs" / model.stem)
    gallery.write_pages(tmp_path)
    with served(Folder(tmp_path)) as url, watched(chromium) as (page, origins):
        for name in PAGES:
            if name.parent.name == "gallery" and name.name in ("index.html", "files.html"):
                page.goto(f"{url}{name.name}?device=wasm")
        page.goto(f"{url}files.html?device=wasm")
        expect(page.locator("#status")).to_have_text("Ready.", timeout=60_000)
        page.locator("#file").set_input_files([ROOT / "README.md"])
        expect(page.locator("#labels strong")).to_have_text(["markdown"])
        assert origins - {"data"} == {_origin(url)}


APP = """import {InferenceSession, Tensor} from "./webrt/webrt.js";
const lines = [];
document.addEventListener("securitypolicyviolation", (event) => lines.push(event.blockedURI));
const session = await InferenceSession.create("./pack", OPTIONS);
const {pooled} = await session.run({
  ids: new Tensor("int64", [1, 2], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])});
const outcome = await session.tuned;
document.title = JSON.stringify({pooled: [...pooled.data], lines, trials: outcome?.trials ?? 0});
"""


@pytest.mark.parametrize("isolated", [False, True])
def test_an_exported_site_under_its_policy(
    chromium: Chromium, packs: Path, sample: str, tmp_path: Path, isolated: bool
) -> None:
    """With the import map's hashes; not isolated, tuning from its own Pyodide and wheel too."""
    result = export(packs / "sample", tmp_path / "site", str(PYODIDE), wheel=False)
    tuning = {"tune": "off"} if isolated else {"tune": "now", "budget": 2}
    options = {"device": "wasm", "threads": 1} | tuning
    app = APP.replace("OPTIONS", json.dumps(options))
    (tmp_path / "site" / "app.js").write_text(app)
    body = (
        '<!doctype html><meta charset="utf-8"><title></title>'
        f'<script type="importmap">{import_map(result["integrity"])}</script>'
        '<script type="module" src="app.js"></script>'
    )
    site = Site({"/": tmp_path / "site"}, isolated=isolated)
    policy = {"Content-Security-Policy": f"{result['policy']}; img-src 'self'"}
    site.pages["/page.html"] = ("text/html", body.encode(), policy)
    site.pages["/favicon.ico"] = ("image/x-icon", b"", {})
    try:
        with watched(chromium) as (page, origins):
            page.goto(f"{site.url}/page.html")
            expect(page).to_have_title(re.compile("pooled"), timeout=90_000)
            found = json.loads(page.title())
            assert origins - {"data"} == {site.url}
    finally:
        site.close()
    assert found["pooled"] == expected([[1, 2]])["pooled"]["data"]
    assert found["lines"] == []
    assert (found["trials"] > 0) is not isolated
    assert ("/webrt/pyodide/pyodide.asm.wasm" in site.requests) is not isolated
