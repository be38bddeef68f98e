"""Real models in real browsers: the answers of ONNX Runtime, at every batch and length."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from browsers import Chromium, Performer
from check_models import BATCHES, LENGTHS, example
from test_pyodide import python

from webrt.pack.read import read_pack
from webrt.plan.memory import place

RUN = """async ({InferenceSession, counts, decodeAll, encodeAll}, {url, feeds, options}) => {
  const session = await InferenceSession.create(url, options);
  const loaded = counts.pipelines;
  const results = [];
  for (const feed of feeds) results.push(encodeAll(await session.run(decodeAll(feed))));
  const {threads, features} = session.deviceInfo;
  await session.release();
  return {results, compiled: counts.pipelines - loaded, loaded, threads, features};
}"""

TICKS = """async ({InferenceSession, decodeAll}, {url, feeds}) => {
  const session = await InferenceSession.create(url, {device: "wasm", threads: 2});
  const channel = new MessageChannel();
  let ticks = 0, running = true;
  channel.port1.onmessage = () => {
    ticks += 1;
    if (running) setTimeout(() => channel.port2.postMessage(null), 1);
  };
  const run = session.run(decodeAll(feeds[0]));
  channel.port2.postMessage(null);
  await run;
  running = false;
  await session.release();
  return ticks;
}"""

MODULES_IN_PYODIDE = """
import hashlib, json
import webrt
from webrt.pack.read import parse_manifest
from webrt.pack.wasm import plan_wasm
from webrt.runtime.devices.browser import UrlSource

args = json.loads(args)
source = UrlSource(args["url"])
pack = parse_manifest(await source.manifest())
made = plan_wasm(pack.plan.problems)
modules = [made.module(relaxed) for relaxed in (False, True)]
json.dumps({
    "sha256": [hashlib.sha256(module).hexdigest() for module in modules],
    "same": [module == bytes(await source.file(file))
             for module, file in zip(modules, pack.wasm.modules)],
    "kernels": made.kernels == pack.wasm.kernels and made.packers == pack.wasm.packers,
})
"""

PYODIDE = """
import base64, json
import webrt
from webrt.dtypes import DType
from webrt.runtime.arrays import HostTensor

def decode(t):
    data = memoryview(base64.b64decode(t["base64"]))
    return HostTensor(DType.from_onnx_name(t["type"]), tuple(t["dims"]), data)

def encode(t):
    return {"type": t.dtype.onnx_name, "dims": list(t.shape),
            "base64": base64.b64encode(t.data).decode()}

args = json.loads(args)
session = await webrt.load_async(args["url"], device=args["device"])
results = []
for feed in args["feeds"]:
    outputs = await session.run_async({name: decode(t) for name, t in feed.items()})
    results.append({name: encode(t) for name, t in outputs.items()})
session.close()
json.dumps({"results": results, "compiled": session.compiled_kernels})
"""


def to_json(array: np.ndarray) -> dict[str, Any]:
    text = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"type": array.dtype.name, "dims": list(array.shape), "base64": text}


def from_json(tensor: dict[str, Any]) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(tensor["base64"]), tensor["type"])
    return flat.reshape(tensor["dims"])


class Oracle:
    """ONNX Runtime on feeds of several batches and lengths."""

    def __init__(self, model: Path, sizes: list[tuple[int, int]]) -> None:
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        names = [o.name for o in session.get_outputs()]
        self.feeds = [example(session, b, n, seed=1000 * b + n) for b, n in sizes]
        self.expected = [dict(zip(names, session.run(None, f), strict=True)) for f in self.feeds]

    @property
    def json_feeds(self) -> list[dict[str, Any]]:
        return [{name: to_json(a) for name, a in feed.items()} for feed in self.feeds]

    def check(self, results: list[dict[str, Any]]) -> None:
        assert len(results) == len(self.expected)
        for found, expected in zip(results, self.expected, strict=True):
            assert found.keys() == expected.keys()
            for name, array in expected.items():
                np.testing.assert_allclose(from_json(found[name]), array, rtol=1e-3, atol=1e-3)


def sizes_of(model: Path, lengths: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(b, n) for b in BATCHES for n in ((2048,) if model.stem == "magika" else lengths)]


def test_dispatches_and_memory(model: Path, packs: Path) -> None:
    pack = read_pack(packs / model.stem)
    assert len(pack.plan.steps) <= {"minilm-l3": 32, "magika": 8}[model.stem]
    placed = place(pack.plan, {s.id: 3 for s in pack.plan.symbols})
    assert placed.peak == placed.lower_bound


def test_one_pack_answers_every_shape(model: Path, browser: Performer) -> None:
    oracle = Oracle(model, sizes_of(model, LENGTHS))
    options = {"device": "webgpu"}
    args = {"url": f"/packs/{model.stem}", "feeds": oracle.json_feeds, "options": options}
    found = browser.run(RUN, args, timeout=240)
    oracle.check(found["results"])
    assert found["compiled"] == 0, "kernels were compiled after loading"
    assert found["loaded"] > 0


@pytest.mark.parametrize(
    ("fixture", "threads", "relaxed"),
    [
        ("isolated", 2, True),
        ("isolated", 2, False),
        ("chromium", 1, True),
        ("chromium", 1, False),
        ("isolated_firefox", 2, True),
        ("firefox", 1, False),
    ],
)
def test_the_cpu_answers_every_shape(
    model: Path, request: pytest.FixtureRequest, fixture: str, threads: int, relaxed: bool
) -> None:
    browser: Performer = request.getfixturevalue(fixture)
    oracle = Oracle(model, sizes_of(model, LENGTHS))
    options = {"device": "wasm", "threads": 2, "relaxedSimd": relaxed}
    args = {"url": f"/packs/{model.stem}", "feeds": oracle.json_feeds, "options": options}
    found = browser.run(RUN, args, timeout=240)
    oracle.check(found["results"])
    assert (found["threads"], bool(found["features"])) == (threads, relaxed)
    assert found["loaded"] == 0


@pytest.mark.parametrize("fixture", ["isolated", "chromium", "firefox"])
@pytest.mark.parametrize("model", ["minilm-l3"], indirect=True)
def test_the_page_goes_on_while_the_cpu_computes(
    model: Path, request: pytest.FixtureRequest, fixture: str
) -> None:
    """On a slow machine there are more ticks, on a fast one still some: the run takes long."""
    browser: Performer = request.getfixturevalue(fixture)
    oracle = Oracle(model, [(3, 300)])
    args = {"url": f"/packs/{model.stem}", "feeds": oracle.json_feeds}
    assert browser.run(TICKS, args) >= 4


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_the_python_session_in_a_page(
    model: Path, chromium: Chromium, wheel: str, device: str
) -> None:
    oracle = Oracle(model, sizes_of(model, (7, 128)))
    args = {"url": f"/packs/{model.stem}", "feeds": oracle.json_feeds, "device": device}
    report = python(chromium, wheel, PYODIDE, args)
    oracle.check(report["found"]["results"])
    assert report["pipelines"] == (report["found"]["compiled"] if device == "webgpu" else 0)


def test_the_page_generates_the_packs_modules(
    model: Path, packs: Path, chromium: Chromium, wheel: str
) -> None:
    """The same kernels natively and in the browser: identical bytes."""
    report = python(chromium, wheel, MODULES_IN_PYODIDE, {"url": f"/packs/{model.stem}"})
    assert report["found"]["same"] == [True, True]
    assert report["found"]["kernels"]
    pack = read_pack(packs / model.stem)
    assert report["found"]["sha256"] == [module.sha256 for module in pack.wasm.modules]
