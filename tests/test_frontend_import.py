"""What a model becomes: symbols, order, constants, widened dtypes, expanded functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnx_text
import pytest
from onnx import TensorProto, helper, numpy_helper

from webrt.dtypes import DType
from webrt.frontend.onnx import from_proto, load_model
from webrt.graph.evaluate import evaluate
from webrt.graph.ir import Graph
from webrt.graph.verify import verify
from webrt.ops.registry import compute

Array = npt.NDArray[np.generic]


def _graph(text: str, opsets: str = '"" : 17') -> Graph:
    model = onnx.parser.parse_model(f"<ir_version: 8, opset_import: [{opsets}]>\n{text}")
    graph = from_proto(model, "m.onnx")
    verify(graph)
    return graph


def _run(graph: Graph, **feeds: object) -> list[Array]:
    arrays = {n: np.asarray(a) for n, a in feeds.items()}
    values = evaluate(graph, arrays, compute)
    return [values[v] for v in graph.outputs]


def test_symbols_stand_in_the_order_in_which_the_inputs_show_them() -> None:
    graph = _graph(
        "g (float[seq, 4, ?] b, float[batch, seq] a) => (float[batch, x] y) { y = Relu (a) }"
    )
    assert [(s.id, s.name) for s in graph.symbols] == [
        ("s0", "seq"), ("s1", "b.2"), ("s2", "batch"),
    ]  # fmt: skip
    assert [str(d) for v in graph.inputs for d in v.shape] == ["s0", "4", "s1", "s2", "s0"]


def test_negative_dims_are_dynamic() -> None:
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [-1, 2]) for n in "xy"]
    model = helper.make_model(
        helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:]),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    assert [s.name for s in from_proto(model, "m.onnx").symbols] == ["x.0"]


def test_nodes_are_sorted_and_otherwise_stay_in_place() -> None:
    graph = _graph(
        """g (float[n] x) => (float[n] y, float[n] z) {
            y = Add (b, a)
            z = Exp (x)
            b = Relu (a)
            a = Sqrt (x)
        }"""
    )
    assert [n.op for n in graph.nodes] == ["Exp", "Sqrt", "Relu", "Add"]
    assert [n.name for n in graph.nodes] == ["Exp_1", "Sqrt_3", "Relu_2", "Add_0"]


def test_dead_nodes_and_identities_are_gone() -> None:
    graph = _graph(
        """g (float[n] x) => (float[n] y, float[n] same) {
            dead = Exp (x)
            i = Identity (x)
            y = Relu (i)
            same = Identity (i)
        }"""
    )
    assert [n.op for n in graph.nodes] == ["Relu"]
    assert graph.outputs[1] is graph.inputs[0]
    assert graph.output_names == ("y", "same")


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("value = float[2] {1.5, 2}", np.array([1.5, 2], np.float32)),
        ("value = bool {1}", np.array(True)),
        ("value_int = 3", np.array(3)),
        ("value_ints = [3, 4]", np.array([3, 4])),
        ("value_float = 1.5", np.array(1.5, np.float32)),
        ("value_floats = [1.5, 2.0]", np.array([1.5, 2], np.float32)),
    ],
)
def test_constants(attribute: str, expected: Array) -> None:
    graph = _graph(f"g () => (float[n] y) {{ y = Constant <{attribute}> () }}")
    assert graph.nodes == ()
    data = graph.outputs[0].data
    assert data is not None
    assert data.dtype == expected.dtype
    np.testing.assert_array_equal(data, expected)


def test_what_is_known_is_folded_and_small_enough() -> None:
    graph = _graph(
        """g (float[2] x) => (float[2] y, float[2048, 4096] big) {
            one = Constant <value_floats = [1.0, 2.0]> ()
            two = Add (one, one)
            y = Mul (x, two)
            shape = Constant <value_ints = [2048, 4096]> ()
            big = ConstantOfShape (shape)
        }"""
    )
    assert [n.op for n in graph.nodes] == ["Mul", "ConstantOfShape"]
    factor = graph.nodes[0].inputs[1]
    assert factor is not None
    np.testing.assert_array_equal(np.asarray(factor.data), [2, 4])


def test_initializers_that_are_inputs_are_constants() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 3, opset_import: ["" : 9]> '
        "g (float[2] x, float[2] w) => (float[2] y) { y = Add (x, w) }"
    )
    model.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), "w"))
    graph = from_proto(model, "m.onnx")
    assert [v.name for v in graph.inputs] == ["x"]


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_weights_of_other_floats_become_f32(dtype: type) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> '
        "g (float[2] x) => (float[2] y) { c = Cast <to = 1> (w)\n y = Add (x, c) }"
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([0.5, 2], dtype), "w"))
    graph = from_proto(model, "m.onnx")
    assert [n.op for n in graph.nodes] == ["Add"]
    np.testing.assert_array_equal(_run(graph, x=np.ones(2, np.float32))[0], [1.5, 3])


def test_a_float16_model_keeps_its_dtype() -> None:
    graph = _graph("g (float16[n] x) => (float16[n] y) { y = Exp (x) }")
    assert [v.dtype for v in (*graph.inputs, *graph.outputs)] == [DType.F16, DType.F16]


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("FLOAT", "float_data"), ("FLOAT", "raw"), ("INT64", "int64_data"), ("INT32", "int32_data"),
        ("UINT8", "int32_data"), ("BOOL", "int32_data"), ("INT8", "raw"), ("UINT32", "uint64_data"),
        ("DOUBLE", "double_data"), ("FLOAT16", "int32_data"),
    ],
)  # fmt: skip
def test_every_field_of_an_initializer_is_read(kind: str, field: str) -> None:
    number = TensorProto.DataType.Value(kind)
    values = np.array([1, 0, 1], helper.tensor_dtype_to_np_dtype(number))
    tensor = helper.make_tensor("w", number, [3], values.tobytes() if field == "raw" else values,
                                raw=field == "raw")  # fmt: skip
    assert field == "raw" or len(getattr(tensor, field)) == 3
    narrowed = TensorProto.FLOAT if kind == "DOUBLE" else number  # no output is of doubles
    info = helper.make_tensor_value_info("y", narrowed, [3])
    node = helper.make_node("Cast", ["w"], ["y"], to=narrowed)
    graph = helper.make_graph([node], "g", [], [info])
    graph.initializer.append(tensor)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    np.testing.assert_array_equal(np.asarray(from_proto(model, "m").outputs[0].data), [1, 0, 1])


def test_weights_are_views_of_the_file(tmp_path: Path) -> None:
    weight = np.arange(1000, dtype=np.float32)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> '
        "g (float[1000] x) => (float[1000] y) { y = Add (x, w) }"
    )
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    loaded = load_model(str(path)).nodes[0].inputs[1]
    assert loaded is not None
    assert loaded.data is not None
    assert not loaded.data.flags.owndata
    np.testing.assert_array_equal(loaded.data, weight)


def test_local_functions_are_expanded() -> None:
    graph = _graph(
        """g (float[n] x) => (float[n] y) { y = local.Twice (x) }
        <domain: "local", opset_import: ["" : 17]>
        Twice (a) => (b) { b = Add (a, a) }""",
        '"" : 17, "local" : 1',
    )
    assert [n.op for n in graph.nodes] == ["Add"]


@pytest.mark.parametrize(
    ("opset", "body"),
    [
        (9, "y = Slice <starts = [1], ends = [3], axes = [0]> (x)"),
        (13, """s = Constant <value_ints = [1]> ()
                e = Constant <value_ints = [3]> ()
                y = Slice (x, s, e)"""),
        (18, """s = Constant <value_ints = [-3]> ()
                e = Constant <value_ints = [-1]> ()
                a = Constant <value_ints = [0]> ()
                one = Constant <value_ints = [1]> ()
                y = Slice (x, s, e, a, one)"""),
        (12, "a, y = Split <split = [2, 2]> (z)\n z = Concat <axis = 0> (x0, x)\n"
             "x0 = Slice (x, s0, e0)\n s0 = Constant <value_ints = [0]> ()\n"
             "e0 = Constant <value_ints = [0]> ()\n"),
    ],
)  # fmt: skip
def test_spellings_of_older_opsets(opset: int, body: str) -> None:
    graph = _graph(f"g (float[4] x) => (float[2] y) {{ {body} }}", f'"" : {opset}')
    x = np.array([1, 2, 3, 4], np.float32)
    expected = [3, 4] if opset == 12 else [2, 3]
    np.testing.assert_array_equal(_run(graph, x=x)[0], expected)


def test_softmax_before_opset_13_flattens() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    text = "g (float[2, 3, 4] x) => (float[2, 3, 4] y) { y = Softmax <axis = 1> (x) }"
    old, new = (_run(_graph(text, f'"" : {opset}'), x=x)[0] for opset in (12, 13))
    np.testing.assert_allclose(old.sum(axis=(1, 2)), [1, 1], rtol=1e-5)
    np.testing.assert_allclose(new.sum(axis=1), np.ones((2, 4)), rtol=1e-5)


def test_sizes_that_a_run_reads_are_held_equal_there() -> None:
    """They are known less 1, as a cache's length is, but nothing renames them."""
    proto = onnx_text.model(
        """g (int64[1] a, int64[1] b) => (float[A] y) {
            value = Constant <value = float[1] {1.0}> ()
            left = Expand(value, a)
            right = Expand(value, b)
            y = Add(left, right)
        }"""
    )
    assert [s.name for s in onnx_text.graph(proto).symbols] == ["a[0]", "b[0]"]
