"""Extremes of nothing and of infinities, masked scores: with dynamic dims, on every device."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from adapters import ADAPTERS, opened
from onnx import TensorProto, helper

import webrt
from webrt.runtime.device import Device
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync

FLOAT, INF = TensorProto.FLOAT, np.inf


@pytest.fixture(params=[*ADAPTERS, "wasm-2"], scope="module")
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with opened(request.param) as found:
        yield found


def graph() -> onnx.ModelProto:
    """Of x [n, m]: extremes of rows, of their first k elements, places, a masked softmax."""
    x = helper.make_tensor_value_info("x", FLOAT, ["n", "m"])
    none = helper.make_tensor_value_info("none", FLOAT, ["n", 0])
    allowed = helper.make_tensor_value_info("allowed", TensorProto.BOOL, ["n", "m"])
    rows = {"axes": [1], "keepdims": 0}
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["max"], **rows),
        helper.make_node("ReduceMin", ["x"], ["min"], **rows),
        helper.make_node("ReduceMax", ["none"], ["max0"], **rows),
        helper.make_node("ReduceMin", ["none"], ["min0"], **rows),
        helper.make_node("ArgMax", ["x"], ["argmax"], axis=1, keepdims=0),
        helper.make_node("TopK", ["x", "k"], ["top", "places"]),
        helper.make_node("Unsqueeze", ["x", "one"], ["images"]),
        helper.make_node("MaxPool", ["images"], ["pooled"], kernel_shape=[3], pads=[1, 1]),
        helper.make_node("Where", ["allowed", "x", "never"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("IsNaN", ["weights"], ["nan"]),
        helper.make_node("Where", ["nan", "zero", "weights"], ["kept"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, kind, None)
        for name, kind in [
            *((n, FLOAT) for n in ("max", "min", "max0", "min0", "top", "pooled")),
            *((n, FLOAT) for n in ("scores", "kept")),
            ("argmax", TensorProto.INT64), ("places", TensorProto.INT64), ("nan", TensorProto.BOOL),
        ]
    ]  # fmt: skip
    constants = [
        helper.make_tensor("k", TensorProto.INT64, [1], [2]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("never", FLOAT, [], [-INF]),
        helper.make_tensor("zero", FLOAT, [], [0.0]),
    ]
    made = helper.make_graph(nodes, "infinities", [x, none, allowed], outputs, constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


FEEDS = {
    "x": np.array(
        [[-INF, -INF, -INF, -INF], [INF, INF, INF, INF], [1, INF, -INF, 2], [4, -1, 0, 3]],
        np.float32,
    ),
    "none": np.zeros((4, 0), np.float32),
    "allowed": np.array([[1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 1, 1]], bool),
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("infinities")
    onnx.save(graph(), folder / "model.onnx")
    webrt.pack(folder / "model.onnx", folder / "pack")
    return folder


def test_as_onnx_runtime_has_it(packed: Path, device: Device) -> None:
    oracle = onnxruntime.InferenceSession(str(packed / "model.onnx"))
    names = [o.name for o in oracle.get_outputs()]
    wanted = dict(zip(names, oracle.run(None, FEEDS), strict=True))
    lowest = np.finfo(np.float32).min  # what ONNX Runtime's MaxPool starts from
    wanted["pooled"] = np.where(wanted["pooled"] == lowest, -INF, wanted["pooled"])
    session = run_sync(Session.open(FolderSource(packed / "pack"), device))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = session.run(FEEDS)
    for name in names:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-6, err_msg=name)
