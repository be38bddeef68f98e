"""Image operators over dynamic dims, against ONNX's reference: what backend cases leave out."""

from __future__ import annotations

import numpy as np
import onnx_text
import pytest
from onnx_text import check

from webrt.passes.evaluate import evaluate_plan
from webrt.passes.pipeline import build

COORDINATES = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("scale", ["1.5", "2", "0.625"])
def test_resize_of_dynamic_dims_by_scales(mode: str, coordinates: str, scale: str) -> None:
    text = f"""
        g (float[n, 2, h, w] x) => (float[n, 2, hh, ww] y)
          <float[4] scales = {{1, 1, {scale}, {scale}}}> {{
            y = Resize <mode = "{mode}", nearest_mode = "floor",
                coordinate_transformation_mode = "{coordinates}"> (x, , scales)
        }}"""
    check(onnx_text.model(text, 19), n=2, h=7, w=10)


NEAREST = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]


@pytest.mark.parametrize(
    ("mode", "nearest"),
    [("linear", "floor"), ("cubic", "floor"), *(("nearest", name) for name in NEAREST)],
)
def test_resize_to_the_size_of_another_tensor(mode: str, nearest: str) -> None:
    text = f"""
        g (float[1, 2, h, w] x, float[1, 2, a, b] like) => (float[1, 2, a, b] y) {{
            sizes = Shape (like)
            y = Resize <mode = "{mode}", nearest_mode = "{nearest}"> (x, , , sizes)
        }}"""
    check(onnx_text.model(text, 19), h=6, w=9, a=11, b=4)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("outside", [0, 1])
def test_antialiased_resize_of_dynamic_dims(mode: str, outside: int) -> None:
    text = f"""
        g (float[1, 2, h, w] x, float[1, 2, a, b] like) => (float[1, 2, a, b] y) {{
            sizes = Shape (like)
            y = Resize <mode = "{mode}", antialias = 1, exclude_outside = {outside}>
                (x, , , sizes)
        }}"""
    check(onnx_text.model(text, 19), h=16, w=21, a=5, b=8)


@pytest.mark.parametrize("axes", [[2, 3], [3]])
def test_resize_keeps_literal_scales_exact(axes: list[int]) -> None:
    """Doubling is a move: one kernel that divides indices, fused into what reads it."""
    scales = ", ".join("2" if j in axes else "1" for j in range(4))
    text = f"""
        g (float[1, 2, h, w] x) => (float[1, 2, hh, ww] y) <float[4] scales = {{{scales}}}> {{
            up = Resize <mode = "nearest"> (x, , scales)
            y = Relu (up)
        }}"""
    built = check(onnx_text.model(text, 19), h=5, w=6)
    assert len(built.plan.steps) == 1


@pytest.mark.parametrize(
    "attributes",
    [
        "strides = [2, 2]",
        "strides = [2, 2], pads = [1, 0, 1, 2]",
        "strides = [3, 2], output_padding = [1, 1], dilations = [1, 2]",
        "strides = [1, 1], pads = [1, 1, 1, 1], dilations = [2, 1]",
        'strides = [2, 2], auto_pad = "SAME_UPPER"',
    ],
)
@pytest.mark.parametrize("kernel", [2, 3])
def test_transposed_convolution_of_dynamic_dims(attributes: str, kernel: int) -> None:
    text = f"""
        g (float[n, 4, h, w] x, float[4, 3, {kernel}, {kernel}] w, float[3] w2)
          => (float[n, 3, hh, ww] y) {{ y = ConvTranspose <{attributes}> (x, w, w2) }}"""
    proto = onnx_text.model(text, 19)
    check(proto, n=2, h=5, w=7)


def test_a_transposed_convolution_that_tiles_is_one_kernel() -> None:
    text = """
        g (float[1, 4, h, w] x, float[4, 3, 2, 2] w, float[3] w2) => (float[1, 3, hh, ww] y) {
            c = ConvTranspose <strides = [2, 2]> (x, w, w2)
            y = Sigmoid (c)
        }"""
    assert onnx_text.families(check(onnx_text.model(text, 19), h=5, w=7)) == ["Contract"]


@pytest.mark.parametrize(
    ("op", "mode"),
    [
        ("Conv", "SAME_UPPER"), ("Conv", "SAME_LOWER"), ("Conv", "VALID"),
        ("LpPool", "SAME_UPPER"), ("LpPool", "SAME_LOWER"), ("MaxPool", "SAME_UPPER"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_auto_pad_over_dynamic_dims(op: str, mode: str, stride: int) -> None:
    weights, inputs = (", float[2, 2, 3, 3] w", "(x, w)") if op == "Conv" else ("", "(x)")
    kernel = "" if op == "Conv" else "kernel_shape = [3, 3], "
    text = f"""
        g (float[1, 2, h, v] x{weights}) => (float[1, 2, hh, ww] y) {{
            y = {op} <{kernel}auto_pad = "{mode}", strides = [{stride}, {stride}]> {inputs}
        }}"""
    check(onnx_text.model(text, 19), h=8, v=11)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter_with_indices_that_repeat(reduction: str) -> None:
    """Of several updates of one element the last one stays, as in NumPy."""
    text = f"""
        g (float[6, c] x, int64[u, 1] at, float[u, c] v) => (float[6, c] y) {{
            y = ScatterND <reduction = "{reduction}"> (x, at, v)
        }}"""
    built = build(onnx_text.graph(onnx_text.model(text, 18)))
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((6, 9)), rng.standard_normal((5, 9))
    at = np.array([[4], [-1], [4], [0], [5]], np.int64)
    wanted = x.astype(np.float32)
    functions = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
    for row, update in zip(at[:, 0], v.astype(np.float32), strict=True):
        wanted[row] = functions[reduction](wanted[row], update) if reduction != "none" else update
    feeds = {"x": x.astype(np.float32), "at": at, "v": v.astype(np.float32)}
    np.testing.assert_allclose(evaluate_plan(built, feeds)["y"], wanted, rtol=1e-5, atol=1e-6)


def test_maxima_go_back_to_their_places() -> None:
    text = """
        g (float[2, 3, 8, 6] x) => (float[2, 3, 8, 6] y) {
            top, at = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
            y = MaxUnpool <kernel_shape = [2, 2], strides = [2, 2]> (top, at)
        }"""
    built = build(onnx_text.graph(onnx_text.model(text, 18)))
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 6)).astype(np.float32)
    blocks = x.reshape(2, 3, 4, 2, 3, 2)
    top = blocks.max(axis=(3, 5), keepdims=True)
    wanted = np.where(blocks == top, blocks, 0).reshape(x.shape)
    np.testing.assert_array_equal(evaluate_plan(built, {"x": x})["y"], wanted)


@pytest.mark.parametrize("filters", [4, 8])
def test_depthwise_convolutions_are_sums_of_taps(filters: int) -> None:
    """A contraction of one row would share nothing."""
    text = f"""
        g (float[n, 4, h, w] x, float[{filters}, 1, 3, 3] w0, float[{filters}] w1)
          => (float[n, {filters}, hh, ww] y) {{
            c = Conv <group = 4, pads = [1, 1, 1, 1], strides = [2, 1]> (x, w0, w1)
            y = Relu (c)
        }}"""
    built = check(onnx_text.model(text, 19), n=2, h=7, w=9)
    assert onnx_text.families(built) == ["Reduce"]
