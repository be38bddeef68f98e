"""Quantised operators against ONNX Runtime; weights that stay packed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from onnx import helper
from runtimes import MICROSOFT, Array, check, model_of, oracle

from webrt.frontend.onnx import from_proto
from webrt.kernel.problem import Contract
from webrt.passes import pipeline

RANDOM = np.random.default_rng(7)


def integers(dtype: type, *shape: int) -> Array:
    info = np.iinfo(dtype)
    return RANDOM.integers(info.min, info.max, shape, dtype, endpoint=True)


def weights(*shape: int) -> Array:
    """Of seven bits: ONNX Runtime's products of uint8 by int8 saturate on some processors."""
    return RANDOM.integers(-64, 63, shape, np.int8, endpoint=True)


def floats(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(np.float32)


def scales(*shape: int) -> Array:
    return RANDOM.uniform(0.01, 0.05, shape).astype(np.float32)


def node(op: str, inputs: str, outputs: str = "y", domain: str = "", **kept: Any) -> Any:
    names = ["" if n == "_" else n for n in inputs.split()]
    return helper.make_node(op, names, outputs.split(), domain=domain, **kept)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("way", ["tensor", "axis", "block"])
def test_quantise_and_back(dtype: type, way: str) -> None:
    x = floats(3, 8, 5) * 3
    shape = {"tensor": (), "axis": (8,), "block": (3, 2, 5)}[way]
    kept: dict[str, Any] = {"axis": 1, **({"block_size": 4} if way == "block" else {})}
    constants = {"s": scales(*shape) / 2, "z": integers(dtype, *shape)}
    nodes = [
        node("QuantizeLinear", "x s z", "q", **kept),
        node("DequantizeLinear", "q s z", "y", **kept),
    ]
    model = model_of(nodes, {"x": x}, {"q": dtype, "y": np.float32}, constants, opset=21)
    check(model, {"x": x}, steps=1, atol=0.03)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("scale_shape", [(), (64,)])
def test_weights_stay_packed_in_a_product(dtype: type, scale_shape: tuple[int, ...]) -> None:
    x, weight = floats(2, 5, 96), integers(dtype, 96, 64)
    constants = {"w": weight, "s": scales(*scale_shape), "z": integers(dtype, *scale_shape)}
    nodes = [node("DequantizeLinear", "w s z", "d", axis=1), node("MatMul", "x d")]
    model = model_of(nodes, {"x": x}, ["y"], constants)
    built = pipeline.build(from_proto(model, "m.onnx"))
    (problem,) = built.plan.problems
    assert isinstance(problem, Contract)
    sizes = [a.size for a in built.constants.values()]
    assert 96 * 64 // 4 in sizes
    assert 96 * 64 not in sizes
    check(model, {"x": x}, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("low", "high", "each"), [(0, 3, 16), (-2, 1, 16), (-8, 7, 8), (0, 15, 8)])
def test_narrower_weights_take_fewer_bits(low: int, high: int, each: int) -> None:
    x = floats(3, 40)
    dtype = np.int8 if low < 0 else np.uint8
    weight = RANDOM.integers(low, high, (40, 128), dtype, endpoint=True)
    nodes = [node("DequantizeLinear", "w s", "d"), node("MatMul", "x d")]
    model = model_of(nodes, {"x": x}, ["y"], {"w": weight, "s": np.float32(0.1)})
    built = pipeline.build(from_proto(model, "m.onnx"))
    assert [a.size for a in built.constants.values()] == [40 * 128 // each]
    check(model, {"x": x})


def test_int4_weights_of_a_model() -> None:
    x, weight = floats(3, 32), RANDOM.integers(-8, 7, (32, 20), endpoint=True)
    nodes = [
        node("DequantizeLinear", "w s", "d", axis=0, block_size=16),
        node("MatMul", "x d"),
    ]
    step = scales(2, 20)
    model = model_of(nodes, {"x": x}, ["y"], {"s": step}, opset=21)
    packed = helper.make_tensor("w", 22, (32, 20), weight.reshape(-1))
    model.graph.initializer.append(packed)
    check(model, {"x": x}, [x @ (weight * np.repeat(step, 16, 0)).astype(np.float32)])


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(("left", "right"), [(np.uint8, np.int8), (np.uint8, np.uint8)])
def test_integer_products(left: type, right: type, constant: bool) -> None:
    a = integers(left, 2, 6, 40)
    b = weights(40, 24) if right is np.int8 else integers(right, 40, 24)
    given: dict[str, Array] = {"a": a} if constant else {"a": a, "b": b}
    rest = {"az": integers(left), "bz": integers(right, 24), **({"b": b} if constant else {})}
    model = model_of([node("MatMulInteger", "a b az bz")], given, {"y": np.int32}, rest)
    check(model, given)


def test_integer_convolutions() -> None:
    x, weight = integers(np.uint8, 2, 4, 9, 7), integers(np.uint8, 6, 2, 3, 3)
    rest = {"w": weight, "xz": integers(np.uint8), "wz": integers(np.uint8)}
    nodes = [node("ConvInteger", "x w xz wz", group=2, pads=[1, 1, 1, 1], strides=[2, 1])]
    check(model_of(nodes, {"x": x}, {"y": np.int32}, rest), {"x": x})


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_qlinear_products_and_convolutions(dtype: type) -> None:
    a, b = integers(dtype, 6, 40), weights(40, 24)
    rest: dict[str, Any] = {
        "b": b, "as": scales(), "az": integers(dtype), "bs": scales(24),
        "bz": np.zeros(24, np.int8), "ys": np.float32(0.9), "yz": integers(dtype),
    }  # fmt: skip
    nodes = [node("QLinearMatMul", "a as az b bs bz ys yz")]
    check(model_of(nodes, {"a": a}, {"y": dtype}, rest, opset=21), {"a": a}, steps=1)
    x, weight = integers(dtype, 1, 4, 9, 7), weights(6, 4, 3, 3)
    rest |= {"w": weight, "ws": scales(6), "wz": np.zeros(6, np.int8), "ys": np.float32(2.0)}
    rest |= {"bias": integers(np.int16, 6).astype(np.int32)}
    del rest["b"], rest["bs"], rest["bz"]
    nodes = [node("QLinearConv", "x as az w ws wz ys yz bias", pads=[1, 0, 1, 0])]
    check(model_of(nodes, {"x": x}, {"y": dtype}, rest), {"x": x}, steps=1)


def test_dynamic_quantisation() -> None:
    x, weight, bias = floats(2, 7, 48) * 2, weights(48, 16), floats(16)
    rest = {"w": weight, "s": scales(16), "z": np.zeros(16, np.int8), "bias": bias}
    nodes = [node("DynamicQuantizeLinear", "x", "q s1 z1")]
    kinds = {"q": np.uint8, "s1": np.float32, "z1": np.uint8}
    check(model_of(nodes, {"x": x}, kinds), {"x": x}, steps=1)
    nodes = [node("DynamicQuantizeMatMul", "x w s z bias", domain=MICROSOFT)]
    check(model_of(nodes, {"x": x}, ["y"], rest), {"x": x}, rtol=1e-3, atol=1e-3)


PAIR = "a as az b bs bz ys yz"
ALONE = "a as az ys yz"
CONTRIB: list[tuple[str, str, Mapping[str, Any]]] = [
    ("QLinearAdd", PAIR, {}),
    ("QLinearMul", PAIR, {}),
    ("QLinearSigmoid", ALONE, {}),
    ("QLinearLeakyRelu", ALONE, {"alpha": 0.2}),
    ("QLinearGlobalAveragePool", ALONE, {}),
    ("QLinearAveragePool", ALONE, {"kernel_shape": [3, 2], "strides": [2, 1]}),
    ("QLinearConcat", "ys yz a as az b bs bz", {"axis": 1}),
    ("QLinearSoftmax", "a as az ys yz", {"axis": -1, "opset": 13}),
]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize(("op", "inputs", "kept"), CONTRIB, ids=[c[0] for c in CONTRIB])
def test_runtime_s_own(op: str, inputs: str, kept: Mapping[str, Any], dtype: type) -> None:
    feeds = {"a": integers(dtype, 2, 3, 8, 6)}
    if " b " in f" {inputs} ":
        feeds["b"] = integers(dtype, 2, 3, 8, 6)
    step: Any = np.float32(0.1)
    zero: Any = np.array(3, dtype)
    if op in ("QLinearSigmoid", "QLinearSoftmax"):
        step, zero = np.float32(1 / 256), np.array(np.iinfo(dtype).min, dtype)
    rest = {
        "as": np.float32(0.05), "az": np.array(7, dtype), "bs": np.float32(0.04),
        "bz": np.array(11, dtype), "ys": step, "yz": zero,
    }  # fmt: skip
    used = {n: a for n, a in rest.items() if n in inputs.split()}
    model = model_of([node(op, inputs, domain=MICROSOFT, **kept)], feeds, {"y": dtype}, used)
    check(model, feeds, steps=1)


def test_gemm_and_float_products() -> None:
    a, b = integers(np.uint8, 6, 40), weights(24, 40)
    rest = {
        "b": b, "as": scales(), "az": integers(np.uint8), "bs": scales(24),
        "bz": np.zeros(24, np.int8), "c": integers(np.int16, 24).astype(np.int32),
        "ys": np.float32(0.9), "yz": integers(np.uint8),
    }  # fmt: skip
    nodes = [node("QGemm", "a as az b bs bz c ys yz", domain=MICROSOFT, transB=1)]
    check(model_of(nodes, {"a": a}, {"y": np.uint8}, rest), {"a": a}, steps=1)
    rest = {"b": b.T.copy(), "as": scales(1), "az": integers(np.uint8, 1), "bs": scales(24),
            "bz": np.zeros(24, np.int8), "bias": floats(24)}  # fmt: skip
    nodes = [node("MatMulIntegerToFloat", "a b as bs az bz bias", domain=MICROSOFT)]
    check(model_of(nodes, {"a": a}, ["y"], rest), {"a": a}, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("each", [False, True])
def test_an_lstm_of_narrow_weights(direction: str, each: bool) -> None:
    many, hidden = (2 if direction == "bidirectional" else 1), 6
    feeds = {"x": floats(5, 2, 8)}
    w, r = weights(many, 8, 4 * hidden), weights(many, hidden, 4 * hidden)
    shape = (many, 4 * hidden) if each else (many,)
    ws, rs, bias = scales(*shape) / 8, scales(*shape) / 8, floats(many, 8 * hidden) / 4
    kept: dict[str, Any] = {"direction": direction, "hidden_size": hidden}
    zeros = np.zeros(shape, np.int8)
    rest = {"w": w, "r": r, "b": bias, "ws": ws, "wz": zeros, "rs": rs, "rz": zeros}
    quantised = node("DynamicQuantizeLSTM", "x w r b _ _ _ _ ws wz rs rz", "y h c",
                     domain=MICROSOFT, **kept)  # fmt: skip
    step = (ws.reshape(many, 1, -1), rs.reshape(many, 1, -1))
    plain = {"w": (w * step[0]).swapaxes(1, 2), "r": (r * step[1]).swapaxes(1, 2), "b": bias}
    exact = model_of([node("LSTM", "x w r b", "y h c", **kept)], feeds, ["y", "h", "c"],
                     {n: a.astype(np.float32) for n, a in plain.items()})  # fmt: skip
    check(model_of([quantised], feeds, ["y", "h", "c"], rest), feeds, oracle(exact, feeds))


@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("steps", [(2 / 255, 1 / 255, 2 / 255), (0.5, 0.25, 0.5)])
def test_halves_are_rounded_as_onnx_runtime_does(op: str, steps: tuple[float, ...]) -> None:
    """erf + 1, as GELU has it, lies halfway between two steps for every other value."""
    a, b = (x.astype(np.uint8) for x in np.meshgrid(np.arange(256), np.arange(256)))
    scales = {f"s{j}": np.float32(step) for j, step in enumerate(steps)}
    points = {f"z{j}": np.uint8(point) for j, point in enumerate((217, 68, 131))}
    constants = {name: np.asarray(value) for name, value in (scales | points).items()}
    made = node(op, "a s0 z0 b s1 z1 s2 z2", domain=MICROSOFT)
    feeds = {"a": a, "b": b}
    check(model_of([made], feeds, {"y": np.uint8}, constants), feeds)
