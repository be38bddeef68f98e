"""Signatures of older opsets, from 7 on, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper
from runtimes import Array, check, model_of

RANDOM = np.random.default_rng(5)
X = RANDOM.standard_normal((2, 4, 6, 5)).astype(np.float32)
WIDE = np.arange(80, dtype=np.float32).reshape(1, 1, 8, 10)
ROWS = RANDOM.standard_normal((3, 4, 5)).astype(np.float32)
MANY = (RANDOM.standard_normal((4,)) ** 2 + 0.1).astype(np.float32)
INT = np.int64

Case = tuple[str, dict[str, Any], list[Any], dict[str, Any]]
"""Operator, attributes, further inputs (constants), inputs."""

CASES: dict[int, list[Case]] = {
    7: [
        ("BatchNormalization", {"epsilon": 1e-3}, [MANY, MANY + 1, MANY / 2, MANY], {"x": X}),
        ("BatchNormalization", {"spatial": 1}, [MANY, MANY + 1, MANY / 2, MANY], {"x": X}),
        ("Dropout", {"ratio": 0.3}, [], {"x": X}),
        ("Upsample", {"mode": "nearest", "scales": [1.0, 1.0, 2.0, 3.0]}, [], {"x": X}),
        ("Upsample", {"mode": "linear", "scales": [1.0, 1.0, 2.0, 2.0]}, [], {"x": X}),
        ("Softmax", {"axis": 1}, [], {"x": ROWS}),
        ("Softmax", {}, [], {"x": ROWS}),
        ("Softmax", {"axis": 0}, [], {"x": ROWS}),
        ("LogSoftmax", {"axis": 1}, [], {"x": ROWS}),
        ("Hardmax", {"axis": 1}, [], {"x": ROWS}),
        ("Flatten", {"axis": 2}, [], {"x": X}),
        ("Flatten", {"axis": 0}, [], {"x": X}),
        ("Gemm", {"alpha": 0.5, "transB": 1}, [ROWS[1], MANY[:1]], {"x": ROWS[0]}),
        ("Slice", {"starts": [1, -3], "ends": [9, 4], "axes": [1, 2]}, [], {"x": X}),
        ("Slice", {"starts": [0, 1], "ends": [1, -1]}, [], {"x": X}),
        ("Pad", {"pads": [0, 1, 0, 2, 0, 0, 1, -1], "value": 1.5}, [], {"x": X}),
        ("Pad", {"pads": [0, 0, 2, 1, 0, 0, 1, 2], "mode": "reflect"}, [], {"x": X}),
        ("Pad", {"pads": [0, 0, 2, 1, 0, 0, 1, 2], "mode": "edge"}, [], {"x": X}),
        ("Clip", {"min": -0.5, "max": 0.25}, [], {"x": X}),
        ("Clip", {}, [], {"x": X}),
        ("TopK", {"k": 2, "axis": 1}, [], {"x": ROWS}),
        ("Squeeze", {"axes": [0]}, [], {"x": X[:1]}),
        ("Squeeze", {}, [], {"x": X[:1]}),
        ("Unsqueeze", {"axes": [0, 3]}, [], {"x": ROWS}),
        ("Split", {"axis": 1, "split": [1, 3]}, [], {"x": ROWS}),
        ("ReduceSum", {"axes": [1], "keepdims": 0}, [], {"x": ROWS}),
        ("ReduceMean", {}, [], {"x": ROWS}),
        ("ReduceLogSumExp", {"axes": [0, 2]}, [], {"x": ROWS}),
        ("ArgMax", {"axis": 1, "keepdims": 0}, [], {"x": ROWS}),
        ("PRelu", {}, [MANY.reshape(4, 1, 1)], {"x": X}),
        ("Pow", {}, [np.float32(2)], {"x": X}),
        ("MaxPool", {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [0, 1, 0, 1]}, [],
         {"x": X}),
        ("AveragePool", {"kernel_shape": [2, 2], "count_include_pad": 1, "pads": [1, 1, 0, 0]}, [],
         {"x": X}),
        ("InstanceNormalization", {}, [MANY, MANY], {"x": X}),
        ("LRN", {"size": 3, "alpha": 0.02, "beta": 0.6, "bias": 1.5}, [], {"x": X}),
        ("LpNormalization", {"axis": 2, "p": 1}, [], {"x": ROWS}),
        ("Tile", {}, [np.array([1, 2, 3], INT)], {"x": ROWS}),
        ("DepthToSpace", {"blocksize": 2}, [], {"x": X}),
        ("Gather", {"axis": 1}, [np.array([[2, 0]], INT)], {"x": ROWS}),
        ("Acos", {}, [], {"x": np.linspace(-1, 1, 41, dtype=np.float32)}),
        ("Asin", {}, [], {"x": np.linspace(-1, 1, 41, dtype=np.float32)}),
        ("Atan", {}, [], {"x": np.linspace(-30, 30, 41, dtype=np.float32)}),
    ],
    8: [
        ("Sum", {}, [MANY.reshape(4, 1)], {"x": ROWS}),
        ("Max", {}, [MANY.reshape(4, 1), np.float32(0.4)], {"x": ROWS}),
        ("Mean", {}, [MANY.reshape(4, 1)], {"x": ROWS}),
        ("Expand", {}, [np.array([2, 1, 4, 5], INT)], {"x": ROWS[:1]}),
        ("MaxPool", {"kernel_shape": [2, 2], "storage_order": 0}, [], {"x": X}),
    ],
    9: [
        ("Upsample", {"mode": "nearest"}, [np.array([1, 1, 2, 2], np.float32)], {"x": X}),
        ("Scatter", {"axis": 1}, [np.array([[[1, 3]]], INT), np.ones((1, 1, 2), np.float32)],
         {"x": ROWS}),
        ("MeanVarianceNormalization", {}, [], {"x": X}),
        ("Shrink", {"bias": 0.2, "lambd": 0.3}, [], {"x": X}),
        ("OneHot", {}, [np.array(5, INT), np.array([0, 2], np.float32)],
         {"x": np.array([1, -1, 4], INT)}),
        ("ConstantOfShape", {}, [], {}),
        ("Acosh", {}, [], {"x": np.geomspace(1, 1e4, 41, dtype=np.float32)}),
        ("Asinh", {}, [], {"x": np.linspace(-30, 30, 41, dtype=np.float32)}),
        ("Atanh", {}, [], {"x": np.linspace(-0.99, 0.99, 41, dtype=np.float32)}),
    ],
    10: [
        ("Slice", {}, [np.array([-1], INT), np.array([-9], INT), np.array([1], INT),
                       np.array([-2], INT)], {"x": ROWS}),
        ("Mod", {"fmod": 1}, [np.float32(0.7)], {"x": X}),
        ("Resize", {"mode": "nearest"}, [np.array([1, 1, 2, 1.6], np.float32)], {"x": X}),
        ("Resize", {"mode": "nearest"}, [np.array([1, 1, 0.6, 0.3], np.float32)], {"x": WIDE}),
        ("Resize", {"mode": "nearest"}, [np.array([1, 1, 0.75, 1.5], np.float32)], {"x": WIDE}),
        ("ThresholdedRelu", {"alpha": 0.3}, [], {"x": X}),
        ("Dropout", {"ratio": 0.3}, [], {"x": X}),
        ("TopK", {"axis": 1}, [np.array([2], INT)], {"x": ROWS}),
        ("AveragePool", {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}, [],
         {"x": X}),
    ],
    11: [
        ("Pad", {}, [np.array([0, 0, 1, 1, 0, 0, 1, 0], INT), np.float32(2)], {"x": X}),
        ("Clip", {}, [np.float32(-0.5)], {"x": X}),
        ("BitShift", {"direction": "LEFT"}, [np.array(3, np.uint8)],
         {"x": np.array([1, 200, 255], np.uint8)}),
        ("CumSum", {"exclusive": 1, "reverse": 1}, [np.array(1, INT)], {"x": ROWS}),
        ("Squeeze", {"axes": [-4]}, [], {"x": X[:1]}),
        ("Softmax", {"axis": -2}, [], {"x": ROWS}),
        ("Hardmax", {"axis": -1}, [], {"x": ROWS}),
        ("Det", {}, [], {"x": ROWS[:, :3, :3]}),
    ],
    12: [
        ("Dropout", {}, [np.float32(0.5)], {"x": X}),
        ("Clip", {}, [np.array(-3, np.int8), np.array(9, np.int8)],
         {"x": np.arange(-9, 15, dtype=np.int8)}),
        ("Max", {}, [np.array(3, INT)], {"x": np.arange(-9, 15)}),
        ("ReduceMax", {"axes": [1]}, [], {"x": np.arange(24, dtype=np.uint8).reshape(2, 12)}),
        ("Celu", {"alpha": 2.0}, [], {"x": X}),
        ("ArgMin", {"axis": 2, "select_last_index": 1}, [], {"x": np.round(ROWS)}),
    ],
    13: [
        ("Unsqueeze", {}, [np.array([1, -1], INT)], {"x": ROWS}),
        ("Split", {"axis": 1}, [np.array([1, 3], INT)], {"x": ROWS}),
        ("ReduceSum", {}, [np.array([0, 2], INT)], {"x": ROWS}),
        ("Softmax", {}, [], {"x": ROWS}),
    ],
    18: [
        ("GroupNormalization", {"num_groups": 2}, [MANY[:2], MANY[2:]], {"x": X}),
        ("Split", {"num_outputs": 2, "axis": 2}, [], {"x": ROWS}),
        ("BitwiseXor", {}, [np.array([7, -8], np.int16)],
         {"x": np.array([[-32768, 32767], [5, -6]], np.int16)}),
        ("BitwiseNot", {}, [], {"x": np.array([0, 7, 255], np.uint8)}),
    ],
    21: [("GroupNormalization", {"num_groups": 2}, [MANY, MANY + 1], {"x": X})],
}  # fmt: skip
FLAT = [(opset, *case) for opset, cases in CASES.items() for case in cases if case[3]]
WIDE = {"ArgMax": INT, "ArgMin": INT}
SPLIT = {"Split": 2, "TopK": 2}


@pytest.mark.parametrize(
    ("opset", "op", "attributes", "constants", "feeds"), FLAT,
    ids=[f"{c[1]}-{c[0]}-{j}" for j, c in enumerate(FLAT)],
)  # fmt: skip
def test_an_operator_of_an_opset(
    opset: int, op: str, attributes: dict[str, Any], constants: list[Any], feeds: dict[str, Array]
) -> None:
    names = {f"c{j}": np.asarray(c) for j, c in enumerate(constants)}
    outputs = [f"y{j}" for j in range(SPLIT.get(op, 1))]
    node = helper.make_node(op, [*feeds, *names], outputs, **attributes)
    own = next(iter(feeds.values())).dtype
    kind = WIDE.get(op, np.dtype(np.float32) if op == "OneHot" else own)
    kinds = dict.fromkeys(outputs, kind) | ({"y1": INT} if op == "TopK" else {})
    model = model_of([node], feeds, kinds, names, opset)
    check(model, feeds, rtol=2e-4, devices=("wasm-1",))


def test_before_opset_9_each_pixel_may_have_its_own_normalisation() -> None:
    parameters = {n: RANDOM.uniform(0.5, 2, (4, 6, 5)).astype(np.float32) for n in "sbmv"}
    node = helper.make_node("BatchNormalization", ["x", *"sbmv"], ["y"], spatial=0)
    scaled = (X - parameters["m"]) / np.sqrt(parameters["v"] + 1e-5)
    model = model_of([node], {"x": X}, ["y"], parameters, opset=7)
    check(model, {"x": X}, [scaled * parameters["s"] + parameters["b"]])


def test_a_pool_of_opset_7_has_no_storage_order() -> None:
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2])
    check(model_of([node], {"x": X}, ["y"], opset=7), {"x": X}, devices=("wasm-1",))
