"""Expressions as text: read back as they were printed, refused where they mean nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import NAMES, exprs

from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Call, Const, Expr, Load, Ref, as_index, call
from webrt.kernel.text import parse_dim, parse_expr, print_expr

i0, s0 = symbol("i0"), symbol("s0")
x = Load(0, i0 * 4 + 1, DType.F32)
p = Ref("p0", DType.F32)
dtypes = st.sampled_from([DType.F32, DType.F16, DType.I32, DType.U32, DType.BOOL])


@given(dtypes.flatmap(lambda d: exprs(d, NAMES)))
def test_round_trip(expr: Expr) -> None:
    assert parse_expr(print_expr(expr)) == expr


@given(exprs(DType.F32, NAMES, 4))
@settings(max_examples=50)
def test_round_trip_of_four_lanes(expr: Expr) -> None:
    assert parse_expr(print_expr(expr)) == expr


@given(st.lists(exprs(DType.F32, NAMES, 1, 2), min_size=2, max_size=3))
@settings(max_examples=50)
def test_different_expressions_print_differently(found: list[Expr]) -> None:
    assert len({print_expr(e) for e in found}) == len(set(found))


def test_zeros_of_both_signs_are_two() -> None:
    assert ex.f32(0.0) != ex.f32(-0.0)
    assert ex.f32(0.0) == ex.f32(0)
    assert len({ex.f32(0.0), ex.f32(-0.0), ex.f32(0.0)}) == 2


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (ex.f32(1e-5), "1e-05"),
        (ex.f32(float("-inf")), "-inf"),
        (Const(2.0, DType.F16), "2.0_f16"),
        (Const(7, DType.U32), "7_u32"),
        (ex.boolean(True), "true"),
        (as_index(i0 * 4 + s0), "int(4*i0 + s0)"),
        (x, "x0.f32[4*i0 + 1]"),
        (Load("tile", i0 * 4, DType.F32, 4), "tile.f32x4[4*i0]"),
        (call("mul", call("add", x, p), p), "(x0.f32[4*i0 + 1] + p0.f32) * p0.f32"),
        (call("sub", p, call("sub", p, p)), "p0.f32 - (p0.f32 - p0.f32)"),
        (call("sub", call("sub", p, p), p), "p0.f32 - p0.f32 - p0.f32"),
        (ex.cast(call("lt", p, p), DType.F32), "f32(p0.f32 < p0.f32)"),
        (
            Load(1, ex.as_dim(Load(0, i0, DType.I32)) * 8 + i0 // 3, DType.F32),
            "x1.f32[(i0 // 3) + 8*[x0.i32[i0]]]",
        ),
    ],
)
def test_what_it_looks_like(expr: Expr, text: str) -> None:
    assert print_expr(expr) == text
    assert parse_expr(text) == expr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a name, found the end in ''"),
        ("1.5 +", "expected a name, found the end in '1.5 +'"),
        ("x0.f32[i0", "expected ']', found the end in 'x0.f32[i0'"),
        ("x0.f99", "not a type: 'f99', found the end in 'x0.f99'"),
        ("1.0 + 1", "add doesn't take f32, i32"),
        ("exp(true)", "exp doesn't take bool"),
        ("sum4(1.0)", "sum4 doesn't take f32"),
        ("exp(1.0, 2.0)", "exp takes 1 operands, found 2"),
        ("system(1)", "not an operation: 'system'"),
        ("x0.f32[[p0.f32]]", "a value in a dim is one i32, found ']' in 'x0.f32[[p0.f32]]'"),
        ("int((i0 // 0))", "// by 0, found ')' in 'int((i0 // 0))'"),
        ("int((a + b)*(c + d))", "a product of sums isn't written so, found ')' in"),
        ("3000000000", "3000000000 is no i32"),
        ("1e999", "1e999 is too large"),
        ("1 2", "expected the end of the line, found '2' in '1 2'"),
        ("a.f32 @ b.f32", "not understood: ' @ b.f32'"),
        ("ä.f32", "not understood: 'ä.f32'"),
        ("(" * 200, "nested more than 100 deep"),
        ("neg(" * 300 + "1" + ")" * 300, "nested more than 100 deep"),
        (" + ".join(["1.0"] * 999), "more than 256 operations in a row"),
        ("neg(1 + 1" + " + 1" * 200 + ")" + " * 1" * 120, "an expression more than 300 high"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_expr(text)
    assert str(caught.value).startswith(message)


@given(exprs(DType.F32, NAMES), st.data())
def test_damaged_text_raises_nothing_else(expr: Expr, data: st.DataObject) -> None:
    text = print_expr(expr)
    place = data.draw(st.integers(0, len(text)))
    other = data.draw(st.text(alphabet="x0.[]()+-*/%<>& fi3_,{}\n", max_size=3))
    try:
        found = parse_expr(text[:place] + other + text[place + 1 :])
    except ValueError:
        return
    assert parse_expr(print_expr(found)) == found


def test_dims_with_values_round_trip() -> None:
    dim = ex.as_dim(Load(2, i0, DType.I32)) * s0 + (i0 // 3) * 2 - 1
    assert parse_dim(str(dim)) == dim


def test_a_long_sum_needs_no_nesting() -> None:
    total: Expr = p
    for _ in range(200):
        total = Call("add", (total, x), DType.F32)
    assert parse_expr(print_expr(total)) == total
