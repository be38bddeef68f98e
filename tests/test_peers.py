"""What the models and test suites of other runtimes hold, and ONNX's own suite doesn't."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from runtimes import MICROSOFT, Array, check, helper, model_of, oracle

import webrt
from webrt.errors import ShapeError
from webrt.frontend.onnx import from_proto

RANDOM = np.random.default_rng(5)


def floats(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(np.float32)


def dynamic(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model; each dim of each input is dynamic."""
    for info in model.graph.input:
        for place, dim in enumerate(info.type.tensor_type.shape.dim):
            dim.dim_param = f"{info.name}{place}"
    return model


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("pads", [(5, 7), (0, 6), (3, -1), (-1, 2), (1, 1)])
def test_reflections_of_reflections(pads: tuple[int, int], symbolic: bool) -> None:
    feeds = {"x": floats(2, 3)}
    node = helper.make_node("Pad", ["x", "p"], ["y"], mode="reflect")
    constants = {"p": np.array([0, pads[0], 0, pads[1]], np.int64)}
    model = model_of([node], feeds, ["y"], constants)
    cropped = feeds["x"][:, max(-pads[0], 0) : 3 - max(-pads[1], 0)]
    wanted = np.pad(cropped, [(0, 0), (max(pads[0], 0), max(pads[1], 0))], "reflect")
    check(dynamic(model) if symbolic else model, feeds, [wanted])


def test_a_gemm_of_dynamic_matrices() -> None:
    feeds = {"a": floats(5, 3), "b": floats(4, 5), "c": floats(4)}
    node = helper.make_node("Gemm", ["a", "b", "c"], ["y"], transA=1, transB=1)
    check(dynamic(model_of([node], feeds, ["y"])), feeds)


def test_tools_leave_imports_out() -> None:
    feeds = {"x": floats(2, 3)}
    node = helper.make_node("Gelu", ["x"], ["y"], domain=MICROSOFT)
    model = model_of([node], feeds, ["y"])
    del model.opset_import[0]
    check(model, feeds)
    model = model_of([node, helper.make_node("Relu", ["y"], ["z"])], feeds, ["z"])
    del model.opset_import[1]
    assert [n.op for n in from_proto(model, "m.onnx").nodes][-1] == "Relu"


def test_lengths_computed_in_floats_leave_nothing() -> None:
    """Older exporters compute sizes in floats; those that are whole stay symbols."""
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 13]>
        g (float[n, c, h, w] x) => (float[n, c, p, q] y, float[4] s) {
            shape = Shape (x)
            sizes = Cast <to = 1> (shape)
            factors = Constant <value = float[4] {1.0, 1.0, 2.0, 3.0}> ()
            wanted = Mul (sizes, factors)
            whole = Floor (wanted)
            half = Div (whole, factors)
            most = Constant <value = float {64.0}> ()
            s = Min (half, most)
            size = Cast <to = 7> (whole)
            y = Resize <mode = "nearest"> (x, , , size)
        }""")
    graph = from_proto(model, "m.onnx")
    assert [n.op for n in graph.nodes] == ["Resize"]
    assert [str(d) for d in graph.outputs[0].shape] == ["s0", "s1", "2*s2", "3*s3"]
    check(model, {"x": floats(2, 3, 4, 5)})


def test_reductions_of_lengths_leave_nothing() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 13]>
        g (float[n, c, h, w] x) => (float[p, q] y) {
            shape = Shape (x)
            first = Slice (shape, zero, one)
            rest = Slice (shape, one, four)
            product = ReduceProd <axes = [0]> (rest)
            most = ReduceMax <axes = [0], keepdims = 0> (first)
            rows = Unsqueeze (most, zero)
            size = Concat <axis = 0> (rows, product)
            y = Reshape (x, size)
        }""")
    for name, number in (("zero", 0), ("one", 1), ("four", 4)):
        model.graph.initializer.append(helper.make_tensor(name, 7, [1], [number]))
    graph = from_proto(model, "m.onnx")
    assert [n.op for n in graph.nodes] == ["Reshape"]
    check(model, {"x": floats(2, 3, 4, 5)})


