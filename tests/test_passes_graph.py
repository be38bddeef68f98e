"""Cleaning, norms, merged projections and one-hot products, on graphs in ONNX text."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_text import check, families, feeds, graph, model, operators

from webrt.errors import UsageError
from webrt.graph.text import print_graph
from webrt.passes.clean import clean
from webrt.passes.evaluate import evaluate_plan
from webrt.passes.norm import recognise_norms
from webrt.passes.onehot import gather_one_hot
from webrt.passes.pipeline import build


def test_cleaning_merges_equal_nodes_and_drops_what_changes_nothing() -> None:
    proto = model("""
        agraph (float[n, 4] x) => (float[n, 4] y) {
            a = Identity (x)
            b = Exp (a)
            c = Exp (x)
            unused = Sin (x)
            d = Cast <to = 1> (b)
            y = Add (c, d)
        }""")
    assert operators(clean(graph(proto))) == ["Exp", "Add"]
    assert families(check(proto, n=3)) == ["Map"]


def test_outputs_that_are_inputs_or_equal_take_no_step() -> None:
    proto = model("""
        agraph (float[n, 4] x) => (float[n, 4] y, float[n, 4] z, float[n, 4] u) {
            y = Identity (x)
            z = Exp (x)
            u = Exp (y)
        }""")
    built = check(proto, n=3)
    assert len(built.plan.steps) == 1
    assert [p.tensor for p in built.plan.outputs] == [0, 1, 1]


LAYER_NORM = """
    agraph (float[batch, n, 8] x, float[8] w, float[8] wb) => (float[batch, n, 8] y) {
        m = ReduceMean <axes = [-1]> (x)
        c = Sub (x, m)
        two = Constant <value = float {2.0}> ()
        sq = Pow (c, two)
        v = ReduceMean <axes = [-1]> (sq)
        e = Constant <value = float {1e-5}> ()
        ve = Add (v, e)
        d = Sqrt (ve)
        z = Div (c, d)
        zw = Mul (z, w)
        y = Add (zw, wb)
    }"""

RMS_NORM = """
    agraph (float[batch, n, 8] x, float[8] w) => (float[batch, n, 8] y) {
        two = Constant <value = float {2.0}> ()
        sq = Pow (x, two)
        v = ReduceMean <axes = [-1]> (sq)
        e = Constant <value = float {1e-6}> ()
        ve = Add (v, e)
        d = Sqrt (ve)
        one = Constant <value = float {1.0}> ()
        r = Div (one, d)
        z = Mul (x, r)
        y = Mul (w, z)
    }"""


def test_a_layer_norm_of_primitives_is_one_node() -> None:
    proto = model(LAYER_NORM)
    assert operators(recognise_norms(graph(proto))) == ["LayerNormalization"]
    assert families(check(proto, batch=2, n=3)) == ["Reduce"]


def test_an_rms_norm_of_primitives_is_one_node() -> None:
    for text in (RMS_NORM, RMS_NORM.replace("r = Div (one, d)", "r = Reciprocal (d)")):
        proto = model(text)
        assert operators(recognise_norms(graph(proto))) == ["RMSNorm"]
        assert families(check(proto, batch=2, n=3)) == ["Reduce"]


def test_norms_over_other_axes_or_of_other_things_stay() -> None:
    across = model(LAYER_NORM.replace("[-1]", "[1]").replace("[8] w", "[1] w"))
    assert "LayerNormalization" not in operators(recognise_norms(graph(across)))
    check(across, batch=2, n=3)
    other = model(RMS_NORM.replace("z = Mul (x, r)", "h = Exp (x) z = Mul (h, r)"))
    assert "RMSNorm" not in operators(recognise_norms(graph(other)))
    check(other, batch=2, n=3)


def test_a_norm_by_its_moments_is_one_reduction() -> None:
    proto = model("""
        agraph (float[n, 8, 4] x, float[1, 8, 1] w) => (float[n, 8, 4] y) {
            m = ReduceMean <axes = [1]> (x)
            sq = Mul (x, x)
            msq = ReduceMean <axes = [1]> (sq)
            mm = Mul (m, m)
            var = Sub (msq, mm)
            e = Constant <value = float {1e-3}> ()
            ve = Add (var, e)
            d = Sqrt (ve)
            r = Reciprocal (d)
            c = Sub (x, m)
            rw = Mul (r, w)
            y = Mul (c, rw)
        }""")
    assert families(check(proto, n=3)) == ["Reduce"]


ONE_HOT = """
    agraph (int32[n, 6] x, float[5, 4] w) => (float[n, 6, 4] y) {
        axes = Constant <value = int64[1] {-1}> ()
        column = Unsqueeze (x, axes)
        classes = Constant <value = int32[1, 1, 5] {0, 1, 2, 3, 4}> ()
        hot = Equal (column, classes)
        rows = Cast <to = 1> (hot)
        y = MatMul (rows, w)
    }"""


def test_a_product_with_one_hot_rows_is_a_gather() -> None:
    proto = model(ONE_HOT)
    found = operators(gather_one_hot(graph(proto)))
    assert "Gather" in found
    assert "MatMul" not in found
    fed = feeds(proto, {"n": 2})
    fed["x"] = np.array([[0, 4, -1, 5, 2, -7], [1, 1, 99, 3, 0, -5]], np.int32)
    weight = np.asarray(next(iter(proto.graph.initializer)).raw_data)
    table = np.frombuffer(weight.item(), np.float32).reshape(5, 4)
    rows = [[table[i] if 0 <= i < 5 else np.zeros(4) for i in row] for row in fed["x"]]
    built = build(graph(proto))
    np.testing.assert_allclose(evaluate_plan(built, fed)["y"], np.array(rows, np.float32))
    assert families(built) == ["Map"]


def test_classes_that_do_not_count_up_stay_a_product() -> None:
    proto = model(ONE_HOT.replace("{0, 1, 2, 3, 4}", "{0, 1, 2, 4, 3}"))
    assert "MatMul" in operators(gather_one_hot(graph(proto)))
    check(proto, n=2)


def test_a_convolution_reads_its_input_in_order() -> None:
    proto = model("""
        agraph (float[n, 9, 6] x, float[4, 6, 3] w, float[4] wb) => (float[n, 4, 7] y) {
            t = Transpose <perm = [0, 2, 1]> (x)
            y = Conv <kernel_shape = [3]> (t, w, wb)
        }""")
    built = check(proto, n=2)
    assert families(built) == ["Contract"]
    contract = built.plan.problems[0]
    assert str(getattr(contract, "a").offset) == "54*b0 + k + 6*m"  # noqa: B009
    assert str(getattr(contract, "b").offset) == "4*k + n"  # noqa: B009


def test_the_ir_is_printed_after_a_pass(capsys: pytest.CaptureFixture[str]) -> None:
    proto = model("agraph (float[n, 4] x) => (float[n, 4] y) { e = Exp (x)  y = Sin (e) }")
    build(graph(proto), dump_after="clean")
    assert capsys.readouterr().err == print_graph(clean(graph(proto)))[0] * 2
    build(graph(proto), dump_after="fuse")
    assert capsys.readouterr().err.splitlines()[1:] == [
        "map",
        "  over i0 < 4*s0",
        "  in x0: f32[4*s0]",
        "  out x1: f32[4*s0] at i0 = sin(exp(x0.f32[i0]))",
        "",
        "",
    ]


def test_a_concatenation_of_many_is_computed_in_pieces() -> None:
    inputs = ", ".join(f"float[n, {j + 1}] x{j}" for j in range(12))
    names = ", ".join(f"x{j}" for j in range(12))
    proto = model(f"agraph ({inputs}) => (float[n, 78] y) {{ y = Concat <axis = 1> ({names}) }}")
    built = check(proto, n=3)
    assert families(built) == ["Map", "Map"]
    assert all(len(s.inputs) + len(s.outputs) <= 8 for s in built.plan.steps)


def test_a_long_chain_does_not_grow_into_one_tree() -> None:
    """Each step reads its input twice: 2^40 loads if all were inlined."""
    steps = "".join(f"s{j} = Sigmoid (x{j})  x{j + 1} = Mul (x{j}, s{j})\n" for j in range(40))
    ports = "agraph (float[n, 4] x, float[4, 4] w) => (float[n, 4] x40)"
    built = check(model(f"{ports} {{ x0 = MatMul (x, w) {steps} }}"), n=3)
    assert 1 < len(built.plan.steps) < 40


@pytest.mark.parametrize(
    ("attributes", "weight", "steps"),
    [
        ("kernel_shape = [3, 2], pads = [1, 0, 1, 1]", "5, 4, 3, 2", 1),
        (
            "kernel_shape = [3, 3], strides = [2, 1], dilations = [1, 2]",
            "5, 4, 3, 3",
            2,
        ),  # s1 - 4 isn't proven to be positive
        ("kernel_shape = [2, 2], group = 2", "6, 2, 2, 2", 1),
        ("kernel_shape = [1, 1]", "5, 4, 1, 1", 1),
        ("kernel_shape = [3, 3], group = 4, pads = [1, 1, 1, 1]", "4, 1, 3, 3", 1),
    ],
)
def test_convolutions_keep_their_meaning(attributes: str, weight: str, steps: int) -> None:
    channels = weight.split(",")[0]
    proto = model(f"""
        agraph (float[n, 4, 7, h] x, float[{weight}] w, float[{channels}] wb) => (float[] z) {{
            y = Conv <{attributes}> (x, w, wb)
            r = Relu (y)
            z = Transpose <perm = [0, 2, 3, 1]> (r)
        }}""")
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    assert len(check(proto, n=2, h=9).plan.steps) == steps


def test_an_unknown_pass_is_refused() -> None:
    proto = model("agraph (float[n, 4] x) => (float[n, 4] y) { y = Exp (x) }")
    with pytest.raises(UsageError, match="no pass is called 'fold': expected one of clean, "):
        build(graph(proto), dump_after="fold")


@pytest.mark.parametrize(
    ("window", "kinds"),
    [("[3, 3], strides = [2, 2]", ["Map", "Reduce"]), ("[2, 2], strides = [2, 2]", ["Reduce"])],
)
def test_what_windows_read_again_is_joined_once(window: str, kinds: list[str]) -> None:
    """A fire module's two halves; windows that don't overlap read each element once."""
    proto = model(f"""
        agraph (float[n, 4, 9, 9] a, float[n, 3, 9, 9] b) => (float[n, 7, 4, 4] y) {{
            joined = Concat <axis = 1> (a, b)
            y = MaxPool <kernel_shape = {window}> (joined)
        }}""")
    assert sorted(families(check(proto, n=2))) == kinds
