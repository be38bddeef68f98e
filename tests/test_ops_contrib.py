"""ONNX Runtime's own operators, each against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from runtimes import MICROSOFT, Array, check, model_of, oracle

RANDOM = np.random.default_rng(11)


def floats(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(np.float32)


def of(
    op: str, inputs: str, feeds: Mapping[str, Array], constants: Mapping[str, Any] | None = None,
    outputs: str = "y", domain: str = MICROSOFT, opset: int = 17, **attributes: Any,
) -> onnx.ModelProto:  # fmt: skip
    names = ["" if n == "_" else n for n in inputs.split()]
    results = ["" if n == "_" else n for n in outputs.split()]
    node = helper.make_node(op, names, results, domain=domain, **attributes)
    return model_of([node], feeds, [r for r in results if r], constants, opset)


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
def test_fused_matmul(trans_a: int, trans_b: int) -> None:
    a, b = floats(2, 3, 5, 7), floats(2, 3, 7, 4)
    feeds = {"a": a.swapaxes(2, 3).copy() if trans_a else a}
    feeds["b"] = b.swapaxes(2, 3).copy() if trans_b else b
    check(of("FusedMatMul", "a b", feeds, alpha=0.5, transA=trans_a, transB=trans_b), feeds)


def test_fused_matmul_with_batches_behind() -> None:
    feeds = {"a": floats(5, 2, 3, 7), "b": floats(2, 3, 7, 4)}
    check(of("FusedMatMul", "a b", feeds, transBatchA=1), feeds)


ACTIVATIONS: list[tuple[str, dict[str, Any]]] = [
    ("Relu", {}), ("Tanh", {}), ("Sigmoid", {}), ("LeakyRelu", {"activation_params": [0.2]}),
    ("Clip", {"activation_params": [-0.5, 0.5]}),
    ("HardSigmoid", {"activation_params": [0.3, 0.4]}),
]  # fmt: skip


@pytest.mark.parametrize(("activation", "rest"), ACTIVATIONS)
def test_fused_convolutions(activation: str, rest: Mapping[str, Any]) -> None:
    feeds = {"x": floats(1, 3, 8, 7)}
    constants = {"w": floats(4, 3, 3, 3), "b": floats(4)}
    model = of("FusedConv", "x w b", feeds, constants, activation=activation, **rest)
    check(model, feeds)


def test_a_convolution_and_a_sum() -> None:
    feeds = {"x": floats(1, 3, 8, 7), "z": floats(1, 4, 6, 5)}
    constants = {"w": floats(4, 3, 3, 3), "b": floats(4)}
    check(of("FusedConv", "x w b z", feeds, constants, activation="Relu"), feeds)


def test_fused_gemm() -> None:
    feeds, constants = {"x": floats(5, 8)}, {"w": floats(6, 8), "b": floats(6)}
    rest: dict[str, Any] = {"activation": "LeakyRelu", "activation_alpha": 0.1, "transB": 1}
    check(of("FusedGemm", "x w b", feeds, constants, **rest), feeds)


@pytest.mark.parametrize(
    ("op", "inputs", "kept"),
    [
        ("Gelu", "x", {}), ("BiasGelu", "x b", {}), ("FastGelu", "x b", {}), ("FastGelu", "x", {}),
        ("QuickGelu", "x", {"alpha": 1.5}),
    ],
)  # fmt: skip
def test_activations(op: str, inputs: str, kept: Mapping[str, Any]) -> None:
    feeds, constants = {"x": floats(2, 5, 12)}, {"b": floats(12)} if "b" in inputs.split() else {}
    check(of(op, inputs, feeds, constants, **kept), feeds)


def test_split_gelu() -> None:
    feeds, bias = {"x": floats(2, 5, 12)}, floats(12)
    left, right = np.split(feeds["x"] + bias, 2, -1)
    wanted = left * onnx_gelu(right)
    check(of("BiasSplitGelu", "x b", feeds, {"b": bias}), feeds, [wanted])


def onnx_gelu(x: Array) -> Array:
    feeds = {"x": x}
    model = of("Gelu", "x", feeds)
    return oracle(model, feeds)[0]


@pytest.mark.parametrize("skip", [(2, 5, 16), (1, 5, 16), (5, 16)])
def test_skip_layer_normalization(skip: tuple[int, ...]) -> None:
    feeds = {"x": floats(2, 5, 16), "s": floats(*skip)}
    constants = {"g": floats(16), "b": floats(16), "c": floats(16)}
    model = of("SkipLayerNormalization", "x s g b c", feeds, constants, "y _ _ t", epsilon=1e-4)
    check(model, feeds)
    model = of("SkipSimplifiedLayerNormalization", "x s g c", feeds,
               {n: constants[n] for n in "gc"}, "y _ _ t")  # fmt: skip
    check(model, feeds)


@pytest.mark.parametrize("opset", [11, 17])
def test_normalisations_in_older_models(opset: int) -> None:
    feeds, constants = {"x": floats(2, 5, 16)}, {"g": floats(16), "b": floats(16)}
    model = of("LayerNormalization", "x g b", feeds, constants, domain="", opset=opset)
    check(model, feeds)
    model = of("SimplifiedLayerNormalization", "x g", feeds, {"g": constants["g"]}, domain="",
               opset=opset)  # fmt: skip
    check(model, feeds)


def test_embed_layer_normalization() -> None:
    ids = RANDOM.integers(0, 20, (2, 6), np.int32)
    mask = np.array([[1, 1, 1, 1, 0, 0], [1] * 6], np.int32)
    feeds = {"i": ids, "s": ids % 2, "m": mask}
    constants = {"w": floats(20, 8), "p": floats(9, 8), "t": floats(2, 8), "g": floats(8),
                 "b": floats(8)}  # fmt: skip
    node = helper.make_node("EmbedLayerNormalization", list("iswptgbm"), ["y", "n", "e"],
                            domain=MICROSOFT)  # fmt: skip
    kinds = {"y": np.float32, "n": np.int32, "e": np.float32}
    check(model_of([node], feeds, kinds, constants), feeds)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("block", [16, 32])
@pytest.mark.parametrize("points", ["none", "packed", "float"])
def test_matmul_nbits(bits: int, block: int, points: str) -> None:
    k, n, blocks = 72, 20, -(-72 // block)
    feeds = {"a": floats(2, 3, k)}
    each = 8 // bits
    raw = RANDOM.integers(0, 255, (n, blocks, block // each), np.uint8, endpoint=True)
    constants: dict[str, Any] = {"b": raw, "s": np.abs(floats(n, blocks)) / 10}
    numbers = np.stack([raw >> (bits * j) & ((1 << bits) - 1) for j in range(each)], -1)
    weight = numbers.reshape(n, blocks, block).astype(np.float32)
    zero = np.full((n, blocks), 1 << bits - 1, np.float32)
    inputs = "a b s"
    if points == "packed":
        width = -(-blocks * bits // 8)
        constants["z"] = RANDOM.integers(0, 255, (n, width), np.uint8, endpoint=True)
        spread = [constants["z"] >> (bits * j) & ((1 << bits) - 1) for j in range(each)]
        zero = np.stack(spread, -1).reshape(n, -1)[:, :blocks].astype(np.float32)
        inputs += " z"
    elif points == "float":
        constants["z"] = zero = floats(n, blocks) + 4
        inputs += " z"
    model = of("MatMulNBits", inputs, feeds, constants, K=k, N=n, bits=bits, block_size=block)
    weight = ((weight - zero[..., None]) * constants["s"][..., None]).reshape(n, -1)[:, :k]
    wanted = feeds["a"] @ weight.T
    check(model, feeds, [wanted], atol=1e-4)


def test_matmul_nbits_of_the_runtime() -> None:
    feeds = {"a": floats(3, 64)}
    raw = RANDOM.integers(0, 255, (24, 2, 16), np.uint8, endpoint=True)
    constants = {"b": raw, "s": np.abs(floats(24, 2)) / 10, "bias": floats(24)}
    model = of("MatMulNBits", "a b s _ _ bias", feeds, constants, K=64, N=24, bits=4, block_size=32)
    check(model, feeds, atol=1e-3, rtol=1e-3)


def qkv(batch: int, rows: int, columns: int, width: int, kept: int | None = None) -> dict[str, Any]:
    kept = width if kept is None else kept
    return {
        "q": floats(batch, rows, width), "k": floats(batch, columns, kept),
        "v": floats(batch, columns, kept),
    }  # fmt: skip


PADDINGS: dict[str, Any] = {
    "none": None, "flags": np.array([[1] * 6, [1, 1, 1, 1, 0, 0]], np.int32),
    "lengths": np.array([6, 4], np.int32),
}  # fmt: skip


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("causal", [0, 1])
def test_attention(padding: str, causal: int) -> None:
    feeds: dict[str, Array] = {"x": floats(2, 6, 16)}
    inputs = "x w b"
    if PADDINGS[padding] is not None:
        feeds["m"] = PADDINGS[padding]
        inputs += " m"
    constants = {"w": floats(16, 48) / 4, "b": floats(48)}
    model = of("Attention", inputs, feeds, constants, num_heads=4, unidirectional=causal)
    check(model, feeds)


def test_attention_with_a_past() -> None:
    feeds = {"x": floats(2, 3, 16), "p": floats(2, 2, 4, 5, 4)}
    constants = {"w": floats(16, 48) / 4, "b": floats(48)}
    model = of("Attention", "x w b _ p", feeds, constants, "y z", num_heads=4, unidirectional=1)
    check(model, feeds)


@pytest.mark.parametrize("padding", ["none", "flags", "lengths"])
def test_multi_head_attention(padding: str) -> None:
    feeds: dict[str, Array] = qkv(2, 5, 6, 16) | {"r": floats(1, 4, 5, 6)}
    if PADDINGS[padding] is not None:
        feeds["m"] = PADDINGS[padding]
    inputs = f"q k v b {'m' if 'm' in feeds else '_'} r"
    model = of("MultiHeadAttention", inputs, feeds, {"b": floats(48)}, num_heads=4)
    check(model, feeds)


def test_multi_head_attention_with_a_past() -> None:
    feeds = qkv(2, 3, 3, 16) | {"pk": floats(2, 4, 5, 4), "pv": floats(2, 4, 5, 4)}
    model = of("MultiHeadAttention", "q k v _ _ _ pk pv", feeds, outputs="y a c", num_heads=4,
               unidirectional=1)  # fmt: skip
    check(model, feeds)


def test_multi_head_attention_over_what_was_projected() -> None:
    feeds = {"q": floats(2, 3, 16), "k": floats(2, 4, 6, 4), "v": floats(2, 4, 6, 4)}
    check(of("MultiHeadAttention", "q k v", feeds, num_heads=4), feeds)
    packed = floats(2, 6, 4, 3, 4)
    plain = {n: packed[..., j, :].reshape(2, 6, 16) for j, n in enumerate("qkv")}
    wanted = oracle(of("MultiHeadAttention", "q k v", plain, num_heads=4), plain)
    check(of("MultiHeadAttention", "q", {"q": packed}, num_heads=4), {"q": packed}, wanted)


@pytest.mark.parametrize("rotary", [0, 1])
@pytest.mark.parametrize("window", [-1, 3])
def test_group_query_attention_over_a_cache(rotary: int, window: int) -> None:
    total = 8
    feeds: dict[str, Array] = qkv(2, 1, 1, 64, 32)
    feeds["n"] = np.array([5, 7], np.int32)
    held = (np.arange(total) < feeds["n"][:, None])[:, None, :, None]
    feeds |= {name: floats(2, 2, total, 16) * held for name in ("pk", "pv")}
    constants: dict[str, Any] = {"t": np.array(total, np.int32)}
    inputs = "q k v pk pv n t"
    if rotary:
        constants |= {"c": floats(16, 8), "s": floats(16, 8)}
        inputs += " c s"
    model = of("GroupQueryAttention", inputs, feeds, constants, "y a b", num_heads=4,
               kv_num_heads=2, do_rotary=rotary, local_window_size=window)  # fmt: skip
    check(model, feeds)


def test_group_query_attention_of_a_prompt() -> None:
    feeds: dict[str, Array] = qkv(2, 6, 6, 64, 32)
    feeds["n"] = np.array([5, 5], np.int32)
    constants: dict[str, Any] = {"t": np.array(6, np.int32), "c": floats(8, 8), "s": floats(8, 8)}
    model = of("GroupQueryAttention", "q k v _ _ n t c s", feeds, constants, "y a b", num_heads=4,
               kv_num_heads=2, do_rotary=1, softcap=20.0)  # fmt: skip
    check(model, feeds)


@pytest.mark.parametrize("together", [0, 1])
@pytest.mark.parametrize("positions", ["each", "first"])
def test_rotary_embedding(together: int, positions: str) -> None:
    at = np.array([3], np.int64) if positions == "first" else RANDOM.integers(0, 9, (2, 5))
    feeds = {"x": floats(2, 5, 16), "p": at.astype(np.int64)}
    constants = {"c": floats(12, 4), "s": floats(12, 4)}
    check(of("RotaryEmbedding", "x p c s", feeds, constants, interleaved=together), feeds)


def with_symbols(model: onnx.ModelProto, symbols: Mapping[int, str]) -> onnx.ModelProto:
    """The same model with dims of these lengths dynamic."""
    for info in model.graph.input:
        for dim in info.type.tensor_type.shape.dim:
            if dim.dim_value in symbols:
                dim.dim_param = symbols[dim.dim_value]
    return model


def test_attention_over_dynamic_lengths() -> None:
    symbols = {3: "batch", 7: "rows"}
    feeds: dict[str, Array] = {"x": floats(3, 7, 16)}
    feeds["m"] = (np.arange(7) < np.array([[7], [5], [2]])).astype(np.int32)
    constants = {"w": floats(16, 48) / 4, "b": floats(48)}
    model = of("Attention", "x w b m", feeds, constants, num_heads=4, unidirectional=1)
    check(with_symbols(model, symbols), feeds)
    feeds = qkv(3, 7, 7, 16) | {"m": feeds["m"]}
    model = of("MultiHeadAttention", "q k v b m", feeds, {"b": constants["b"]}, num_heads=4)
    check(with_symbols(model, symbols), feeds)
    feeds = {"x": floats(3, 7, 16), "s": floats(3, 7, 16)}
    constants = {"g": floats(16), "b": floats(16)}
    model = of("SkipLayerNormalization", "x s g b", feeds, constants, "y _ _ t")
    check(with_symbols(model, symbols), feeds)


def test_a_cache_that_grows_by_a_dynamic_length() -> None:
    """As a decoder has it: the total length is that of its mask."""
    feeds: dict[str, Array] = qkv(3, 1, 1, 64, 32)
    feeds |= {"pk": floats(3, 2, 7, 16), "pv": floats(3, 2, 7, 16)}
    feeds["m"] = np.ones((3, 8), np.int64)
    constants = {
        "one": np.array(1, np.int64), "axis": np.array([1], np.int64), "c": floats(16, 8),
        "s": floats(16, 8),
    }  # fmt: skip
    nodes = [
        helper.make_node("Shape", ["m"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["length"]),
        helper.make_node("Cast", ["length"], ["t"], to=6),
        helper.make_node("ReduceSum", ["m", "axis"], ["sums"], keepdims=0),
        helper.make_node("Sub", ["sums", "one"], ["last"]),
        helper.make_node("Cast", ["last"], ["n"], to=6),
        helper.make_node(
            "GroupQueryAttention", ["q", "k", "v", "pk", "pv", "n", "t", "c", "s"],
            ["y", "a", "b"], domain=MICROSOFT, num_heads=4, kv_num_heads=2, do_rotary=1,
        ),
    ]  # fmt: skip
    model = model_of(nodes, feeds, ["y", "a", "b"], constants)
    check(with_symbols(model, {3: "batch", 7: "past", 8: "total"}), feeds)
