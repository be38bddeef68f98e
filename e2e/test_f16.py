"""float16 models in pages: as they are where the adapter has float16, widened where it hasn't."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from browsers import Chromium, Performer
from half_models import SAMPLES, Sample
from halves import to_half
from models import build as build_model
from site_server import CACHE
from test_models import PYODIDE, Oracle, from_json, to_json
from test_pyodide import python
from tolerances import assert_close

import webrt
from webrt.dtypes import DType

RUN = """async ({InferenceSession, decodeAll, encodeAll}, {url, feeds, device}) => {
  const session = await InferenceSession.create(url, {device});
  const results = [];
  for (const feed of feeds) results.push(encodeAll(await session.run(decodeAll(feed))));
  const {float16, inputMetadata} = session;
  await session.release();
  return {results, float16, types: inputMetadata.map(({type}) => type)};
}"""

TENSORS = """async ({InferenceSession, Tensor, rejection}, {url}) => {
  const session = await InferenceSession.create(url, {device: "wasm"});
  const numbers = Array.from({length: 12}, (_, j) => j / 4 - 1);
  const scale = new Tensor("float32", [1, 1, 1, 1, 1, 1]);
  const kinds = {plain: numbers, halves: Float16Array.from(numbers),
    bits: new Uint16Array(Float16Array.from(numbers).buffer)};
  const found = {};
  for (const [kind, data] of Object.entries(kinds)) {
    const {echo, wide} = await session.run({x: new Tensor("float16", data, [1, 2, 6]), scale});
    found[kind] = [echo.data instanceof Float16Array, Array.from(echo.data), Array.from(wide.data)];
  }
  found.inferred = new Tensor(new Float16Array(3)).type;
  const x = new Tensor("float32", numbers, [1, 2, 6]);
  found.refused = await rejection(session.run({x, scale}));
  await session.release();
  return {...found, numbers};
}"""

MODES = [
    ("chromium", "webgpu", "widened"),  # SwiftShader has no float16
    ("firefox", "webgpu", "native"),
    ("isolated", "wasm", "widened"),
    ("firefox", "wasm", "widened"),
]


@pytest.fixture(scope="module", params=sorted(SAMPLES))
def sample(request: pytest.FixtureRequest, packs: Path) -> tuple[str, Sample]:
    """A model of tests/half_models.py, and the URL of its pack."""
    made = SAMPLES[request.param]()
    path = CACHE / "models" / f"half-{request.param}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(made.model, path)
    webrt.pack(path, packs / path.stem)
    return f"/packs/{path.stem}", made


@pytest.fixture(scope="module")
def minilm(packs: Path) -> Path:
    """MiniLM-L3 in float16, with its layer norms and softmaxes in float32."""
    path = CACHE / "models" / "minilm-l3-f16.onnx"
    single = onnx.load(build_model("minilm-l3", CACHE / "models"))
    onnx.save(to_half(single, keep=("LayerNormalization", "Softmax")), path)
    webrt.pack(path, packs / path.stem)
    return path


def run(browser: Performer, url: str, feeds: list[dict[str, Any]], device: str) -> Any:
    return browser.run(RUN, {"url": url, "feeds": feeds, "device": device}, timeout=240)


@pytest.mark.parametrize(("fixture", "device", "mode"), MODES)
def test_answers(
    sample: tuple[str, Sample],
    request: pytest.FixtureRequest,
    fixture: str,
    device: str,
    mode: str,
) -> None:
    url, made = sample
    feeds = {name: to_json(a) for name, a in made.feeds.items()}
    found = run(request.getfixturevalue(fixture), url, [feeds], device)
    assert found["float16"] == mode
    (outputs,) = found["results"]
    assert outputs.keys() == made.answers.keys()
    for name, answer in made.answers.items():
        assert outputs[name]["type"] == answer.dtype.name
        assert_close(from_json(outputs[name]), answer, DType.F16, scale=made.scale)


@pytest.mark.parametrize("sample", ["islands"], indirect=True)
def test_tensors_of_float16(sample: tuple[str, Sample], browser: Performer) -> None:
    url, _ = sample
    found = browser.run(TENSORS, {"url": url})
    for kind in ("plain", "halves", "bits"):
        assert found[kind] == [True, found["numbers"], found["numbers"]], kind
    assert found["inferred"] == "float16"
    assert found["refused"]["message"] == (
        "input 'x': expected float16 [b, n, 6], found float32 [1, 2, 6]"
    )


def test_half_the_download(minilm: Path, packs: Path) -> None:
    single = onnx.load(CACHE / "models" / "minilm-l3.onnx")
    weights = sum(np.prod(t.dims) * 4 for t in single.graph.initializer if t.data_type == 1)
    shards = sum(p.stat().st_size for p in (packs / minilm.stem).glob("*.safetensors"))
    assert shards < 0.52 * weights


@pytest.mark.parametrize(("fixture", "device", "mode"), MODES)
def test_a_real_model(
    minilm: Path, request: pytest.FixtureRequest, fixture: str, device: str, mode: str
) -> None:
    oracle = Oracle(minilm, [(1, 16), (2, 33)])
    found = run(
        request.getfixturevalue(fixture), f"/packs/{minilm.stem}", oracle.json_feeds, device
    )
    assert found["float16"] == mode
    for outputs, expected in zip(found["results"], oracle.expected, strict=True):
        for name, answer in expected.items():
            array = from_json(outputs[name])
            assert array.dtype == answer.dtype
            left, right = array.astype(np.float64).ravel(), answer.astype(np.float64).ravel()
            cosine = left @ right / np.sqrt((left @ left) * (right @ right))
            assert cosine > 0.99999, name
            np.testing.assert_allclose(left, right, rtol=2**-6, atol=2**-6)


TUNED = """async ({InferenceSession, decodeAll, encodeAll}, {url, feeds, wheel}) => {
  const session = await InferenceSession.create(url, {device: "wasm", threads: 1,
    tune: "background", budget: 2, pyodide: "/pyodide/", wheel, _trials: {pause: 1}});
  const results = [await session.run(decodeAll(feeds))];
  let over = false;
  session.tuned.then(() => { over = true; });
  while (!over) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    results[1] = await session.run(decodeAll(feeds));
  }
  results[1] = await session.run(decodeAll(feeds));
  const outcome = await session.tuned;
  await session.release();
  return {outcome, results: results.map(encodeAll)};
}"""


@pytest.mark.parametrize("sample", ["islands"], indirect=True)
def test_a_widened_pack_is_tuned(
    sample: tuple[str, Sample], chromium: Performer, wheel: str
) -> None:
    """The worker tunes the kernels of float32 that the page runs, and names them as it does."""
    url, made = sample
    feeds = {name: to_json(a) for name, a in made.feeds.items()}
    found = chromium.run(TUNED, {"url": url, "feeds": feeds, "wheel": wheel})
    assert found["outcome"]["trials"] >= 1
    assert found["outcome"]["rejected"] == 0
    for outputs in found["results"]:
        for name, answer in made.answers.items():
            assert_close(from_json(outputs[name]), answer, DType.F16, scale=made.scale)


@pytest.mark.parametrize("sample", ["islands"], indirect=True)
def test_the_python_session_in_a_page(
    sample: tuple[str, Sample], chromium: Chromium, wheel: str
) -> None:
    """It has no NumPy there: the conversions are its own."""
    url, made = sample
    feeds = [{name: to_json(a) for name, a in made.feeds.items()}]
    report = python(chromium, wheel, PYODIDE, {"url": url, "feeds": feeds, "device": "wasm"})
    (outputs,) = report["found"]["results"]
    for name, answer in made.answers.items():
        assert outputs[name]["type"] == answer.dtype.name
        assert_close(from_json(outputs[name]), answer, DType.F16, scale=made.scale)
