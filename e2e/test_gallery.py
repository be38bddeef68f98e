"""The gallery's pages in a phone's window: what they answer, and that everybody can use them."""

from __future__ import annotations

import contextlib
import json
import re
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from browsers import CHROMIUM_FLAGS, Chromium, Firefox, chromium_path
from gallery_models import embedded, small_tokenizer, speech_in, tilted_page
from playwright.sync_api import Browser, BrowserContext, Page, expect
from site_server import CACHE, ROOT, served

import webrt
from webrt.cli import gallery
from webrt.cli.main import run_app
from webrt.cli.serve import Folder
from webrt.errors import UsageError

AXE = ROOT / "e2e" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = ["index.html", "files.html", "search.html", "speech.html", "ocr.html"]


@pytest.fixture(scope="module")
def whole() -> Path:
    """The whole site, built once, with a small tokenizer: its package is the largest of all."""
    folder = CACHE / "gallery"
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    (folder / "assets" / "tokenizer.json").write_text(json.dumps(small_tokenizer()))
    (folder / "assets" / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BertTokenizer", "do_lower_case": true}'
    )
    return gallery.build_gallery(folder, lambda *_: None)


@contextlib.contextmanager
def opened(
    browser: Browser | BrowserContext, folder: Path, name: str, complaint: str | None = None
) -> Iterator[Page]:
    """A page that has nothing to say in the console but, perhaps, one `complaint`."""
    with served(Folder(folder)) as url:
        page = browser.new_page() if isinstance(browser, BrowserContext) else browser.new_page(
            viewport={"width": 390, "height": 844}
        )  # fmt: skip
        errors: list[str] = []
        requests: list[str] = []
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        try:
            page.goto(url + name)
            yield page
            assert all(complaint is not None and complaint in e for e in errors), errors
            assert all(r.startswith((url, "blob:", "data:")) for r in requests), requests
            wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not page.evaluate(wide)
        finally:
            page.close()


def ready(page: Page) -> None:
    """Loaded, and done with what was asked for."""
    expect(page.locator("#status")).to_have_text("Ready.", timeout=90_000)
    expect(page.locator("[aria-busy]")).to_have_count(0, timeout=90_000)


def test_the_index_leads_to_every_page(chromium: Chromium, whole: Path) -> None:
    with opened(chromium.browser, whole, "") as page:
        links = page.locator(".cards a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
        expect(page.locator("#badges")).to_contain_text("CPU")
    assert sorted(links) == sorted(set(PAGES) - {"index.html"})


@pytest.mark.parametrize("device", ["wasm", "webgpu"])
def test_files(chromium: Chromium, whole: Path, device: str) -> None:
    with opened(chromium.browser, whole, f"files.html?device={device}") as page:
        ready(page)
        tiny = CACHE / "tiny.txt"
        tiny.write_text("hi")
        files = [ROOT / "README.md", ROOT / "webrt" / "errors.py", tiny]
        page.locator("#file").set_input_files(files)
        kinds = page.locator("#labels strong")
        expect(kinds).to_have_text(["markdown", "python", "too small to tell"], timeout=60_000)
        names = page.locator("#labels .others").first
        expect(names).to_have_text("README.md")
        expect(page.locator("#times tbody")).to_contain_text(re.compile(r"magika[\d.]+ m?s"))
        runs_on = {"wasm": "CPU, 2 threads", "webgpu": "GPU, "}[device]
        expect(page.locator("#facts")).to_contain_text(f"Runs on{runs_on}")
        expect(page.locator("#facts")).to_contain_text("Becauseyou chose it")


def test_another_device_keeps_what_is_there(chromium: Chromium, whole: Path) -> None:
    with opened(chromium.browser, whole, "files.html") as page:
        ready(page)
        expect(page.locator("#facts")).to_contain_text("in software")  # this machine has no GPU
        page.locator("#file").set_input_files([ROOT / "README.md"])
        expect(page.locator("#labels strong")).to_have_text(["markdown"])
        ready(page)
        page.get_by_label("CPU").check(force=True)
        expect(page.locator("#facts")).to_contain_text("you chose it")
        ready(page)
        expect(page.locator("#labels strong")).to_have_text(["markdown"])
        expect(page.locator("#runs")).to_have_text("Runs: magika 1.")


def test_search_ranks_as_the_model_does(chromium: Chromium, whole: Path) -> None:
    texts = ["The shop opens at nine and closes at six", "A train leaves for the mountains"]
    with opened(chromium.browser, whole, "search.html?device=wasm") as page:
        ready(page)
        page.get_by_label("Text, a passage a line").fill("\n".join(texts))
        page.get_by_label("Question").fill("when can I buy")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("#answers li")).to_have_count(2, timeout=30_000)
        found = [float(t) for t in page.locator("#answers .score").all_inner_texts()]
    model = onnxruntime.InferenceSession(str(whole / "models" / "minilm-l3.onnx"))
    vectors = [embedded(model, t) for t in [*texts, "when can I buy"]]
    wanted = sorted((float(v @ vectors[-1]) for v in vectors[:-1]), reverse=True)
    np.testing.assert_allclose(found, wanted, atol=6e-4)


