"""Building, walking and rewriting scalar expressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from strategies import NAMES, exprs

from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Call, Const, Expr, Index, Load, Ref, as_dim, as_index, call

i0, s0 = symbol("i0"), symbol("s0")
loaded = Load(1, i0 * s0, DType.I32)
p = Ref("p0", DType.F32)


def test_sums_of_symbolic_integers_stay_symbolic() -> None:
    total = call("add", call("mul", as_index(i0), ex.i32(4)), as_index(s0))
    assert total == Index(i0 * 4 + s0)
    assert call("sub", total, total) == ex.i32(0)
    assert call("neg", as_index(i0)) == Index(i0 * -1)


def test_loaded_integers_enter_dims_and_come_back() -> None:
    dim = as_dim(call("add", loaded, ex.i32(1)))
    assert str(dim) == "[x1.i32[i0*s0]] + 1"
    assert as_index(as_dim(loaded)) == loaded
    assert as_index(7) == ex.i32(7)


def test_casts_fold_literals_and_vanish_where_nothing_changes() -> None:
    assert ex.cast(ex.f32(2.7), DType.I32) == ex.i32(2)
    assert ex.cast(ex.i32(3), DType.F32) == ex.f32(3.0)
    assert ex.cast(ex.f32(0.5), DType.BOOL) == ex.boolean(True)
    assert ex.cast(p, DType.F32) is p
    assert ex.cast(p, DType.F16) == Call("cast", (p,), DType.F16)
    big = ex.f32(3e9)
    assert ex.cast(big, DType.I32) == Call("cast", (big,), DType.I32)


def test_select_folds_what_is_known() -> None:
    assert ex.select(ex.boolean(True), p, ex.f32(1)) == p
    assert ex.select(call("lt", p, p), p, p) == p


@pytest.mark.parametrize(
    ("op", "args", "dtype", "lanes"),
    [
        ("lt", (p, p), DType.BOOL, 1),
        ("is_nan", (p,), DType.BOOL, 1),
        ("splat", (p,), DType.F32, 4),
        ("vec4", (p, p, p, p), DType.F32, 4),
        ("sum4", (Ref("v", DType.F32, 4),), DType.F32, 1),
        ("lane2", (Ref("v", DType.F32, 4),), DType.F32, 1),
        ("mul", (Ref("v", DType.F32, 4), p), DType.F32, 4),
    ],
)
def test_types_of_calls(op: str, args: tuple[Expr, ...], dtype: DType, lanes: int) -> None:
    found = call(op, *args)
    assert (found.dtype, ex.lanes_of(found)) == (dtype, lanes)


def test_operands_of_two_types_are_a_bug() -> None:
    with pytest.raises(AssertionError):
        call("add", p, ex.i32(1))


def test_walk_looks_into_indices() -> None:
    row = Load(0, as_dim(loaded) * 8 + i0, DType.F32)
    assert ex.loads(call("exp", row)) == [row, loaded]
    assert ex.free_symbols(row) == {"i0", "s0"}


def test_deep_gathers_are_walked_once() -> None:
    index: Expr = as_index(i0)
    for _ in range(40):
        index = Load(0, as_dim(index) + 1, DType.I32)
    assert len(ex.loads(index)) == 40
    assert ex.free_symbols(index) == {"i0"}


def test_substitute_reaches_the_index_of_an_index() -> None:
    row = Load(0, as_dim(loaded) * 8, DType.F32)
    changed = ex.substitute(row, {"i0": symbol("i1") + 2})
    inner = Load(1, (symbol("i1") + 2) * s0, DType.I32)
    assert changed == Load(0, as_dim(inner) * 8, DType.F32)


def test_rewrite_replaces_inside_indices() -> None:
    row = Load(0, as_dim(loaded) * 8, DType.F32)
    changed = ex.rewrite(row, lambda e: as_index(i0) if e == loaded else None)
    assert changed == Load(0, i0 * 8, DType.F32)


@given(exprs(DType.F32, NAMES))
def test_rewriting_nothing_changes_nothing_that_matters(expr: Expr) -> None:
    once = ex.rewrite(expr, lambda e: None)
    assert ex.rewrite(once, lambda e: None) == once
    assert once.dtype is expr.dtype
    assert ex.free_symbols(once) <= ex.free_symbols(expr)


def test_a_literal_keeps_its_type() -> None:
    assert Const(1.0, DType.F32) != Const(1.0, DType.F16)
