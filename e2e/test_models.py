"""Real models in real browsers: the answers of ONNX Runtime, at every batch and length."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from browsers import Chromium, Performer
from check_models import BATCHES, LENGTHS, example
from test_pyodide import python

from webrt.pack.read import read_pack
from webrt.plan.memory import place

RUN = """async ({InferenceSession, counts, decodeAll, encodeAll}, {url, feeds}) => {
  const session = await InferenceSession.create(url, {device: "webgpu"});
  const loaded = counts.pipelines;
  const results = [];
  for (const feed of feeds) results.push(encodeAll(await session.run(decodeAll(feed))));
  await session.release();
  return {results, compiled: counts.pipelines - loaded, loaded};
}"""

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
session = await webrt.load_async(args["url"])
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
    args = {"url": f"/packs/{model.stem}", "feeds": oracle.json_feeds}
    found = browser.run(RUN, args, timeout=240)
    oracle.check(found["results"])
    assert found["compiled"] == 0, "kernels were compiled after loading"
    assert found["loaded"] > 0


def test_the_python_session_in_a_page(model: Path, chromium: Chromium, wheel: str) -> None:
    oracle = Oracle(model, sizes_of(model, (7, 128)))
    args = {"url": f"/packs/{model.stem}", "feeds": oracle.json_feeds}
    report = python(chromium, wheel, PYODIDE, args)
    oracle.check(report["found"]["results"])
    assert report["pipelines"] == report["found"]["compiled"]