def shown(parts: list[tuple[float, float]]) -> list[str]:
    return [f"▸ {start:.1f} – {end:.1f} s" for start, end in parts]


def test_speech_is_found_where_its_authors_find_it(chromium: Chromium, whole: Path) -> None:
    sample = whole / "assets" / "speech.wav"
    wanted = speech_in(sample, whole / "models" / "silero-vad.onnx")
    assert len(wanted) > 10
    with opened(chromium.browser, whole, "speech.html") as page:
        ready(page)
        expect(page.locator("#facts")).to_contain_text("Runs onCPU")
        page.get_by_role("button", name="Try a sample").click()
        expect(page.locator("#summary")).to_contain_text(
            f"Speech in {len(wanted)} parts", timeout=90_000
        )
        assert page.locator("#answers button").all_inner_texts() == shown(wanted)
        silence = CACHE / "silence.wav"
        with wave.open(str(silence), "wb") as file:
            file.setparams((2, 2, 44_100, 0, "NONE", ""))
            file.writeframes(bytes(4 * 44_100))
        page.locator("#recording").set_input_files(silence)
        expect(page.locator("#summary")).to_contain_text("No speech in 1.0 s.")
        page.locator("#recording").set_input_files(ROOT / "README.md")
        expect(page.locator("#status.error")).to_have_text(
            "The browser can’t read this file as sound."
        )
        expect(page.locator("#next")).to_contain_text("Choose another one")


def test_the_microphone_is_heard_as_it_speaks(
    chromium: Chromium, whole: Path, tmp_path: Path
) -> None:
    """Chromium takes a file for a microphone; it comes at the sound card's rate."""
    fake = [
        "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={whole / 'assets' / 'speech.wav'}",
    ]  # fmt: skip
    kind = chromium.browser.browser_type  # type: ignore[union-attr]
    context = kind.launch_persistent_context(
        str(tmp_path), executable_path=chromium_path(), args=[*CHROMIUM_FLAGS, *fake]
    )
    try:
        with opened(context, whole, "speech.html") as page:
            ready(page)
            page.get_by_role("button", name="Record").click()
            some = re.compile(r"([3-9]|\d\d)\.\d s: speech")  # a segment isn't shorter than 0.25 s
            expect(page.locator("#status")).to_have_text(some, timeout=60_000)
            page.get_by_role("button", name="Stop").click()
            expect(page.locator("#summary")).to_contain_text("Speech in ", timeout=30_000)
            expect(page.locator("#player")).to_be_visible()
    finally:
        context.close()


def test_text_is_read(chromium: Chromium, whole: Path) -> None:
    """Lines of a straight picture, and of one as a hand would hold it."""
    lines = ["Hello from webrt", "kernels made on this device", "Total 27.50 at noon"]
    with opened(chromium.browser, whole, "ocr.html?device=wasm") as page:
        ready(page)
        for angle in (0, -9):
            picture = CACHE / f"text{angle}.png"
            tilted_page(page, lines, angle, picture)
            page.locator("#photo").set_input_files(picture)
            expect(page.locator("#answers .text")).to_have_text(lines, timeout=90_000)
        page.get_by_role("button", name="Try a sample").click()
        texts = page.locator("#answers .text")
        expect(texts.first).to_have_text("Bakery on the corner", timeout=90_000)
        expect(texts).to_have_count(8)
        page.locator("#photo").set_input_files(ROOT / "README.md")
        expect(page.locator("#status.error")).to_have_text(
            "The browser can’t read this file as a picture."
        )


def test_onnxruntime_web_runs_beside_it_when_asked(chromium: Chromium, whole: Path) -> None:
    with opened(chromium.browser, whole, "files.html?device=wasm") as page:
        ready(page)
        loaded: list[str] = []
        page.on("request", lambda request: loaded.append(request.url))
        page.locator("#file").set_input_files([ROOT / "README.md"])
        expect(page.locator("#labels strong")).to_have_count(1)
        assert not [url for url in loaded if "/ort/" in url or url.endswith(".onnx")]
        page.get_by_role("button", name="Compare").click()
        expect(page.locator("#comparison")).to_contain_text("Medians of 5 runs", timeout=60_000)
        row = page.locator("#compared tbody tr")
        expect(row).to_have_text(re.compile(r"magika[\d.]+ m?s[\d.]+ m?s[\d.]+ ×"))
        assert [url for url in loaded if "/ort/" in url]


