"""The text form of graphs, the verifier, and the evaluator."""

import dataclasses

import numpy as np
import onnx.parser
import pytest

from webrt import dims
from webrt.dtypes import DType
from webrt.errors import ShapeError
from webrt.frontend.onnx import from_proto
from webrt.graph.evaluate import bind, evaluate, evaluate_nodes
from webrt.graph.ir import Graph, Node, Value
from webrt.graph.text import parse_graph, print_graph
from webrt.graph.verify import BrokenGraphError, verify
from webrt.ops.registry import compute

TEXT = """<ir_version: 8, opset_import: ["" : 17]>
g (int64[batch, seq] ids, float[batch, seq, 4] x) => (float[batch, n, 2] y, int64[3] shape)
<float[10, 4] table, float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}> {
    e = Gather (table, ids)
    a = Add (e, x)
    shape = Shape (a)
    low, high = Split <axis = 2> (a)
    c = Concat <axis = 2> (high, low)
    axes = Constant <value_ints = [1]> ()
    k = Clip (c, , top)
    top = Constant <value_float = 2.5> ()
    y = MatMul (k, w)
}"""

PRINTED = """\
symbol s0 "batch"
symbol s1 "seq"
input  %0 "ids" : i64[s0, s1]
input  %1 "x" : f32[s0, s1, 4]
const  %2 "table" : f32[10, 4] = data(0)
node   %3 "e" : f32[s0, s1, 4] = Gather-17 (%2, %0) {"axis": 0} "Gather_0"
node   %4 "a" : f32[s0, s1, 4] = Add-17 (%3, %1) {} "Add_1"
node   %5 "low" : f32[s0, s1, 2], %6 "high" : f32[s0, s1, 2] = Split-17 (%4) {"axis": 2} "Split_3"
node   %7 "c" : f32[s0, s1, 4] = Concat-17 (%6, %5) {"axis": 2} "Concat_4"
const  %8 "top" : f32[] = [2.5]
node   %9 "k" : f32[s0, s1, 4] = Clip-17 (%7, none, %8) {} "Clip_6"
const  %10 "w" : f32[4, 2] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
node   %11 "y" : f32[s0, s1, 2] = MatMul-17 (%9, %10) {} "MatMul_8"
known  %12 "shape" : i64[3] = [s0, s1, 4]
output %11 "y"
output %12 "shape"
"""


def _graph() -> Graph:
    model = onnx.parser.parse_model(TEXT)
    table = np.arange(40, dtype=np.float32).reshape(10, 4)
    del model.graph.initializer[:]
    weight = np.arange(1, 9, dtype=np.float32).reshape(4, 2)
    model.graph.initializer.append(onnx.numpy_helper.from_array(table, "table"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    return from_proto(model, "m.onnx")


def test_a_graph_prints() -> None:
    text, data = print_graph(_graph())
    assert text == PRINTED
    assert [d.shape for d in data] == [(10, 4)]


def test_the_text_parses_back() -> None:
    text, data = print_graph(_graph())
    again = parse_graph(text, data)
    verify(again)
    assert print_graph(again)[0] == text
    feeds = {"ids": np.array([[1, 2]]), "x": np.ones((1, 2, 4), np.float32)}
    first, second = (evaluate(g, feeds, compute) for g in (_graph(), again))
    for name in ("y", "shape"):
        found = [next(a for v, a in r.items() if v.name == name) for r in (first, second)]
        np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("line", ["nonsense", "input x", "node %1 = (", "const  %1 f32[2]"])
def test_a_line_that_isnt_one_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_graph(line + "\n")


def test_attributes_and_symbolic_contents_survive() -> None:
    fill = np.array([2.5], np.float32)
    known = Value("k", DType.I64, (2,), None, (dims.parse("min(s0, 4)"), dims.parse("s0//2")))
    output = Value("o", DType.F32, (dims.parse("min(s0, 4)"), 3))
    attributes = {"value": fill, "mode": 'a "b"', "ints": (1, 2), "f": 1.0, "raw": b"\x00\xff"}
    node = Node("ConstantOfShape", "n", (known,), (output,), attributes, "webrt", 9)
    text, data = print_graph(Graph((), (), (output,), (node,), ("o",)))
    again = parse_graph(text, data).nodes[0]
    assert print_graph(parse_graph(text, data))[0] == text
    assert {k: v for k, v in again.attributes.items() if k != "value"} == {
        k: v for k, v in attributes.items() if k != "value"
    }
    np.testing.assert_array_equal(np.asarray(again.attributes["value"]), fill)
    assert again.inputs[0] is not None
    assert again.inputs[0].content == known.content


def test_the_verifier_takes_what_the_front_end_makes() -> None:
    verify(_graph())


def _broken(graph: Graph, kind: str) -> Graph:
    first = graph.nodes[0]
    match kind:
        case "reads 'e' before":
            return dataclasses.replace(graph, nodes=graph.nodes[1:])
        case "defines 'e' again":
            return dataclasses.replace(graph, nodes=(first, *graph.nodes))
        case "isn't a symbol":
            return dataclasses.replace(graph, symbols=graph.symbols[:1])
        case "is defined nowhere":
            stray = Value("stray", DType.F32, ())
            return dataclasses.replace(graph, outputs=(stray, *graph.outputs[1:]))
        case "differ in number":
            return dataclasses.replace(graph, output_names=("y",))
        case "has data of":
            bad = Value("bad", DType.F32, (3,), np.zeros(4, np.float32))
            node = dataclasses.replace(first, inputs=(bad, *first.inputs[1:]))
            return dataclasses.replace(graph, nodes=(node, *graph.nodes[1:]))
    raise AssertionError(kind)


@pytest.mark.parametrize(
    "kind",
    [
        "reads 'e' before", "defines 'e' again", "isn't a symbol", "is defined nowhere",
        "differ in number", "has data of",
    ],
)  # fmt: skip
def test_the_verifier_refuses(kind: str) -> None:
    with pytest.raises(BrokenGraphError, match=kind):
        verify(_broken(_graph(), kind))


def test_feeds_that_dont_fit_are_refused() -> None:
    graph = _graph()
    ids, x = np.zeros((2, 3), np.int64), np.zeros((2, 3, 4), np.float32)
    assert bind(graph, {"ids": ids, "x": x}) == {"s0": 2, "s1": 3}
    with pytest.raises(ShapeError, match="input 'x' isn't fed"):
        bind(graph, {"ids": ids})
    with pytest.raises(ShapeError, match="expected s1 = 3, found 2"):
        bind(graph, {"ids": ids, "x": x[:, :2]})
    with pytest.raises(ShapeError, match="expected 2 dims"):
        bind(graph, {"ids": ids[0], "x": x})


def test_nodes_are_evaluated_in_order() -> None:
    feeds = {"ids": np.zeros((1, 2), np.int64), "x": np.zeros((1, 2, 4), np.float32)}
    ran = [node.op for node, _ in evaluate_nodes(_graph(), feeds, compute)]
    assert ran == ["Gather", "Add", "Split", "Concat", "Clip", "MatMul"]
