"""The gallery's pages in a phone's window: what they answer, and that they fit."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from browsers import Chromium
from models import build as build_model
from playwright.sync_api import Page, expect
from site_server import CACHE, ROOT

import webrt
from webrt.cli import gallery
from webrt.cli.main import run_app
from webrt.cli.serve import Folder, Server
from webrt.errors import UsageError

WORDS = (
    "the shop opens at nine and closes six a train leaves for mountains every hour when can i buy"
)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def tokenizer() -> dict[str, object]:
    """A small WordPiece vocabulary, in Hugging Face's form."""
    vocabulary = {w: j for j, w in enumerate([*SPECIAL, *dict.fromkeys(WORDS.split())])}
    ends = [{"SpecialToken": {"id": t, "type_id": 0}} for t in ("[CLS]", "[SEP]")]
    text = {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "version": "1.0", "added_tokens": [], "truncation": None, "padding": None,
        "normalizer": {"type": "BertNormalizer", "lowercase": True, "clean_text": True,
                       "handle_chinese_chars": True, "strip_accents": None},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing", "single": [ends[0], text, ends[1]],
            "pair": [ends[0], text, ends[1]],
            "special_tokens": {t: {"id": t, "ids": [vocabulary[t]], "tokens": [t]}
                               for t in ("[CLS]", "[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": vocabulary,
                  "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
    }  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The site, with the models that other tests have, and a small tokenizer."""
    folder = tmp_path_factory.mktemp("gallery")
    (folder / "assets").mkdir()
    for name in ("magika", "minilm-l3"):
        webrt.pack(build_model(name, CACHE / "models"), folder / "packs" / name)
    library = ROOT / "e2e/node_modules/@huggingface/tokenizers/dist/tokenizers.min.mjs"
    shutil.copy(library, folder / "assets" / "tokenizers.mjs")
    (folder / "assets" / "tokenizer.json").write_text(json.dumps(tokenizer()))
    (folder / "assets" / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BertTokenizer", "do_lower_case": true}'
    )
    gallery.write_pages(folder)
    return Folder(folder)


@contextlib.contextmanager
def opened(
    chromium: Chromium, pages: Folder, name: str, complaint: str | None = None
) -> Iterator[Page]:
    """A page that has nothing to say in the console but, perhaps, one `complaint`."""
    server = Server(pages, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = chromium.browser.new_page(viewport={"width": 390, "height": 844})
    errors: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(server.url + name)
        yield page
        assert all(complaint is not None and complaint in e for e in errors), errors
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not page.evaluate(wide)
    finally:
        page.close()
        server.shutdown()
        server.server_close()


def ready(page: Page) -> None:
    expect(page.locator("#status")).to_have_text("Ready.", timeout=60_000)


def test_the_index_leads_to_every_page(chromium: Chromium, pages: Folder) -> None:
    with opened(chromium, pages, "") as page:
        links = page.locator(".cards a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert sorted(links) == sorted(
        p.name for p in (ROOT / "web" / "gallery").glob("*.html") if p.name != "index.html"
    )


def test_files(chromium: Chromium, pages: Folder) -> None:
    with opened(chromium, pages, "files.html?device=wasm") as page:
        ready(page)
        page.locator("#file").set_input_files([ROOT / "README.md", ROOT / "webrt" / "errors.py"])
        kinds = page.locator("#labels strong")
        expect(kinds).to_have_text(["markdown", "python"])
        expect(page.locator("#facts")).to_contain_text(re.compile(r"Last answer[\d.]+ ms"))


def test_search_ranks_as_the_model_does(chromium: Chromium, pages: Folder) -> None:
    texts = ["The shop opens at nine and closes at six", "A train leaves for the mountains"]
    with opened(chromium, pages, "search.html?device=wasm") as page:
        ready(page)
        page.locator("#text").fill("\n".join(texts))
        page.locator("#question").fill("when can I buy")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("#answers li")).to_have_count(2, timeout=30_000)
        found = [float(t) for t in page.locator("#answers .score").all_inner_texts()]
    vectors = [embedded(t) for t in [*texts, "when can I buy"]]
    wanted = sorted((float(v @ vectors[-1]) for v in vectors[:-1]), reverse=True)
    np.testing.assert_allclose(found, wanted, atol=6e-4)


def embedded(text: str) -> np.ndarray:
    """The mean vector of a text's tokens, by ONNX Runtime."""
    vocabulary = tokenizer()["model"]["vocab"]  # type: ignore[index]
    ids = [vocabulary[w] for w in ["[CLS]", *text.lower().split(), "[SEP]"]]
    model = onnxruntime.InferenceSession(str(build_model("minilm-l3", CACHE / "models")))
    row = np.array([ids])
    known = {"input_ids": row, "attention_mask": row * 0 + 1, "token_type_ids": row * 0}
    feeds = {i.name: known[i.name] for i in model.get_inputs()}
    hidden = next(a for a in model.run(None, feeds) if a.ndim == 3)
    mean = hidden[0].mean(0)
    return mean / np.linalg.norm(mean)


def test_what_a_site_lacks_is_said(chromium: Chromium, pages: Folder) -> None:
    with opened(chromium, pages, "ocr.html", "404") as page:
        expect(page.locator("#status.error")).to_contain_text("HTTP status 404", timeout=30_000)
    with opened(chromium, pages, "files.html?device=wasm", "404") as page:
        ready(page)
        page.locator("#file").set_input_files([ROOT / "README.md"])
        expect(page.locator("#labels strong")).to_have_count(1)
        page.get_by_role("button", name="Compare").click()
        expect(page.locator("#status.error")).to_contain_text("nothing to compare with")


def test_a_package_that_cant_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "noise\nERROR: no network\n")

    monkeypatch.setattr(subprocess, "run", fails)
    with pytest.raises(UsageError, match=r"magika 1\.0\.3 can't be downloaded: ERROR: no network"):
        gallery.build_gallery(Path("nowhere"), lambda *_: None)
    assert run_app(["serve"]) == 2