def test_tuning_draws_its_curve_and_the_next_visit_knows(chromium: Chromium, whole: Path) -> None:
    context = chromium.browser.new_context(viewport={"width": 390, "height": 844})  # type: ignore[union-attr]
    with opened(context, whole, "files.html?device=wasm&budget=3") as page:
        ready(page)
        page.locator("#file").set_input_files([ROOT / "README.md"])
        expect(page.locator("#labels strong")).to_have_count(1)
        page.get_by_role("button", name="Tune on this device").click()
        text = page.locator("#tuning-text")
        expect(text).to_contain_text(
            re.compile(r"magika: done, \d+ trials .* of kernels a run"), timeout=120_000
        )
        expect(page.locator("#curve path.line")).to_have_count(1)
        page.reload()
        ready(page)
        page.locator("#file").set_input_files([ROOT / "README.md"])
        expect(text).to_contain_text("An earlier visit found that.", timeout=60_000)
        page.get_by_role("button", name="Turn tuning off").click()
        expect(page.get_by_role("button", name="Tune on this device")).to_be_visible()
        ready(page)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(chromium: Chromium, whole: Path, scheme: Any) -> None:
    """axe-core's rules, with answers on the page; the screenshots are for people."""
    context = chromium.browser.new_context(  # type: ignore[union-attr]
        viewport={"width": 390, "height": 844}, color_scheme=scheme, bypass_csp=True
    )
    for name in PAGES:
        with opened(context, whole, name) as page:
            if name != "index.html":
                ready(page)
                button = "Search" if name == "search.html" else "Try "
                page.get_by_role("button", name=button).click()
                expect(page.locator("#labels li, #answers li").first).to_be_visible(timeout=90_000)
                ready(page)
            page.add_script_tag(path=AXE)
            found = page.evaluate("async () => (await axe.run()).violations")
            assert [(v["id"], v["nodes"][0]["html"]) for v in found] == [], name
            page.screenshot(path=CACHE / f"gallery-{name}-{scheme}.png", full_page=True)
    context.close()


def test_what_a_site_lacks_is_said_in_plain_words(
    chromium: Chromium, whole: Path, tmp_path: Path
) -> None:
    webrt.pack(whole / "models" / "magika.onnx", tmp_path / "packs" / "magika")
    gallery.write_pages(tmp_path)
    with opened(chromium.browser, tmp_path, "ocr.html?device=wasm", "404") as page:
        expect(page.locator("#status.error")).to_have_text(
            "This site has no such model.", timeout=30_000
        )
        expect(page.locator("#next")).to_contain_text("webrt serve --gallery")
        page.get_by_text("Details").click()
        expect(page.locator("#detail")).to_contain_text("HTTP status 404")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
    with opened(chromium.browser, tmp_path, "files.html?device=wasm") as page:
        ready(page)
        expect(page.get_by_role("button", name="Compare")).to_be_hidden()
        expect(page.get_by_role("button", name="Tune on this device")).to_be_hidden()


def test_a_package_that_cant_be_had_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = gallery.PACKAGES[0]
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError) as caught:
        gallery.fetch(package, tmp_path, lambda *_: None)
    assert str(caught.value) == (
        "magika 1.0.3 can't be downloaded from PyPI: PyPI can't be reached; check the network"
        " connection; run this again to go on: what was downloaded is kept"
    )
    assert run_app(["serve"]) == 2


IN_FRAME = """async (_, {page, act, done}) => {
  const frame = document.createElement("iframe");
  frame.width = 390;
  frame.height = 844;
  frame.src = page;
  document.body.append(frame);
  const until = async (what) => {
    for (let j = 0; j < 1200; j++) {
      const status = frame.contentDocument?.querySelector("#status");
      if (status?.classList.contains("error")) {
        throw new Error(frame.contentDocument.querySelector("#detail").textContent);
      }
      const found = status && what(frame.contentDocument);
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(frame.contentDocument?.querySelector("#status")?.textContent ?? "no page");
  };
  const ready = (page) => page.querySelector("#status").textContent === "Ready."
    && !page.querySelector("[aria-busy]");
  await until(ready);
  frame.contentDocument.querySelector(act).click();
  await until((page) => ready(page) && page.querySelector(done));
  const texts = [...frame.contentDocument.querySelectorAll(done)].map((e) => e.textContent);
  frame.remove();
  return texts;
}"""


@pytest.mark.parametrize(
    ("page", "act", "done", "found"),
    [
        ("files.html?device=wasm", "#sample", "#labels strong", ["html", "javascript", "css"]),
        ("files.html?device=webgpu", "#sample", "#labels strong", ["html", "javascript", "css"]),
        ("search.html?device=webgpu", "#search button", "#answers li", []),
        ("speech.html", "#sample", "#answers button", ["▸ 0.0 – 2.0 s", "▸ 2.7 – 4.7 s"]),
        ("ocr.html?device=wasm", "#sample", "#answers .text", ["Bakery on the corner"]),
    ],
)
def test_pages_answer_in_firefox(
    firefox: Firefox, whole: Path, page: str, act: str, done: str, found: list[str]
) -> None:
    firefox.site.mounts["/gallery/"] = whole
    texts = firefox.run(IN_FRAME, {"page": f"/gallery/{page}", "act": act, "done": done})
    assert texts[: len(found)] == found
    assert len(texts) > 1
