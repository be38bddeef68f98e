"""The wheel in a PyScript page: its configuration names the file, its Python loads a pack."""

from __future__ import annotations

import html
import json

import pytest
from browsers import Chromium
from site_server import ROOT, Site
from test_player import expected, rows

SCRIPT = """
import json
import webrt
from pyscript import document

session = await webrt.load_async("{url}", device="{device}")
outputs = await session.run_async({{"ids": {ids}, "scale": [1.0, 2.0, 3.0, 4.0]}})
found = {{
    name: {{"type": t.dtype.onnx_name, "dims": list(t.shape), "data": list(map(float, t.elements))}}
    for name, t in outputs.items()
}}
session.close()
{report}
"""

PAGE = """<!doctype html><meta charset="utf-8"><title></title><link rel="icon" href="data:,">
<script type="module" src="/pyscript/core.js"></script>
<script type="py" config='{config}' {worker}>{script}</script>"""


@pytest.mark.parametrize(("device", "where"), [("webgpu", ""), ("wasm", "worker")])
def test_a_page_with_pyscript(
    chromium: Chromium,
    isolated: Chromium,
    wheel: str,
    sample: str,
    device: str,
    where: str,
) -> None:
    """On the page itself, and in a worker of PyScript's, which takes an isolated page."""
    browser = isolated if where else chromium
    site: Site = browser.site
    site.mounts["/pyscript/"] = ROOT / "e2e" / "node_modules" / "@pyscript" / "core" / "dist"
    config = {"interpreter": f"{site.url}/pyodide/pyodide.mjs", "files": {wheel: "./*"}}
    ids = rows(2, 3)
    script = SCRIPT.format(
        url=f"{site.url}{sample}",
        device=device,
        ids=ids,
        report="document.title = json.dumps(found)",
    )
    body = PAGE.format(config=html.escape(json.dumps(config)), worker=where, script=script)
    site.pages[f"/pyscript-{device}.html"] = ("text/html", body.encode(), {})
    page = browser.browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(f"{site.url}/pyscript-{device}.html")
        page.wait_for_function("document.title !== ''", timeout=60_000)
        assert json.loads(page.title()) == expected(ids)
    except Exception as error:
        error.add_note("\n".join(errors))
        raise
    finally:
        page.close()
    assert [url for url in asked if not url.startswith((site.url, "blob:", "data:"))] == []