def test_a_length_held_to_a_sum() -> None:
    """A decoder's mask, whose length is another name than that of the cache and the new tokens."""
    feeds = {"a": floats(2, 7), "p": floats(4, 3), "q": floats(3, 3)}
    nodes = [
        helper.make_node("Concat", ["p", "q"], ["b"], axis=0),
        helper.make_node("MatMul", ["a", "b"], ["y"]),
    ]
    model = dynamic(model_of(nodes, feeds, ["y"]))
    check(model, feeds)
    with pytest.raises(ShapeError, match="expected"):
        check(model, feeds | {"a": floats(2, 6)}, [feeds["a"]])


def test_a_loop_that_unrolls_reads_sizes_in_each_turn() -> None:
    """Boxes cut from a picture one by one, as tf2onnx does it; the turn has one element."""
    body = onnx.parser.parse_graph("""body (int64[1] turn, bool going) => (bool on, float[1] part)
        {
            next = Add (turn, one)
            start = Slice (starts, turn, next)
            end = Add (start, three)
            row = Slice (x, start, end)
            part = ReduceSum <keepdims = 1> (row, zero)
            on = Identity (going)
        }""")
    feeds = {"x": floats(9), "starts": np.array([4, 1, 6], np.int64)}
    node = helper.make_node("Loop", ["trips", ""], ["y"], body=body)
    constants = {n: np.array([v], np.int64) for n, v in (("one", 1), ("three", 3), ("zero", 0))}
    model = model_of([node], feeds, ["y"], constants | {"trips": np.array(3, np.int64)})
    x = feeds["x"]
    wanted = np.array([[x[4:7].sum()], [x[1:4].sum()], [x[6:].sum()]], np.float32)
    check(model, feeds, [wanted])


def test_what_an_output_may_be() -> None:
    """An input, a constant, listed twice, of many dims; a graph may have no node at all."""
    feeds = {"x": floats(2, 3)}
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["y"]),
        helper.make_node("Exp", ["y"], ["z"]),
    ]
    constants = {"s": np.array([2] + 10 * [1] + [3], np.int64), "c": floats(2)}
    model = model_of(nodes, feeds, ["z", "x", "c", "z"], constants)
    check(model, feeds, [np.exp(feeds["x"]).reshape(constants["s"]), feeds["x"], constants["c"]])
    model = model_of([], feeds, ["x", "c"], {"c": constants["c"]})
    check(model, feeds, [feeds["x"], constants["c"]])


