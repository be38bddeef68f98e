"""onnxruntime-web's own samples run on webrt with the import and the model changed, nothing else.

The samples in e2e/samples/ are those of microsoft/onnxruntime-inference-examples, folder js/, as of
commit 428b0399b871, unaltered, under the MIT licence that lies beside them.
"""

from __future__ import annotations

import difflib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from browsers import Chromium
from onnx import TensorProto, checker, helper
from site_server import ROOT, Site

import webrt

SAMPLES = ROOT / "e2e" / "samples"
MODULES = ROOT / "e2e" / "node_modules"
A = [float(n) for n in range(1, 13)]
B = [10 * n for n in A]
PRODUCT = [[sum(A[4 * r + k] * B[3 * k + c] for k in range(4)) for c in range(3)] for r in range(3)]
ANSWER = [int(value) for row in PRODUCT for value in row]
MODEL = ("./model.onnx", "./pack")


@pytest.fixture(scope="module")
def product(packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples' model.onnx, `c = a b`, packed."""
    given = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("a", [3, 4]), ("b", [4, 3]))
    ]
    made = [helper.make_tensor_value_info("c", TensorProto.FLOAT, [3, 3])]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "g", given, made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model, full_check=True)
    path = tmp_path_factory.mktemp("product") / "model.onnx"
    path.write_bytes(model.SerializeToString())
    webrt.pack(path, packs / "product")
    return packs / "product"


def changed(name: str, *changes: tuple[str, str]) -> str:
    """A sample with some strings replaced, each of which stands on one line of it."""
    text = (SAMPLES / name).read_text()
    for old, new in changes:
        assert text.count(old) >= 1, f"{name} has no {old}"
        text = text.replace(old, new)
    return text


def difference(name: str, text: str) -> list[str]:
    """The lines that differ between a sample and what is run, without their indentation."""
    lines = difflib.ndiff((SAMPLES / name).read_text().splitlines(), text.splitlines())
    return [f"{line[0]} {line[2:].strip()}" for line in lines if line[0] in "+-"]


def written(chromium: Chromium, folder: Path, product: Path, page: str = "index.html") -> Any:
    """What a page of a folder writes, on a site that has the pack and the player too."""
    site = Site({"/web/": ROOT / "web", "/pack/": product, "/": folder})
    tab = chromium.browser.new_page()
    lines: list[str] = []
    tab.on("console", lambda message: lines.append(f"{message.location['url']}: {message.text}"))
    tab.on("pageerror", lambda error: lines.append(str(error)))
    try:
        tab.goto(f"{site.url}/{page}")
        tab.wait_for_function("/data of|failed|done/.test(document.body.innerText)", timeout=30_000)
        assert [line for line in lines if "/favicon.ico: " not in line] == []
        return tab.inner_text("body")
    finally:
        tab.close()
        site.close()


TEXT = f"data of result tensor 'c': {','.join(map(str, ANSWER))}"


def test_the_quick_start_with_a_script_tag(
    chromium: Chromium, product: Path, tmp_path: Path
) -> None:
    cdn = "https://cdn.jsdelivr.net/npm/onnxruntime-web/dist/ort.min.js"
    text = changed("script-tag.html", (cdn, "/web/ort.js"), MODEL)
    assert difference("script-tag.html", text) == [
        f'- <script src="{cdn}"></script>',
        '+ <script src="/web/ort.js"></script>',
        "- const session = await ort.InferenceSession.create('./model.onnx');",
        "+ const session = await ort.InferenceSession.create('./pack');",
    ]
    (tmp_path / "index.html").write_text(text)
    assert written(chromium, tmp_path, product) == TEXT


def test_the_quick_start_with_a_module(chromium: Chromium, product: Path, tmp_path: Path) -> None:
    cdn = "https://cdn.jsdelivr.net/npm/onnxruntime-web/dist/esm/ort.min.js"
    text = changed("esm.html", (cdn, "/web/webrt.js"), MODEL)
    assert difference("esm.html", text) == [
        f'- import * as ort from "{cdn}";',
        '+ import * as ort from "/web/webrt.js";',
        "- const session = await ort.InferenceSession.create('./model.onnx');",
        "+ const session = await ort.InferenceSession.create('./pack');",
    ]
    (tmp_path / "index.html").write_text(text)
    assert written(chromium, tmp_path, product) == TEXT


def test_the_quick_start_with_a_bundler(chromium: Chromium, product: Path, tmp_path: Path) -> None:
    text = changed("bundler.js", ("'onnxruntime-web'", "'webrt'"), MODEL)
    assert difference("bundler.js", text) == [
        "- const ort = require('onnxruntime-web');",
        "+ const ort = require('webrt');",
        "- const session = await ort.InferenceSession.create('./model.onnx');",
        "+ const session = await ort.InferenceSession.create('./pack');",
    ]
    (tmp_path / "main.js").write_text(text)
    bundle(tmp_path, "main.js")
    page = '<!DOCTYPE html><body><script type="module" src="./dist/bundle.min.js"></script></body>'
    (tmp_path / "index.html").write_text(page)
    assert written(chromium, tmp_path, product) == TEXT


def bundle(folder: Path, entry: str) -> None:
    """What a sample's own webpack does: one file of the program and what it imports."""
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "webrt").symlink_to(ROOT / "web")
    esbuild = [str(MODULES / "esbuild" / "bin" / "esbuild"), entry, "--bundle", "--format=esm"]
    options = ["--outfile=dist/bundle.min.js", "--log-level=warning", "--minify"]
    subprocess.run([*esbuild, *options], cwd=folder, check=True, timeout=120)
    for worker in ("wasm-worker.js",):
        (folder / "dist" / worker).write_bytes((ROOT / "web" / worker).read_bytes())


WATCH = """
import {InferenceSession} from "/web/webrt.js";
const {run} = InferenceSession.prototype;
const results = [];
InferenceSession.prototype.run = async function (...args) {
  const outputs = await run.apply(this, args);
  results.push([...outputs.c.data].join());
  if (results.length === 8) document.body.append(`done ${JSON.stringify(results)}`);
  return outputs;
};
"""


def test_every_way_to_run(chromium: Chromium, product: Path, tmp_path: Path) -> None:
    """By options, names, nulls and tensors made beforehand."""
    name = "inference-session-run.js"
    old, new = "const ort = require('onnxruntime-node');", "import ort from '/web/webrt.js';"
    text = changed(name, (old, new), MODEL)
    assert difference(name, text) == [
        f"- {old}",
        f"+ {new}",
        "- const session = await InferenceSession.create('./model.onnx');",
        "+ const session = await InferenceSession.create('./pack');",
    ]
    (tmp_path / "main.js").write_text(text)
    (tmp_path / "watch.js").write_text(WATCH)
    scripts = [f'<script type="module" src="{file}.js"></script>' for file in ("watch", "main")]
    (tmp_path / "index.html").write_text(f"<!DOCTYPE html><body>{''.join(scripts)}</body>")
    found = written(chromium, tmp_path, product)
    assert json.loads(found.removeprefix("done ")) == [",".join(map(str, ANSWER))] * 8
