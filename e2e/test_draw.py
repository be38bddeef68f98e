"""Models that draw numbers, in pages: anew in each run, or again from a seed that feeds give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from browsers import Performer

import webrt

MODEL = """<ir_version: 8, opset_import: ["" : 17]>
  draws (float[n] x) => (float[n] y) { y = RandomUniformLike (x) }"""

RUN = """async ({InferenceSession, Tensor}, {url, options}) => {
  const session = await InferenceSession.create(url, options);
  const x = new Tensor("float32", new Float32Array(50), [50]);
  const seed = new Tensor("uint32", Uint32Array.of(9), []);
  const runs = [];
  for (const feeds of [{x}, {x}, {x, "webrt.seed": seed}, {x, "webrt.seed": seed}]) {
    runs.push([...(await session.run(feeds)).y.data]);
  }
  const {inputNames} = session;
  await session.release();
  return {inputNames, runs};
}"""


@pytest.mark.parametrize("options", [{"device": "wasm"}, {"device": "webgpu"}, {"worker": True}])
def test_numbers_are_drawn(options: dict[str, object], packs: Path, chromium: Performer) -> None:
    onnx.save(onnx.parser.parse_model(MODEL), packs / "draw.onnx")
    webrt.pack(packs / "draw.onnx", packs / "draw")
    found = chromium.run(RUN, {"url": "/packs/draw", "options": options})
    assert found["inputNames"] == ["x"]
    first, second, third, fourth = found["runs"]
    assert first != second
    assert third == fourth
    with webrt.load(packs / "draw", device="wasm") as session:
        feeds = {"x": np.zeros(50, np.float32), "webrt.seed": np.uint32(9)}
        np.testing.assert_array_equal(session.run(feeds)["y"], np.float32(third))
