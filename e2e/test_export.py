"""A site that `webrt export` wrote: its demo page, its snippet with integrity, what it asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Chromium
from site_server import Site
from test_player import expected

from webrt.cli.export import export

RUN = """
  const {pooled} = await session.run({
    ids: new Tensor("int64", [1, 2], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])});
  document.title = JSON.stringify([...pooled.data]);
</script>"""


@pytest.fixture(scope="module")
def exported(
    packs: Path, sample: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, Path, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("export") / "site"
    result = export(packs / "sample", folder, None, wheel=False)
    site = Site({"/": folder})
    yield site, folder, result
    site.close()


def test_the_demo_page_runs(
    chromium: Chromium, exported: tuple[Site, Path, dict[str, Any]]
) -> None:
    site, _, _ = exported
    page = chromium.browser.new_page()
    page.goto(f"{site.url}/")
    page.wait_for_selector("#form:not([hidden])", timeout=60_000)
    assert {r.split("/")[1] for r in site.requests} <= {"", "webrt", "pack"}
    page.close()


def test_the_snippet_runs_and_holds_scripts_to_their_hashes(
    chromium: Chromium, exported: tuple[Site, Path, dict[str, Any]]
) -> None:
    site, folder, result = exported
    text = result["snippet"].replace("</script>", "\0", 1).replace("\n</script>", RUN)
    page_file = folder / "page.html"
    page_file.write_text('<meta charset="utf-8"><title></title>' + text.replace("\0", "</script>"))
    page = chromium.browser.new_page()
    page.goto(f"{site.url}/page.html")
    page.wait_for_function("document.title !== ''", timeout=60_000)
    assert json.loads(page.title()) == expected([[1, 2]])["pooled"]["data"]
    script = folder / "webrt" / "session.js"
    script.write_text(script.read_text() + "\n// changed")
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.goto(f"{site.url}/page.html?again")
    page.wait_for_timeout(500)
    assert page.title() == ""
    assert any("integrity" in e for e in errors)
    page.close()
