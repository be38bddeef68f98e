"""More of ONNX Runtime's own operators: against its CPU kernels, or what its documents say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from runtimes import Array, check, helper, model_of, oracle
from test_ops_contrib import floats, of, with_symbols

RANDOM = np.random.default_rng(12)
ONE = ("wasm-1",)


def bytes_(*shape: int) -> Array:
    return RANDOM.integers(0, 256, shape, np.uint8)


Case = tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any]]
"""Operator, inputs, feeds, constants, attributes: ONNX Runtime tells what is right."""

CASES: dict[str, Case] = {
    "table of 4 bits": (
        "GatherBlockQuantized", "w i s z", {"i": np.array([[2, 0, 5]], np.int64)},
        {"w": bytes_(7, 32), "s": floats(7, 4), "z": bytes_(7, 2)},
        {"bits": 4, "block_size": 16},
    ),
    "table of 8 bits": (
        "GatherBlockQuantized", "w i s", {"i": np.array([3, 6], np.int32)},
        {"w": bytes_(7, 32), "s": floats(7, 1)}, {"bits": 8, "block_size": 32},
    ),
    "nf4": (
        "MatMulBnb4", "x w s", {"x": floats(3, 40)}, {"w": bytes_(24 * 20), "s": floats(60)},
        {"K": 40, "N": 24, "block_size": 16, "quant_type": 1},
    ),
    "fp4": (
        "MatMulBnb4", "x w s", {"x": floats(3, 32)}, {"w": bytes_(8 * 16), "s": floats(16)},
        {"K": 32, "N": 8, "block_size": 16, "quant_type": 0},
    ),
    "transposed": ("TransposeMatMul", "a b", {"a": floats(2, 7, 5), "b": floats(2, 7, 3)}, {},
                   {"transA": 1, "alpha": 0.5}),
    "pad": ("Pad", "x p v", {"x": floats(2, 3)},
            {"p": np.array([[0, 1, 2, 0]], np.int64), "v": np.array([7], np.float32)}, {}),
    "trilu": ("Trilu", "x k", {"x": floats(2, 4, 5)}, {"k": np.array(-1, np.int64)}, {"upper": 0}),
    "range": ("Range", "a b", {}, {"a": np.array([2], np.float32), "b": np.array([6], np.float32)},
              {}),
    "dims": ("ExpandDims", "x k", {"x": floats(2, 3)}, {"k": np.array(-1, np.int32)}, {}),
    "gather": ("GatherND", "x i", {"x": floats(4, 3), "i": np.array([[1, 2], [3, 0]], np.int64)},
               {}, {}),
    "distance": ("CDist", "a b", {"a": floats(4, 6), "b": floats(5, 6)}, {},
                 {"metric": "euclidean"}),
    "slices": ("UnfoldTensor", "x", {"x": floats(2, 9, 3)}, {}, {"dim": 1, "size": 4, "step": 2}),
    "samples": ("GridSample", "x g",
                {"x": floats(1, 2, 5, 6), "g": floats(1, 3, 4, 2) / 2}, {},
                {"mode": "bicubic", "padding_mode": "border", "align_corners": 1}),
    "crops": ("CropAndResize", "x r b n",
              {"x": floats(2, 3, 9, 8), "r": RANDOM.uniform(-0.2, 1.1, (4, 4)).astype(np.float32),
               "b": np.array([0, 1, 1, 0], np.int32)}, {"n": np.array([5, 4], np.int32)},
              {"extrapolation_value": 0.5}),
    "gated norm": ("GatedRMSNorm", "x s g", {"x": floats(2, 3, 16), "g": floats(2, 3, 16)},
                   {"s": floats(8)}, {"activation": "silu"}),
    "scaled": ("ScaledSiLU", "x", {"x": floats(3, 5)}, {}, {"alpha": 0.7}),
    "gated": ("GatedAdd", "x z g", {"x": floats(3, 5), "z": floats(3, 5), "g": floats(3, 1)}, {},
              {}),
    "sections": ("MRotaryEmbedding", "x p c s",
                 {"x": floats(2, 5, 32), "p": RANDOM.integers(0, 9, (3, 2, 5))},
                 {"c": floats(9, 8), "s": floats(9, 8)},
                 {"mrope_section": [4, 2, 2], "num_heads": 2, "rotary_embedding_dim": 16}),
    "interleaved sections": ("MRotaryEmbedding", "x p c s",
                             {"x": floats(2, 5, 32), "p": RANDOM.integers(0, 9, (3, 2, 5))},
                             {"c": floats(9, 8), "s": floats(9, 8)},
                             {"mrope_section": [4, 2, 2], "mrope_layout": 1, "num_heads": 2,
                              "rotary_embedding_dim": 16}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_against_the_runtime(name: str) -> None:
    op, inputs, feeds, constants, attributes = CASES[name]
    check(of(op, inputs, feeds, constants, **attributes), feeds, devices=ONE, atol=1e-4)


def test_unique_elements() -> None:
    feeds = {"x": np.array([2, 1, 1, 3, 4, 3], np.float32)}
    node = helper.make_node("Unique", ["x"], ["y", "i", "n"], domain="com.microsoft")
    kinds = {"y": np.float32, "i": np.int64, "n": np.int64}
    check(model_of([node], feeds, kinds), feeds, devices=ONE)


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("past", [False, True])
def test_causal_convolutions(past: bool, last: int) -> None:
    shapes = {"x": (2, 6, 5), "p": (2, 6, 4)}
    feeds = {n: floats(*s) for n, s in shapes.items() if past or n == "x"}
    if last:
        feeds = {n: np.ascontiguousarray(a.transpose(0, 2, 1)) for n, a in feeds.items()}
    rest: dict[str, Any] = {"activation": "silu", "dilation": 2, "channels_last": last}
    model = of("CausalConvWithState", "x w b p" if past else "x w b", feeds,
               {"w": floats(6, 1, 3), "b": floats(6)}, "y s", **rest)  # fmt: skip
    check(model, feeds, devices=ONE)


@pytest.mark.parametrize("past", [False, True])
def test_quantised_attention(past: bool) -> None:
    # Products of larger weights saturate in the runtime's own sums on some CPUs.
    x, weights = bytes_(2, 4, 8), RANDOM.integers(-60, 60, (8, 24), np.int8)
    feeds: dict[str, Array] = {"x": x}
    constants = {
        "w": weights, "b": floats(24), "a": np.array(0.02, np.float32),
        "c": np.array(0.01, np.float32), "z": np.array(120, np.uint8), "o": np.array(0, np.int8),
    }  # fmt: skip
    inputs = "x w b a c _ z o"
    if past:
        feeds["p"] = floats(2, 2, 2, 3, 4)
    model = of("QAttention", inputs + " p" * past, feeds, constants, "y s" if past else "y",
               num_heads=2, unidirectional=1)  # fmt: skip
    check(model, feeds, devices=ONE, atol=1e-4, rtol=1e-3)


def test_quantised_embeddings() -> None:
    ids = RANDOM.integers(0, 20, (2, 6), np.int32)
    feeds = {"i": ids, "s": ids % 2, "m": np.array([[1, 1, 1, 1, 0, 0], [1] * 6], np.int32)}
    constants = {"w": bytes_(20, 8), "p": bytes_(9, 8), "t": bytes_(2, 8), "g": bytes_(8),
                 "b": bytes_(8)}  # fmt: skip
    scales = {f"{n}s": np.array(0.01 * j, np.float32) for j, n in enumerate("wptgb", 1)}
    zeros = {f"{n}z": np.array(100 + j, np.uint8) for j, n in enumerate("wptgb")}
    names = [*"iswptgbm", *scales, *zeros]
    node = helper.make_node("QEmbedLayerNormalization", names, ["y", "n"], domain="com.microsoft")
    model = model_of([node], feeds, {"y": np.float32, "n": np.int32}, constants | scales | zeros)
    check(model, feeds, devices=ONE, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("share", [0, 1])
def test_one_query_of_a_decoder(share: int) -> None:
    feeds: dict[str, Array] = {n: floats(2, 1, 16) for n in "qkv"}
    feeds |= {n: floats(2, 4, 6, 4) for n in ("pk", "pv")}
    constants, wanted = {"n": np.array([3], np.int32)}, None
    inputs = "q k v _ _ pk pv n"
    if not share:  # the runtime's CPU kernel takes none of this, but its other operator does
        inputs, constants = "q k v _ _ pk pv", {}
        plain = of("MultiHeadAttention", "q k v _ _ _ pk pv", feeds, outputs="y a b", num_heads=4)
        wanted = oracle(plain, feeds)
    model = of("DecoderMaskedMultiHeadAttention", inputs, feeds, constants, "y a b", num_heads=4,
               past_present_share_buffer=share)  # fmt: skip
    check(model, feeds, wanted, devices=ONE, atol=1e-4)


@pytest.mark.parametrize("kind", ["relu", "silu", "gelu", "swiglu"])
def test_experts(kind: str) -> None:
    feeds = {"x": floats(2, 3, 16), "r": floats(6, 4)}
    wide = 2 if kind == "swiglu" else 1
    constants = {"a": floats(4, 12 * wide, 16) / 4, "c": floats(4, 12 * wide),
                 "b": floats(4, 16, 12) / 4, "d": floats(4, 16)}  # fmt: skip
    rest: dict[str, Any] = {"swiglu_fusion": 1, "activation_alpha": 1.7, "activation_beta": 1.0,
                            "swiglu_limit": 2.0} if wide == 2 else {}  # fmt: skip
    model = of("MoE", "x r a c b d", feeds, constants, k=2, normalize_routing_weights=1,
               activation_type=kind, **rest)  # fmt: skip
    check(model, feeds, devices=ONE, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("block", [0, 16])
def test_experts_of_few_bits(block: int) -> None:
    feeds = {"x": floats(3, 32), "r": floats(3, 4)}
    count = {0: ((4, 64), (4, 32)), 16: ((4, 64, 2), (4, 32, 2))}[block]
    constants = {"a": bytes_(4, 64, 16), "as": np.abs(floats(*count[0])) / 50,
                 "b": bytes_(4, 32, 16), "bs": np.abs(floats(*count[1])) / 50}  # fmt: skip
    rest: dict[str, Any] = {"block_size": block} if block else {}
    model = of("QMoE", "x r a as _ b bs", feeds, constants, k=2, expert_weight_bits=4,
               normalize_routing_weights=1, activation_type="swiglu", swiglu_fusion=1,
               activation_alpha=1.7, activation_beta=1.0, **rest)  # fmt: skip
    check(model, feeds, devices=ONE, atol=2e-3, rtol=2e-3)


# What ONNX Runtime has no CPU kernel for


def test_quantised_experts_of_two_widths() -> None:
    feeds = {"x": floats(5, 32), "r": floats(5, 4)}
    few, many = bytes_(4, 32, 16), bytes_(4, 32, 32)
    scales = [np.abs(floats(4, 32)) / by for by in (50, 500)]
    numbers = np.stack([few & 15, few >> 4], -1).reshape(4, 32, 32) - np.float32(8)
    weights = {"a": numbers * scales[0][..., None],
               "b": (many - np.float32(128)) * scales[1][..., None]}  # fmt: skip
    rest = {"k": 2, "activation_type": "silu"}
    wanted = oracle(of("MoE", "x r a _ b", feeds, weights, **rest), feeds)
    constants = {"a": few, "as": scales[0], "b": many, "bs": scales[1]}
    model = of("QMoE", "x r a as _ b bs", feeds, constants,
               fc1_expert_weight_bits=4, fc2_expert_weight_bits=8, **rest)  # fmt: skip
    check(model, feeds, wanted, devices=ONE, atol=1e-4)


def silu(x: Array) -> Array:
    return np.asarray(x / (1 + np.exp(-x)), np.float32)


def group_norm(x: Array, gamma: Array, beta: Array, groups: int) -> Array:
    """Of the last axis's channels."""
    shape = x.shape
    parts = x.reshape(shape[0], -1, groups, shape[-1] // groups)
    mean, var = parts.mean((1, 3), keepdims=True), parts.var((1, 3), keepdims=True)
    return np.asarray(((parts - mean) / np.sqrt(var + 1e-5)).reshape(shape) * gamma + beta)


@pytest.mark.parametrize("last", [0, 1])
def test_group_norms(last: int) -> None:
    x, skip, gamma, beta, bias = (floats(2, 3, 4, 8), floats(2, 8), floats(8), floats(8), floats(8))
    total = x + skip[:, None, None] + bias
    wanted = [silu(group_norm(total, gamma, beta, 4)), total]
    plain = [silu(group_norm(x, gamma, beta, 4))]
    feeds = {"x": x, "s": skip}
    if not last:
        feeds["x"] = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        wanted, plain = ([a.transpose(0, 3, 1, 2) for a in arrays] for arrays in (wanted, plain))
    constants, rest = {"g": gamma, "b": beta, "c": bias}, {"groups": 4, "activation": 1}
    model = of("SkipGroupNorm", "x g b s c", feeds, constants, "y t", channels_last=last, **rest)
    check(model, feeds, wanted, devices=ONE, atol=1e-4)
    feeds = {"x": feeds["x"]}
    model = of("GroupNorm", "x g b", feeds, constants, channels_last=last, **rest)
    check(model, feeds, plain, devices=ONE, atol=1e-4)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


BIASES: dict[str, tuple[tuple[int, ...], int, tuple[int, ...], tuple[int, ...]]] = {
    "as it stands": ((2, 1, 1, 6), 3, (2, 1, 1, 6), (2, 3, 4, 6)),
    "inner": ((2, 6), 3, (2, 1, 1, 6), (2, 3, 4, 6)),
    "two axes": ((2, 3, 4, 6), 2, (2, 3, 4, 6), (2, 3, 24)),
}


@pytest.mark.parametrize("name", BIASES)
def test_softmax_with_a_bias(name: str) -> None:
    shape, axis, spread, rows = BIASES[name]
    feeds = {"x": floats(2, 3, 4, 6), "b": floats(*shape)}
    wanted = softmax((feeds["x"] + feeds["b"].reshape(spread)).reshape(rows)).reshape(2, 3, 4, 6)
    model = of("BiasSoftmax", "x b", feeds, axis=axis, is_inner_broadcast=1)
    check(model, feeds, [wanted], devices=ONE)


def test_dropout_of_a_sum() -> None:
    feeds = {"x": floats(2, 5), "b": floats(5), "r": floats(2, 5)}
    check(of("BiasDropout", "x b r", feeds), feeds, [feeds["x"] + feeds["b"] + feeds["r"]],
          devices=ONE)  # fmt: skip


def test_products_with_activations() -> None:
    feeds = {"a": floats(2, 5, 4), "b": floats(2, 6, 4)}
    product = feeds["a"] @ feeds["b"].transpose(0, 2, 1) * 0.5
    for name, wanted in (("Relu", np.maximum(product, 0)), ("Softmax", softmax(product))):
        model = of("FusedMatMulActivation", "a b", feeds, transB=1, alpha=0.5, activation=name)
        check(model, feeds, [wanted], devices=ONE)


def test_rotations_of_gemma() -> None:
    feeds = {"e": floats(2, 3, 8)} | {n: floats(2, 4, 3, 8) for n in "qrkl"}
    cos, sin = np.cos(feeds["e"])[:, None], np.sin(feeds["e"])[:, None]
    wanted = [feeds[a] * cos + feeds[b] * sin for a, b in ("qr", "kl")]
    check(of("GemmaRotaryEmbedding", "e q r k l", feeds, outputs="y z"), feeds, wanted, devices=ONE)


def buckets(distance: Array, both: bool, count: int, most: int) -> Array:
    """T5's own."""
    result = np.zeros_like(distance)
    if both:
        count //= 2
        result = (distance > 0) * count
        distance = np.abs(distance)
    else:
        distance = -np.minimum(distance, 0)
    exact = count // 2
    large = np.log(np.maximum(distance, 1) / exact) / np.log(most / exact) * (count - exact)
    large = np.minimum(exact + large.astype(np.int64), count - 1)
    return np.asarray(result + np.where(distance < exact, distance, large))


@pytest.mark.parametrize("both", [0, 1])
def test_biases_by_distance(both: int) -> None:
    table = floats(16, 3)
    feeds: dict[str, Array] = {"t": table}
    lengths = {n: np.array([40], np.int64) for n in "qk"}
    away = np.arange(40)[None] - np.arange(40)[:, None]
    wanted = table.reshape(3, 16)[:, buckets(away, bool(both), 16, 30)][None]
    model = of("RelativePositionBias", "t q k", feeds, lengths, max_distance=30,
               is_bidirectional=both)  # fmt: skip
    check(model, feeds, [wanted], devices=ONE)


def test_gated_biases() -> None:
    feeds = {"q": floats(2, 5, 12), "r": floats(1, 3, 5, 5)}
    constants = {"b": floats(12), "w": floats(4, 8), "c": floats(8), "e": floats(1, 3, 1, 1)}
    query = (feeds["q"] + constants["b"]).reshape(2, 5, 3, 4).transpose(0, 2, 1, 3)
    sums = (query @ constants["w"] + constants["c"]).reshape(2, 3, 5, 2, 4).sum(-1)
    update, reset = np.split(1 / (1 + np.exp(-sums)), 2, -1)
    wanted = (update * (reset * constants["e"] - 1) + 2) * feeds["r"]
    model = of("GatedRelativePositionBias", "q b r w c e", feeds, constants, num_heads=3)
    check(model, feeds, [wanted], devices=ONE, atol=1e-4)


def test_transforms() -> None:
    feeds: Mapping[str, Array] = {"x": floats(3, 8)}
    found = np.fft.rfft(feeds["x"])
    wanted = np.stack([found.real, found.imag], -1).astype(np.float32)
    check(of("Rfft", "x", feeds, signal_ndim=1), feeds, [wanted], devices=ONE)
    check(of("Irfft", "x", {"x": wanted}, signal_ndim=1), {"x": wanted}, [feeds["x"]], devices=ONE)


def test_a_mean_between_quantisations() -> None:
    feeds = {"x": bytes_(2, 5, 6)}
    constants = {"a": np.array(0.1, np.float32), "z": np.array(120, np.uint8),
                 "b": np.array(0.05, np.float32), "y": np.array(100, np.uint8)}  # fmt: skip
    mean = ((feeds["x"].astype(np.float64) - 120) * 0.1).mean(1, keepdims=True)
    wanted = np.clip(np.rint(mean / 0.05) + 100, 0, 255).astype(np.uint8)
    node = helper.make_node(
        "QLinearReduceMean", [*"xazby"], ["o"], domain="com.microsoft", axes=[1]
    )
    model = model_of([node], feeds, {"o": np.uint8}, constants)
    check(model, feeds, [wanted], devices=ONE, steps=1)


@pytest.mark.parametrize(
    ("rule", "heads", "kept", "rows", "extra"),
    [
        ("gated_delta", 4, 2, 7, ("p", "scalar", "each")), ("gated_delta", 2, 4, 3, ("", "", "")),
        ("gated", 4, 1, 5, ("p", "", "")), ("delta", 2, 2, 1, ("p", "", "each")),
        ("linear", 2, 2, 5, ("", "", "")),
    ],
)  # fmt: skip
def test_linear_attention(
    rule: str, heads: int, kept: int, rows: int, extra: tuple[str, str, str]
) -> None:
    """With a past or none; decays of heads or columns; rates of heads or of all."""
    feeds = {"q": floats(2, rows, heads * 8), "k": floats(2, rows, kept * 8) / 4}
    feeds["v"] = floats(2, rows, kept * 6)
    past, decay, rate = extra
    if past:
        feeds["p"] = floats(2, kept, 8, 6)
    if "gated" in rule:
        feeds["g"] = -np.abs(floats(2, rows, kept if decay else kept * 8))
    if "delta" in rule:
        feeds["b"] = RANDOM.random((2, rows, kept if rate else 1)).astype(np.float32)
    inputs = " ".join(n if n in feeds else "_" for n in "qkvpgb").removesuffix(" _")
    model = of("LinearAttention", inputs, feeds, outputs="y s", q_num_heads=heads,
               kv_num_heads=kept, update_rule=rule)  # fmt: skip
    devices = ("wasm-1", "llvmpipe") if rows == 7 else ONE
    check(with_symbols(model, {7: "rows"}), feeds, devices=devices)


def test_gates_of_linear_attention() -> None:
    """No kernel for CPUs: as the document has it."""
    feeds = {"a": floats(2, 5, 3), "b": floats(2, 5, 3)}
    constants = {"t": floats(3), "d": -np.abs(floats(3))}
    model = of("LinearAttentionGate", "a t d b", feeds, constants, "y z")
    decay = constants["d"] * np.log1p(np.exp(feeds["a"] + constants["t"]))
    check(model, feeds, [decay, 1 / (1 + np.exp(-feeds["b"]))], devices=ONE)
