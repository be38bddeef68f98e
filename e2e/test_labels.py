"""Classifiers in pages: labels that are strings come as strings, maps as a matrix with names."""

from __future__ import annotations

from pathlib import Path

import onnx
from browsers import Performer
from onnx import TensorProto, helper

import webrt

RUN = """async ({InferenceSession, Tensor}, {url, device, worker}) => {
  const session = await InferenceSession.create(url, {device, worker});
  const x = new Tensor("float32", [3, 0, 0, 3, -3, -3], [3, 2]);
  const {label, maps} = await session.run({x});
  const found = {type: label.type, dims: label.dims, data: label.data, maps: maps.dims,
    again: await label.getData(), outputs: session.outputMetadata};
  await session.release();
  return found;
}"""
NAMES = ["setosa", "versicolor", "vir\u2028ginica"]


def test_labels(packs: Path, chromium: Performer) -> None:
    score = helper.make_node(
        "LinearClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml",
        coefficients=[1.0, 0.0, 0.0, 1.0, -1.0, -1.0], intercepts=[0.0, 0.0, 0.1],
        classlabels_strings=NAMES, post_transform="SOFTMAX",
    )  # fmt: skip
    maps = helper.make_node(
        "ZipMap", ["scores"], ["maps"], domain="ai.onnx.ml", classlabels_strings=NAMES
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    label = helper.make_tensor_value_info("label", TensorProto.STRING, ["n"])
    graph = helper.make_graph([score, maps], "g", [x], [label, onnx.ValueInfoProto(name="maps")])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), packs / "labels.onnx")
    webrt.pack(packs / "labels.onnx", packs / "labels")
    for device, worker in (("wasm", False), ("webgpu", False), ("wasm", True)):
        url = "/packs/labels"
        found = chromium.run(RUN, {"url": url, "device": device, "worker": worker})
        assert (found["type"], found["dims"], found["maps"]) == ("string", [3], [3, 3])
        assert found["data"] == found["again"] == NAMES
        first, second = found["outputs"]
        assert (first["type"], first["texts"]) == ("string", NAMES)
        assert (second["type"], second["columns"]) == ("float32", NAMES)
