"""Products between quantisations: models of ONNX Runtime's own quantiser, held to ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from runtimes import Array, check, model_of

import webrt
from webrt.dtypes import DType
from webrt.frontend.onnx import from_proto
from webrt.kernel.expr import walk
from webrt.kernel.problem import Contract
from webrt.passes import pipeline
from webrt.passes.qdq import multiply_whole
from webrt.schedule.cpu.whole import whole

RANDOM = np.random.default_rng(11)
BYTES = {"u": QuantType.QUInt8, "s": QuantType.QInt8}


def floats(*shape: int) -> Array:
    fan = int(np.prod(shape[:-1])) if len(shape) < 4 else int(np.prod(shape[1:]))
    return (RANDOM.standard_normal(shape) / np.sqrt(fan)).astype(np.float32)


def node(op: str, inputs: str, output: str, **kept: Any) -> Any:
    return helper.make_node(op, inputs.split(), [output], name=output, **kept)


def perceptron() -> tuple[list[Any], dict[str, Array], Array]:
    nodes = [
        node("MatMul", "x w", "p"), node("Add", "p b", "q"), node("Relu", "q", "r"),
        node("Gemm", "r v c", "y", transB=1),
    ]  # fmt: skip
    made = {"w": floats(48, 64), "b": floats(64), "v": floats(40, 64), "c": floats(40)}
    return nodes, made, RANDOM.standard_normal((7, 48)).astype(np.float32)


def convolutions() -> tuple[list[Any], dict[str, Array], Array]:
    nodes = [
        node("Conv", "x w b", "p", pads=[1, 1, 1, 1], strides=[2, 2]), node("Relu", "p", "q"),
        node("Conv", "q d", "r", pads=[1, 1, 1, 1], group=40),
        node("Conv", "r v c", "y", group=2),
    ]  # fmt: skip
    made = {
        "w": floats(40, 3, 3, 3), "b": floats(40), "d": floats(40, 1, 3, 3),
        "v": floats(64, 20, 1, 1), "c": floats(64),
    }  # fmt: skip
    return nodes, made, RANDOM.standard_normal((2, 3, 9, 11)).astype(np.float32)


def attention() -> tuple[list[Any], dict[str, Array], Array]:
    nodes = [
        *(node("MatMul", f"x w{n}", n) for n in "qkv"), node("Transpose", "k", "t", perm=[0, 2, 1]),
        node("MatMul", "q t", "s"), node("Softmax", "s", "p"), node("MatMul", "p v", "o"),
        node("Reshape", "o five", "f"), node("Reshape", "f three", "g"),
        node("MatMul", "g wo", "u"), node("Add", "u x", "y"),
    ]  # fmt: skip
    made = {f"w{n}": floats(48, 48) for n in "qkvo"}
    made |= {"five": np.array([2, 5, 3, 16]), "three": np.array([2, 5, 48])}
    return nodes, made, RANDOM.standard_normal((2, 5, 48)).astype(np.float32)


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """A batch or two."""

    def __init__(self, x: Array) -> None:
        self.left = [x, x[::-1] * np.float32(0.9)]

    def get_next(self) -> dict[str, Array] | None:
        return {"x": np.ascontiguousarray(self.left.pop())} if self.left else None


def quantised(parts: Any, activations: str, weights: str, per_channel: bool) -> onnx.ModelProto:
    nodes, made, x = parts
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "f.onnx", Path(folder) / "q.onnx"
        onnx.save(model_of(nodes, {"x": x}, ["y"], made), source)
        quantize_static(
            source, target, Reader(x), quant_format=QuantFormat.QDQ, per_channel=per_channel,
            activation_type=BYTES[activations], weight_type=BYTES[weights],
        )  # fmt: skip
        return onnx.load(target)


def contractions(model: onnx.ModelProto) -> list[Contract]:
    built = pipeline.build(from_proto(model, "m.onnx"))
    return [p for p in built.plan.problems if isinstance(p, Contract)]


@pytest.mark.parametrize(
    ("make", "activations", "weights", "per_channel", "products"),
    [
        (perceptron, "u", "s", False, 2), (perceptron, "u", "u", True, 2),
        (convolutions, "s", "s", True, 2), (attention, "u", "s", True, 4),
    ],
)  # fmt: skip
def test_models_of_the_quantiser(
    make: Any, activations: str, weights: str, per_channel: bool, products: int
) -> None:
    """All products with constants are sums of integers on a CPU, and the answer is the same."""
    parts = make()
    model = quantised(parts, activations, weights, per_channel)
    found = contractions(model)
    assert sum(whole(p).a.dtype is DType.I32 for p in found) == products
    assert all(p.a.dtype is DType.F32 for p in found)
    step = next(i for i in model.graph.initializer if i.name == "y_scale")
    atol = 1.01 * float(numpy_helper.to_array(step))
    devices = ["wasm-1"] if make is attention else ["wasm-1", "llvmpipe"]
    check(model, {"x": parts[2]}, rtol=0, atol=atol, devices=devices)


def qdq(k: int = 64, **kept: Any) -> onnx.ModelProto:
    """One product; `kept`: constants in place of those that it has."""
    made = {
        "xs": np.float32(0.02), "xz": np.uint8(130), "w": RANDOM.integers(-128, 128, (k, 32)),
        "ws": RANDOM.uniform(0.01, 0.05, 32), "wz": np.zeros(32),
    } | kept  # fmt: skip
    made["w"], made["wz"] = made["w"].astype(np.int8), made["wz"].astype(np.int8)
    made["ws"] = made["ws"].astype(np.float32)
    axis = {"axis": 1, **({"block_size": 16} if made["ws"].ndim > 1 else {})}
    nodes = [
        node("QuantizeLinear", "x xs xz", "n"), node("DequantizeLinear", "n xs xz", "a"),
        node("DequantizeLinear", "w ws wz", "b", **axis), node("MatMul", "a b", "y"),
    ]  # fmt: skip
    return model_of(nodes, {"x": np.zeros((3, k), np.float32)}, ["y"], made, opset=21)


def test_zero_points_are_exact(tmp_path: Path) -> None:
    """No rounding but that of the scales, where sums of floats would have some."""
    zero = RANDOM.integers(-128, 128, 32)
    model = qdq(600, wz=zero)
    assert whole(contractions(model)[0]).a.dtype is DType.I32
    made = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    x = RANDOM.uniform(-3, 3, (3, 600)).astype(np.float32)
    a = np.clip(np.rint(x / made["xs"]) + 130, 0, 255).astype(np.int64) - 130
    exact = (a @ (made["w"].astype(np.int64) - zero)) * (0.02 * made["ws"].astype(np.float64))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    with webrt.load(tmp_path / "pack", "wasm", threads=1) as session:
        np.testing.assert_allclose(session.run({"x": x})["y"], exact, rtol=3e-7)


@pytest.mark.parametrize("transposed", [True, False])
def test_weights_as_pytorch_exports_them(transposed: bool) -> None:
    """Floats that the graph quantises, a scale a row, and transposes once they are floats again."""
    made = {
        "xs": np.float32(0.02), "xz": np.int8(3), "w": floats(40, 64),
        "ws": np.full(40, 0.004, np.float32), "wz": np.zeros(40, np.int8),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x xs xz", "n"), node("DequantizeLinear", "n xs xz", "a"),
        node("QuantizeLinear", "w ws wz", "v", axis=0),
        node("DequantizeLinear", "v ws wz", "b", axis=0),
    ]  # fmt: skip
    if transposed:
        nodes += [node("Transpose", "b", "t", perm=[1, 0]), node("MatMul", "a t", "y")]
    else:
        nodes += [node("Gemm", "a b", "y", transB=1)]
    x = RANDOM.standard_normal((5, 64)).astype(np.float32)
    model = model_of(nodes, {"x": x}, ["y"], made)
    (problem,) = contractions(model)
    assert whole(problem).a.dtype is DType.I32
    check(model, {"x": x}, atol=1e-4, devices=["wasm-1"])


@pytest.mark.parametrize(
    "kept",
    [
        {"k": 132_000},
        {"xz": np.uint16(1300)},
        {"ws": np.full((64, 2), 0.1), "wz": np.zeros((64, 2))},
    ],
    ids=["sums beyond 32 bits", "16 bits", "scales of blocks"],
)
def test_other_products_stay_floats(kept: dict[str, Any]) -> None:
    problem = contractions(qdq(**kept))[0]
    assert whole(problem) is problem


def test_what_is_quantised_again_is_what_it_was() -> None:
    x = RANDOM.integers(0, 256, (4, 6), np.uint8)

    def model(scale: float) -> onnx.ModelProto:
        nodes = [
            node("DequantizeLinear", "x s z", "a"), node("Transpose", "a", "b"),
            node("QuantizeLinear", "b t z", "y"),
        ]  # fmt: skip
        made = {"s": np.float32(0.1), "t": np.float32(scale), "z": np.uint8(100)}
        return model_of(nodes, {"x": x}, {"y": np.uint8}, made)

    def ops(scale: float) -> list[str]:
        return [n.op for n in multiply_whole(from_proto(model(scale), "m.onnx")).nodes]

    assert ops(0.1) == ["Transpose"]
    assert ops(0.2) == ["Dequantize", "Transpose", "QuantizeLinear"]
    for scale in (0.1, 0.2):
        check(model(scale), {"x": x})


def test_no_integers_between_two_quantisations() -> None:
    """What is rounded and only then read as a number stays a float."""
    made = {"s": np.float32(0.1), "z": np.int8(-3)}
    nodes = [
        node("QuantizeLinear", "x s z", "n"), node("DequantizeLinear", "n s z", "a"),
        node("Sqrt", "a", "y"),
    ]  # fmt: skip
    x = RANDOM.uniform(0, 30, 50).astype(np.float32)
    model = model_of(nodes, {"x": x}, ["y"], made)
    (problem,) = pipeline.build(from_proto(model, "m.onnx")).plan.problems
    assert "cast" not in [getattr(e, "op", "") for e in walk(problem.outputs[0].expr)]
    check(model, {"x": x})
