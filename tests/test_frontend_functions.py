"""Functions of models and of ONNX's schemas: expanded where they are called, within bounds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx.parser
import pytest

from webrt.errors import ModelError, UnsupportedOpError
from webrt.frontend import functions
from webrt.frontend.onnx import from_proto
from webrt.graph.evaluate import evaluate
from webrt.graph.ir import Graph
from webrt.graph.verify import verify
from webrt.ops.registry import compute

Array = npt.NDArray[np.generic]


def _graph(text: str, opsets: str = '"" : 17, "local" : 1') -> Graph:
    model = onnx.parser.parse_model(f"<ir_version: 9, opset_import: [{opsets}]>\n{text}")
    graph = from_proto(model, "m.onnx")
    verify(graph)
    return graph


def _run(graph: Graph, **feeds: object) -> list[Array]:
    arrays = {n: np.asarray(a, np.float32) for n, a in feeds.items()}
    values = evaluate(graph, arrays, compute)
    return [values[v] for v in graph.outputs]


def _function(text: str, opsets: str = '"" : 17, "local" : 1') -> str:
    return f'<domain: "local", opset_import: [{opsets}]>\n{text}\n'


def test_functions_call_functions_and_names_are_their_own() -> None:
    graph = _graph(
        """g (float[n] x) => (float[n] y) { t = local.Four (x)\n y = local.Twice (t) }"""
        + _function("Twice (a) => (b) { t = Identity (a)\n b = Add (t, t) }")
        + _function("Four (t) => (b) { a = local.Twice (t)\n b = local.Twice (a) }")
    )
    np.testing.assert_array_equal(_run(graph, x=[1, 2])[0], [8, 16])
    assert [n.name for n in graph.nodes] == [
        "Four_0/Twice_0/Add_1", "Four_0/Twice_1/Add_1", "Twice_1/Add_1",
    ]  # fmt: skip


def test_attributes_of_the_call_and_their_defaults() -> None:
    graph = _graph(
        """g (float[n] x) => (float[n] y, float[n] z) {
            y = local.Leak <slope = 0.5> (x)
            z = local.Leak (x)
        }"""
        + _function(
            "Leak <slope: float = 0.25> (a) => (b) { b = LeakyRelu <alpha: float = @slope> (a) }"
        )
    )
    first, second = _run(graph, x=[-8])
    assert (first[0], second[0]) == (-4, -2)


def test_an_absent_input_is_absent_inside() -> None:
    graph = _graph(
        """g (float[n] x, float hi) => (float[n] y) { y = local.Bound (x, , hi) }"""
        + _function("Bound (x, low, high) => (y) { y = Clip (x, low, high) }")
    )
    np.testing.assert_array_equal(_run(graph, x=[-5, 5], hi=1)[0], [-5, 1])


def test_a_function_s_nodes_are_of_its_own_opset() -> None:
    graph = _graph(
        """g (float[2, 3] x) => (float[3] y) { y = local.Total (x) }"""
        + _function("Total (x) => (y) { y = ReduceSum <axes = [0], keepdims = 0> (x) }", '"" : 11')
    )
    np.testing.assert_array_equal(_run(graph, x=np.ones((2, 3)))[0], [2, 2, 2])


def test_a_model_s_function_hides_an_operator() -> None:
    graph = _graph(
        """g (float[n] x) => (float[n] y) { y = com.microsoft.Gelu (x) }
        <domain: "com.microsoft", opset_import: ["" : 17]>
        Gelu (x) => (y) { y = Relu (x) }""",
        '"" : 17, "com.microsoft" : 1',
    )
    assert [n.op for n in graph.nodes] == ["Relu"]


def test_what_isn_t_run_inside_is_named_with_its_way() -> None:
    with pytest.raises(UnsupportedOpError) as caught:
        _graph(
            """g (float[n] x) => (float[n] y) { t = local.Outer (x)\n y = StringNormalizer (t) }"""
            + _function("Inner (x) => (y) { y = StringNormalizer (x) }")
            + _function("Outer (x) => (y) { y = local.Inner (x) }")
        )
    assert str(caught.value) == (
        "m.onnx: node 'Outer_0/Inner_0/StringNormalizer_0' (StringNormalizer) isn't run; "
        "node 'StringNormalizer_1' (StringNormalizer) isn't run"
    )


def test_a_function_that_calls_itself_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        _graph(
            """g (float[n] x) => (float[n] y) { y = local.A (x) }"""
            + _function("A (x) => (y) { y = local.B (x) }")
            + _function("B (x) => (y) { y = local.A (x) }")
        )
    assert str(caught.value) == "m.onnx: the function 'A' calls itself"


def test_calls_that_multiply_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "MAX_NODES", 1000)
    text = "g (float[n] x) => (float[n] y) { y = local.F0 (x) }"
    for j in range(12):
        text += _function(f"F{j} (x) => (y) {{ t = local.F{j + 1} (x)\n y = local.F{j + 1} (t) }}")
    text += _function("F12 (x) => (y) { y = Relu (x) }")
    with pytest.raises(UnsupportedOpError) as caught:
        _graph(text)
    assert str(caught.value) == "m.onnx: its functions expand to over 1000 nodes"


def test_deep_calls_are_refused() -> None:
    text = "g (float[n] x) => (float[n] y) { y = local.F0 (x) }"
    for j in range(40):
        text += _function(f"F{j} (x) => (y) {{ y = local.F{j + 1} (x) }}")
    text += _function("F40 (x) => (y) { y = Relu (x) }")
    with pytest.raises(UnsupportedOpError) as caught:
        _graph(text)
    assert str(caught.value) == "m.onnx: functions call functions over 32 levels"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("F (x) => (y) { y = Relu (z) }", "its function reads 'z', which is defined nowhere"),
        ("F (x) => (z) { y = Relu (x) }", "its function's output 'z' is defined nowhere"),
        ("F () => (y) { y = Constant <value_float = 1.0> () }",
         "expected at most 0 inputs and 1 outputs, found 1 and 1"),
    ],
)  # fmt: skip
def test_functions_that_make_no_sense(body: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        _graph("g (float[n] x) => (float[n] y) { [call] y = local.F (x) }" + _function(body))
    assert str(caught.value) == f"m.onnx: node 'call' (F): {message}"


def test_an_operator_that_onnx_defines_by_others() -> None:
    text = "g (float[n] a, float[n] b) => (float[n] y) { y = SwiGLU (a, b) }"
    graph = _graph(text, '"" : 28')
    assert [n.op for n in graph.nodes] == ["Swish", "Mul"]
    found = _run(graph, a=[1, -2], b=[3, 4])[0]
    np.testing.assert_allclose(found, [3 / (1 + np.exp(-1)), -8 / (1 + np.exp(2))], rtol=1e-5)
