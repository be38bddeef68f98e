"""Models of doubles in pages: Float64Arrays go in and come out, float32 computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from browsers import Performer
from onnx import TensorProto, helper

import webrt

RUN = """async ({InferenceSession, Tensor, rejection}, {url, device}) => {
  const session = await InferenceSession.create(url, {device});
  const {y} = await session.run({x: new Tensor(Float64Array.of(0.5, -Infinity, 2), [1, 3])});
  const found = {type: y.type, isDouble: y.data instanceof Float64Array,
    data: Array.from(y.data, String), inputs: session.inputMetadata.map(({type}) => type)};
  const big = new Tensor("float64", [0, 1e300, 0], [1, 3]);
  found.beyond = await rejection(session.run({x: big}));
  found.single = await rejection(session.run({x: new Tensor("float32", [1, 2, 3], [1, 3])}));
  await session.release();
  return found;
}"""


@pytest.mark.parametrize("device", ["wasm", "webgpu"])
def test_float64(device: str, packs: Path, chromium: Performer) -> None:
    x, y = (helper.make_tensor_value_info(n, TensorProto.DOUBLE, ["n", 3]) for n in "xy")
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "doubles", [x], [y])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]),
        packs / "float64.onnx",
    )
    webrt.pack(packs / "float64.onnx", packs / "float64")
    found = chromium.run(RUN, {"url": "/packs/float64", "device": device})
    assert (found["type"], found["isDouble"], found["inputs"]) == ("float64", True, ["float64"])
    np.testing.assert_array_equal(np.array(found["data"], float), [0.5, np.inf, 2])
    assert found["beyond"]["message"] == (
        "input 'x': the value 1e+300 is outside of float32, which float64 is computed in"
    )
    assert found["single"]["message"] == "input 'x': expected float64 [n, 3], found float32 [1, 3]"
