"""Operators that few models hold, each against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from runtimes import MICROSOFT, Array, check, helper, model_of, oracle
from test_ops_contrib import floats, of, with_symbols

RANDOM = np.random.default_rng(31)
ONE = ("wasm-1",)


def test_inverses() -> None:
    small = {"x": floats(2, 3, 3)}
    check(of("Inverse", "x", small), small, rtol=1e-3, atol=1e-4, devices=ONE)
    large = floats(3, 7, 7)
    large[0] = np.eye(7)[[3, 1, 0, 2, 6, 5, 4]]  # no pivot is where it would be
    model = with_symbols(of("Inverse", "x", {"x": large}), {3: "many"})
    check(model, {"x": large}, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("least", [-np.inf, np.inf])
def test_a_threshold_that_all_boxes_or_none_pass(least: float) -> None:
    feeds = {"b": np.abs(floats(1, 5, 4)), "s": floats(1, 2, 5)}
    limits = {"n": np.array([3]), "i": np.array([0.5], np.float32),
              "t": np.array([least], np.float32)}  # fmt: skip
    node = helper.make_node("NonMaxSuppression", ["b", "s", "n", "i", "t"], ["y"])
    check(model_of([node], feeds, {"y": np.int64}, limits), feeds, devices=ONE)


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_samples_beyond_the_image(mode: str, padding: str, aligned: int) -> None:
    places = np.random.default_rng(5).uniform(-1.6, 1.6, (1, 5, 8, 2)).astype(np.float32)
    feeds = {"x": floats(1, 2, 5, 6), "g": places}
    rest: dict[str, Any] = {"mode": mode, "padding_mode": padding, "align_corners": aligned}
    check(of("GridSample", "x g", feeds, domain="", opset=20, **rest), feeds, devices=ONE)


LEGACY: list[tuple[str, dict[str, Any]]] = [
    ("Affine", {"alpha": 2.0, "beta": 0.5}), ("Scale", {"scale": 3.0}),
    ("ScaledTanh", {"alpha": 2.0, "beta": 0.5}),
    ("ParametricSoftplus", {"alpha": 2.0, "beta": 3.0}),
    ("ImageScaler", {"scale": 0.5, "bias": [1.0, 2.0, 3.0]}), ("Crop", {"border": [1, 2, 1, 1]}),
    ("Crop", {"border": [1, 2, 0, 0], "scale": [2, 3]}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "attributes"), LEGACY)
def test_operators_on_trial(op: str, attributes: dict[str, Any]) -> None:
    feeds = {"x": floats(1, 3, 5, 6)}
    check(of(op, "x", feeds, domain="", opset=9, **attributes), feeds, devices=ONE)


def test_maxima_of_regions() -> None:
    """One beyond the image, one of a single place, one of none."""
    regions = [[0, 1, 1, 6, 7], [1, 0, 0, 3, 3], [1, 5, 4, 20, 20], [0, 3, 3, 3, 3],
               [0, 19, 19, 22, 22]]  # fmt: skip
    feeds = {"x": floats(2, 3, 9, 11), "r": np.array(regions, np.float32)}
    rest: dict[str, Any] = {"domain": "", "pooled_shape": [3, 2], "spatial_scale": 0.7}
    check(of("MaxRoiPool", "x r", feeds, **rest), feeds)


STREAMS = {"x": floats(2, 3, 4, 8), "k": floats(2, 3, 8)}
BRANCHES: dict[str, tuple[str, dict[str, Array], dict[str, Array], str, dict[str, Any]]] = {
    "a norm of each branch": (
        "BranchwiseRMSNorm", {"x": STREAMS["x"]}, {"s": floats(4, 8)}, "y", {},
    ),
    "a norm of branches side by side": (
        "BranchwiseRMSNorm", {"x": floats(2, 3, 32)}, {"s": floats(8)}, "y",
        {"num_branches": 4, "epsilon": 1e-3},
    ),
    "a sum": ("HyperConnectionPreMix", {"x": STREAMS["x"], "p": floats(2, 3, 4)}, {}, "y",
              {"reduction_scale": 0.5}),
    "a sum of gated elements": (
        "HyperConnectionPreMix", {"x": floats(2, 3, 32), "p": floats(2, 3, 32)}, {}, "y",
        {"num_branches": 4},
    ),
    "a mix": ("HyperConnectionPostMix", {**STREAMS, "p": floats(2, 3, 4), "m": floats(2, 3, 4, 4)},
              {}, "y", {}),
    "a gate": ("EngramGate", {"q": STREAMS["x"], "r": floats(2, 3, 4, 8), "k": STREAMS["k"]},
               {"a": floats(4, 8), "b": floats(4, 8), "c": floats(4, 8)}, "y z", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", BRANCHES)
def test_branches(name: str) -> None:
    op, feeds, constants, outputs, rest = BRANCHES[name]
    inputs = " ".join([*feeds, *constants])
    check(of(op, inputs, feeds, constants, outputs, **rest), feeds, devices=ONE)


def integers(op: str, inputs: str, feeds: dict[str, Array], constants: dict[str, Any], kind: type,
             wanted: list[Array] | None = None, **attributes: Any) -> None:  # fmt: skip
    node = helper.make_node(op, inputs.split(), ["y"], domain=MICROSOFT, **attributes)
    check(model_of([node], feeds, {"y": kind}, constants), feeds, wanted, devices=ONE)


def test_integers_with_their_channels_last() -> None:
    feeds = {"x": RANDOM.integers(0, 256, (1, 6, 7, 3), np.uint8)}
    weight = RANDOM.integers(-60, 60, (4, 3, 3, 3), np.int8)
    constants: dict[str, Any] = {
        "s": np.float32(0.02), "z": np.uint8(120), "w": weight, "t": np.full(4, 0.01, np.float32),
        "u": np.zeros(4, np.int8), "v": np.float32(0.3), "r": np.uint8(110),
    }  # fmt: skip
    rest: dict[str, Any] = {"channels_last": 1, "kernel_shape": [3, 3], "pads": [1, 0, 1, 0]}
    integers("QLinearConv", "x s z w t u v r", feeds, constants, np.uint8, **rest)
    integers("NhwcMaxPool", "x", feeds, {}, np.uint8, kernel_shape=[2, 3], strides=[2, 2])


def test_products_of_integers() -> None:
    feeds = {n: RANDOM.integers(0, 256, s, np.uint8) for n, s in (("a", (2, 3)), ("b", (3,)))}
    points = {"p": np.uint8(7), "q": np.uint8(130)}
    wanted = (feeds["a"].astype(np.int32) - 7) * (feeds["b"].astype(np.int32) - 130)
    integers("MulInteger", "a p b q", feeds, points, np.int32, [wanted])


def test_pads_as_an_input() -> None:
    feeds = {"x": floats(1, 2, 4, 5)}
    constants = {"w": floats(2, 3, 3, 3), "p": np.array([1, 0, 1, 1]), "b": floats(3)}
    model = of("ConvTransposeWithDynamicPads", "x w p b", feeds, constants, strides=[2, 2])
    check(model, feeds, devices=ONE)


@pytest.mark.parametrize("skips", [False, True])
def test_products_of_few_bits_together(skips: bool) -> None:
    """Kernels that ONNX Runtime has for WebGPU alone: its CPU's tell what each part is."""
    sizes = {"q": 8, "k": 4, "v": 4}
    x, skip, gain = floats(3, 64), floats(3, 64), floats(64)
    total = x + skip if skips else x
    normal = total / np.sqrt((total**2).mean(-1, keepdims=True) + 1e-5) * gain
    constants: dict[str, Any] = {"g": gain}
    parts = {}
    for name, size in sizes.items():
        own: dict[str, Any] = {
            f"{name}w": RANDOM.integers(0, 256, (size, 2, 16), np.uint8),
            f"{name}s": np.abs(floats(size, 2)) / 10, f"{name}b": floats(size),
        }  # fmt: skip
        rest: dict[str, Any] = {"K": 64, "bits": 4, "block_size": 32}
        inputs = f"n {name}w {name}s _ _ {name}b"
        (parts[name],) = oracle(of("MatMulNBits", inputs, {"n": normal}, own, N=size, **rest),
                                {"n": normal})  # fmt: skip
        constants |= own
    feeds = {"x": x, "r": skip} if skips else {"x": x}
    head = "x r g" if skips else "x _ g"
    more = " t" if skips else ""
    whole = [total] if skips else []
    model = of("MatMulNBitsQkv", f"{head} qw qs qb kw ks kb vw vs vb", feeds, constants,
               f"q k v{more}", Nq=8, Nkv=4, **rest)  # fmt: skip
    close: dict[str, Any] = {"rtol": 1e-3, "atol": 2e-3, "devices": ONE}
    check(model, feeds, [*parts.values(), *whole], **close)
    kept = {n: a for n, a in constants.items() if n[0] != "q"}
    model = of("MatMulNBitsMlp", f"{head} kw ks kb vw vs vb", feeds, kept, f"y{more}", N=4,
               activation="silu", **rest)  # fmt: skip
    silu = parts["k"] / (1 + np.exp(-parts["k"])) * parts["v"]
    check(model, feeds, [silu, *whole], **close)
