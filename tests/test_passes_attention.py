"""Attention in the exporters' spellings becomes one node, and one kernel."""

from __future__ import annotations

import onnx
import pytest
from onnx_text import check, families, graph, model, operators

from webrt.kernel.text import print_problem
from webrt.passes.attention import recognise_attention
from webrt.passes.clean import clean
from webrt.passes.pipeline import build

HEAD = "float[batch, 2, query, 4] q, float[batch, 2, key, 4] k, float[batch, 2, key, 6] v"

SPELLINGS = {
    "scores divided, mask added": """
        agraph (HEAD, float[batch, 1, 1, key] mask) => (float[batch, 2, query, 6] y) {
            kt = Transpose <perm = [0, 1, 3, 2]> (k)
            s = MatMul (q, kt)
            two = Constant <value = float {2.0}> ()
            scaled = Div (s, two)
            masked = Add (scaled, mask)
            p = Softmax <axis = -1> (masked)
            y = MatMul (p, v)
        }""",
    "both sides multiplied, mask first": """
        agraph (HEAD, float[batch, 2, query, key] mask) => (float[batch, 2, query, 6] y) {
            root = Constant <value = float {0.8}> ()
            qs = Mul (q, root)
            kt = Transpose <perm = [0, 1, 3, 2]> (k)
            ks = Mul (root, kt)
            s = MatMul (qs, ks)
            masked = Add (mask, s)
            p = Softmax <axis = 3> (masked)
            y = MatMul (p, v)
        }""",
    "a mask chosen by Where": """
        agraph (HEAD, bool[1, 1, query, key] keep) => (float[batch, 2, query, 6] y) {
            kt = Transpose <perm = [0, 1, 3, 2]> (k)
            s = MatMul (q, kt)
            low = Constant <value = float {-1e38}> ()
            masked = Where (keep, s, low)
            p = Softmax <axis = -1> (masked)
            y = MatMul (p, v)
        }""",
    "a guard against rows without a key": """
        agraph (HEAD) => (float[batch, 2, query, 6] y) {
            kt = Transpose <perm = [0, 1, 3, 2]> (k)
            s = MatMul (q, kt)
            p = Softmax <axis = -1> (s)
            bad = IsNaN (p)
            zero = Constant <value = float {0.0}> ()
            safe = Where (bad, zero, p)
            y = MatMul (safe, v)
        }""",
    "rows that are zero": """
        agraph (HEAD, bool[batch, 1, query, 1] none) => (float[batch, 2, query, 6] y) {
            kt = Transpose <perm = [0, 1, 3, 2]> (k)
            s = MatMul (q, kt)
            p = Softmax <axis = -1> (s)
            zero = Constant <value = float {0.0}> ()
            safe = Where (none, zero, p)
            y = MatMul (safe, v)
        }""",
    "two masks": """
        agraph (HEAD, float[1, 2, query, key] bias, float[batch, 1, 1, key] mask)
            => (float[batch, 2, query, 6] y) {
            kt = Transpose <perm = [0, 1, 3, 2]> (k)
            s = MatMul (q, kt)
            biased = Add (s, bias)
            masked = Add (biased, mask)
            p = Softmax <axis = -1> (masked)
            y = MatMul (p, v)
        }""",
}


def spelled(name: str) -> onnx.ModelProto:
    return model(SPELLINGS[name].replace("HEAD", HEAD))


@pytest.mark.parametrize("name", SPELLINGS)
def test_each_spelling_is_one_node_and_one_kernel(name: str) -> None:
    proto = spelled(name)
    found = operators(clean(recognise_attention(clean(graph(proto)))))
    assert found.count("Attention") == 1
    assert not {"Softmax", "MatMul", "Mul", "Div"} & set(found)
    # The two scales of the second spelling and one head's columns are told apart by odd sizes.
    built = check(proto, batch=2, query=3, key=5)
    assert families(built) == ["Attention"]


def test_scales_above_reshapes_are_gathered() -> None:
    proto = model("""
        agraph (float[batch, length, 8] x, float[8, 8] w) => (float[batch, 2, length, 4] y) {
            root = Constant <value = float {0.7}> ()
            shape = Constant <value = int64[4] {0, 0, 2, 4}> ()
            p = MatMul (x, w)
            ps = Mul (p, root)
            r = Reshape (ps, shape)
            q = Transpose <perm = [0, 2, 1, 3]> (r)
            xr = Reshape (x, shape)
            k = Transpose <perm = [0, 2, 1, 3]> (xr)
            kt = Transpose <perm = [0, 2, 3, 1]> (xr)
            s = MatMul (q, kt)
            a = Softmax <axis = -1> (s)
            y = MatMul (a, k)
        }""")
    attention = next(n for n in recognise_attention(graph(proto)).nodes if n.op == "Attention")
    assert attention.attributes["scale"] == pytest.approx(0.7)
    assert families(check(proto, batch=2, length=3)) == ["Contract", "Attention"]


@pytest.mark.parametrize(
    "scores",
    [
        "p = Softmax <axis = 2> (s)",  # over queries
        "t = Tanh (s)  p = Softmax <axis = -1> (t)",
        "m = Constant <value = float {-10.0}> ()  c = Greater (s, m)  "
        "w0 = Where (c, s, m)  p = Softmax <axis = -1> (w0)",
    ],
)
def test_what_looks_alike_stays_as_it_is(scores: str) -> None:
    proto = model(f"""
        agraph ({HEAD}) => (float[batch, 2, query, 6] y) {{
            kt = Transpose <perm = [0, 1, 3, 2]> (k)
            s = MatMul (q, kt)
            {scores}
            y = MatMul (p, v)
        }}""")
    assert "Attention" not in operators(recognise_attention(graph(proto)))
    check(proto, batch=2, query=3, key=5)


def test_masks_of_minus_infinity_are_finite_in_kernels() -> None:
    proto = spelled("a mask chosen by Where")
    low = next(n for n in proto.graph.node if n.op_type == "Constant").attribute[0]
    low.f = float("-inf")
    built = build(graph(proto))
    assert "inf" not in print_problem(built.plan.problems[0])
    assert "-3.4028234663852886e+38" in print_problem(built.plan.problems[0])
