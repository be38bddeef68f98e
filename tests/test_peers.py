"""What the models and test suites of other runtimes hold, and ONNX's own suite doesn't."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest
from runtimes import MICROSOFT, Array, check, helper, model_of

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