def test_halves_filled_with_a_number() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float16[n] x) => (float16[n] y, float16[n] z) {
            s = Shape (x)
            half = Constant <value = float {1.5}> ()
            y32 = Expand (half, s)
            y = Cast <to = 10> (y32)
            z = Add (x, y)
        }""")
    check(model, {"x": floats(5).astype(np.float16)}, rtol=2e-3)


@pytest.mark.parametrize("op", ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"])
def test_the_epsilon_of_fused_norms(op: str) -> None:
    """Of values so small that a wrong one is seen."""
    feeds = {"x": 1e-3 * floats(2, 3, 8), "s": 1e-3 * floats(2, 3, 8)}
    node = helper.make_node(op, ["x", "s", "g"], ["y"], domain=MICROSOFT)
    check(model_of([node], feeds, ["y"], {"g": floats(8)}), feeds)


@pytest.mark.parametrize("axis", [0, 2, -2])
@pytest.mark.parametrize("op", ["CumSum", "CumProd"])
def test_cumulative_along_an_axis_that_a_run_tells(op: str, axis: int) -> None:
    feeds = {"x": floats(2, 3, 4), "a": np.array(axis, np.int64)}
    node = helper.make_node(op, ["x", "a"], ["y"], exclusive=1, reverse=1)
    model = model_of([node], feeds, ["y"], opset=26)
    whole = np.cumsum if op == "CumSum" else np.cumprod
    flipped = np.flip(feeds["x"], axis)
    rolled = np.roll(whole(flipped, axis), 1, axis)
    first = tuple(slice(0, 1) if j == axis % 3 else slice(None) for j in range(3))
    rolled[first] = 0 if op == "CumSum" else 1
    check(model, feeds, [np.flip(rolled, axis)])


def test_an_axis_beyond_the_rank_is_refused(tmp_path: Path) -> None:
    feeds = {"x": floats(2, 3), "a": np.array([2], np.int64)}
    node = helper.make_node("CumSum", ["x", "a"], ["y"])
    onnx.save(model_of([node], feeds, ["y"]), tmp_path / "m.onnx")
    webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    with webrt.load(tmp_path / "pack", "wasm") as session, pytest.raises(ShapeError, match="'a'"):
        session.run(feeds)


@pytest.mark.parametrize("dynamic_image", [False, True])
@pytest.mark.parametrize(
    ("mode", "where"),
    [("linear", "half_pixel"), ("linear", "align_corners"), ("nearest", "asymmetric")],
)
def test_scales_that_a_run_tells(mode: str, where: str, dynamic_image: bool) -> None:
    """Robust Video Matting takes the ratio by which it shrinks its image as an input."""
    feeds = {"x": floats(1, 2, 6, 8), "ratio": np.array([0.5], np.float32)}
    nodes = [
        helper.make_node("Concat", ["ones", "ratio", "ratio"], ["scales"], axis=0),
        helper.make_node(
            "Resize", ["x", "", "scales"], ["y"], mode=mode, coordinate_transformation_mode=where
        ),
    ]
    model = model_of(nodes, feeds, ["y"], {"ones": np.ones(2, np.float32)})
    if dynamic_image:
        dims = model.graph.input[0].type.tensor_type.shape.dim
        dims[2].dim_param, dims[3].dim_param = "height", "width"
    for ratio in (0.5, 1.0, 2.0):
        check(model, feeds | {"ratio": np.array([ratio], np.float32)})


def test_scales_for_every_axis_that_a_run_tells() -> None:
    feeds = {"x": floats(2, 3, 4), "s": np.array([1, 2, 1.5], np.float32)}
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")
    check(model_of([node], feeds, ["y"]), feeds)


@pytest.mark.parametrize(
    ("bits", "points"), [(2, "none"), (2, "bytes"), (4, "bytes"), (4, "floats"), (8, "none")]
)
def test_weights_of_few_bits_that_are_inputs(bits: int, points: str) -> None:
    blocks, block, n = 3, 16, 5
    weights: dict[str, Array] = {
        "w": RANDOM.integers(0, 256, (n, blocks, block * bits // 8), np.uint8),
        "s": floats(n, blocks),
    }
    if points == "bytes":
        weights["z"] = RANDOM.integers(0, 256, n * -(-blocks * bits // 8), np.uint8)
    elif points == "floats":
        weights["z"] = floats(n, blocks)
    x = {"x": floats(2, 40)}
    node = helper.make_node(
        "MatMulNBits", ["x", *weights], ["y"], domain=MICROSOFT, K=40, N=n, bits=bits,
        block_size=block,
    )  # fmt: skip
    wanted = oracle(model_of([node], x, ["y"], weights), x)
    check(model_of([node], x | weights, ["y"]), x | weights, wanted)


def test_a_past_counts_where_a_present_is_asked_for() -> None:
    """As in onnxruntime-web; ONNX Runtime on CPU reads keys that nobody wrote there."""
    feeds = {k: floats(1, 2, 8) for k in "qkv"} | {k: floats(1, 2, 3, 4) for k in ("a", "b")}

    def model(given: Sequence[str], *outputs: str) -> onnx.ModelProto:
        node = helper.make_node(
            "MultiHeadAttention", [*"qkv", "", "", "", *given], outputs, domain=MICROSOFT,
            num_heads=2,
        )  # fmt: skip
        return model_of([node], {k: feeds[k] for k in (*"qkv", *given)}, outputs)

    check(model("ab", "y", "key", "value"), feeds)
    alone = {k: feeds[k] for k in "qkv"}
    check(model("ab", "y"), feeds, oracle(model("", "y"), alone))


def test_a_scalar_is_the_first_position() -> None:
    feeds = {"x": floats(1, 3, 8), "at": np.array(2, np.int64)}
    tables = {"cos": floats(8, 2), "sin": floats(8, 2)}
    node = helper.make_node(
        "RotaryEmbedding", ["x", "at", "cos", "sin"], ["y"], domain=MICROSOFT, interleaved=1
    )
    check(model_of([node], feeds, ["y"], tables), feeds)


def test_a_vector_is_of_one_channel() -> None:
    feeds = {"x": floats(5)}
    constants = {k: np.abs(floats(1)) + 0.5 for k in "sbmv"}
    node = helper.make_node("BatchNormalization", ["x", *"sbmv"], ["y"])
    check(model_of([node], feeds, ["y"], constants), feeds)


def test_dims_that_must_be_equal_are_held_so() -> None:
    """A scale of one number was read beyond its end where its dims are dynamic."""
    feeds = {"x": np.array([[1, 2], [3, 4]], np.uint8), "s": np.array([0.5, 2], np.float32)}
    node = helper.make_node("DequantizeLinear", ["x", "s"], ["y"], axis=1)
    model = dynamic(model_of([node], feeds, ["y"]))
    check(model, feeds)
    short = feeds | {"s": np.array([0.5], np.float32)}
    with pytest.raises(ShapeError, match=r"'s'.*2.*found 1"):
        check(model, short, [feeds["x"]], devices=("wasm-1",))
    feeds = {"x": floats(4), "i": np.array([[1], [3]], np.int64), "u": floats(2)}
    node = helper.make_node("ScatterND", ["x", "i", "u"], ["y"])
    model = dynamic(model_of([node], feeds, ["y"]))
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 1
    check(model, feeds)
    with pytest.raises(ShapeError, match=r"'u'.*2.*found 3"):
        check(model, feeds | {"u": floats(3)}, [feeds["x"]], devices=("wasm-1",))


QKV = {k: floats(2, 3, 8) for k in "qkv"}


@pytest.mark.parametrize(
    ("node", "feeds", "weights"),
    [
        (helper.make_node("Conv", ["x", "w"], ["y"], group=3), {"x": floats(1, 3, 8, 8)},
         {"w": floats(6, 1, 3, 3)}),
        (helper.make_node("ConvTranspose", ["x", "w"], ["y"]), {"x": floats(1, 3, 4, 4)},
         {"w": floats(3, 4, 3, 3)}),
        (helper.make_node("DeformConv", ["x", "w", "o"], ["y"], pads=[1, 1, 1, 1]),
         {"x": floats(1, 3, 5, 5)}, {"w": floats(4, 3, 3, 3), "o": floats(1, 18, 5, 5)}),
        (helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2),
         {"x": floats(2, 6, 3)}, {"s": floats(6), "b": floats(6)}),
        (helper.make_node("BatchNormalization", ["x", *"sbmv"], ["y"]), {"x": floats(2, 6, 3)},
         {k: np.abs(floats(6)) for k in "sbmv"}),
        (helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=4),
         {"x": floats(3, 2, 5)},
         {"w": floats(1, 16, 5), "r": floats(1, 16, 4), "b": floats(1, 32)}),
        (helper.make_node("MultiHeadAttention", [*"qkv"], ["y"], num_heads=2, domain=MICROSOFT),
         QKV, {}),
        (helper.make_node("Attention", [*"qkv"], ["y"], q_num_heads=2, kv_num_heads=2), QKV, {}),
        (helper.make_node("Attention", [*"qkv"], ["y"]), {k: floats(2, 3, 5, 4) for k in "qkv"},
         {}),
        (helper.make_node("RotaryEmbedding", ["x", "c", "s"], ["y"]),
         {"x": floats(1, 2, 3, 8), "c": floats(1, 3, 4), "s": floats(1, 3, 4)}, {}),
    ],
    ids=lambda value: value.op_type if isinstance(value, onnx.NodeProto) else "",
)  # fmt: skip
def test_dims_that_other_inputs_tell(
    node: onnx.NodeProto, feeds: dict[str, Array], weights: dict[str, Array]
) -> None:
    """Exports of which every dim is dynamic: what a weight or another input has is meant."""
    check(dynamic(model_of([node], feeds, ["y"], weights, opset=23)), feeds)


def test_another_number_of_channels_is_refused() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    feeds = {"x": floats(1, 3, 5, 5)}
    model = dynamic(model_of([node], feeds, ["y"], {"w": floats(2, 3, 3, 3)}))
    with pytest.raises(ShapeError, match=r"'x': expected 3.*found 4"):
        check(model, {"x": floats(1, 4, 5, 5)}, [feeds["x"]], devices=("wasm-1",))
