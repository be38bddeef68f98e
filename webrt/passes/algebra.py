"""Simplification of scalar expressions: literals folded, neutral operands and double casts gone."""

from __future__ import annotations

import math
from collections.abc import Mapping

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Call, Const, Expr, Index
from webrt.kernel.operations import COMPARISON


def fold(expr: Expr, space: Mapping[str, Dim]) -> Expr:
    """An equal expression without needless operations, over indices with these extents."""

    def step(e: Expr) -> Expr | None:
        changed = _step(e)
        current = e if changed is None else changed
        decided = _decide(current, space)
        return changed if decided is None else decided

    return ex.rewrite(expr, step)


def tidy(expr: Expr, space: Mapping[str, Dim]) -> Expr:
    """An equal expression with simple indices and without needless operations."""
    return ex.simplify(fold(ex.simplify(expr, space), space), space)


def _decide(expr: Expr, space: Mapping[str, Dim]) -> Expr | None:
    """What a comparison, a minimum, a maximum or a choice by position is at every point."""
    if not isinstance(expr, Call):
        return None
    if expr.op == "select":
        return _border(expr.args[0], expr.args[1], expr.args[2], space)
    if len(expr.args) != 2 or not all(_is_index(a) for a in expr.args):
        return None
    left, right = (ex.as_dim(a) for a in expr.args)
    if expr.op in ("min", "max"):
        for less, more in ((left, right), (right, left)):
            if dims.is_at_most(less, more, space):
                return ex.as_index(less if expr.op == "min" else more)
        return None
    if expr.op not in COMPARISON:
        return None
    op = expr.op
    if op in ("gt", "ge"):
        op, left, right = {"gt": "lt", "ge": "le"}[op], right, left
    if op in ("eq", "ne"):
        if left == right:
            return ex.boolean(op == "eq")
        apart = dims.is_at_most(left + 1, right, space) or dims.is_at_most(right + 1, left, space)
        return ex.boolean(op == "ne") if apart else None
    if dims.is_at_most(left + 1 if op == "lt" else left, right, space):
        return ex.boolean(True)
    if dims.is_at_most(right if op == "lt" else right + 1, left, space):
        return ex.boolean(False)
    return None


def _is_index(expr: Expr) -> bool:
    return isinstance(expr, Index) or (isinstance(expr, Const) and expr.dtype is DType.I32)


def _border(condition: Expr, first: Expr, rest: Expr, space: Mapping[str, Dim]) -> Expr | None:
    """select(i < c, a, b) with b simplified for i >= c; b alone where b at i = 0 is a and c is 1.

    Exporters begin a count apart (`concat([first], rest)`), and a concatenation holds the offset of
    each part in its range: both go where the index tells enough.
    """
    match condition:
        case Call("lt", (Index(dim), Const(c, _))):
            name = dims.lone_symbol(dim)
            if name is None or name not in space:
                return None
            bound = int(c)
            later = _beyond(rest, name, bound, space)
            if bound == 1 and ex.substitute(later, {name: 0}) == first:
                return later
            return ex.select(condition, first, later) if later != rest else None
    return None


def _beyond(expr: Expr, name: str, bound: int, space: Mapping[str, Dim]) -> Expr:
    """`expr` simplified for indices `name` of `bound` and above.

    A choice further on was simplified before: its second part, for indices of more than that.
    """
    index = dims.symbol(name)
    match expr:
        case Call("select", (Call("lt", (Index(dim), Const(c, _))) as condition, first, rest)) if (
            dim == index and c > bound
        ):
            return ex.select(condition, _beyond(first, name, bound, space), rest)
    shifted = ex.substitute(expr, {name: index + bound})
    later = ex.simplify(shifted, dict(space) | {name: space[name] - bound})
    return ex.substitute(later, {name: index - bound})


def _step(expr: Expr) -> Expr | None:
    if not isinstance(expr, Call):
        return None
    args = expr.args
    if all(isinstance(a, Const) for a in args):
        value = _evaluate(expr.op, [a.value for a in args if isinstance(a, Const)], expr.dtype)
        if value is not None:
            return value
    match expr:
        case Call("mul" | "div", (x, Const(1, _))) | Call("mul", (Const(1, _), x)):
            return x
        case Call("add" | "sub", (x, Const(0, _))) | Call("add", (Const(0, _), x)):
            return x
        case Call("max" | "min", (x, Const(v, _))) | Call("max" | "min", (Const(v, _), x)):
            return x if v == (-math.inf if expr.op == "max" else math.inf) else None
        case Call("select", (condition, yes, no)):
            return ex.select(condition, yes, no) if _decided(condition, yes, no) else None
        case Call("and", (x, Const(True, _))) | Call("and", (Const(True, _), x)):
            return x
        case Call("or", (x, Const(False, _))) | Call("or", (Const(False, _), x)):
            return x
        case Call("and", (_, Const(False, _))) | Call("and", (Const(False, _), _)):
            return ex.boolean(False)
        case Call("or", (_, Const(True, _))) | Call("or", (Const(True, _), _)):
            return ex.boolean(True)
        case Call("and" | "or", (x, y)) if x == y:
            return x
        case Call("not", (Call("not", (x,)),)):
            return x
        case Call("cast", (inner,)):
            back = _unrounded(inner) if expr.dtype is DType.F32 else None
            return _cast(inner, expr.dtype) if back is None else back
        case Call("ne", (Call("cast", (x,)), Const(0, _))) if x.dtype is DType.BOOL:
            return x
        case Call("eq", (Call("cast", (x,)), Const(1, _))) if x.dtype is DType.BOOL:
            return x
        case Call("eq", (Call("cast", (x,)), Const(0, _))) if x.dtype is DType.BOOL:
            return ex.call("not", x)
    return None


def _decided(condition: Expr, yes: Expr, no: Expr) -> bool:
    return isinstance(condition, Const) or yes == no


def _cast(inner: Expr, dtype: DType) -> Expr | None:
    """cast(cast(x)) where the middle type holds every value of x."""
    if inner.dtype is dtype:
        return inner
    if not (isinstance(inner, Call) and inner.op == "cast"):
        return None
    source = inner.args[0]
    if source.dtype is DType.BOOL and inner.dtype is not DType.BOOL:
        return ex.cast(source, dtype)
    return None


_EXACT = 1 << 24
"""Whole numbers up to it are floats."""


def _unrounded(expr: Expr) -> Expr | None:
    """An integer expression as the float that it was cast from, where that was a whole number.

    A tensor that is quantised and dequantised in one kernel needn't go through integers.
    """
    match expr:
        case Call("cast", (Call("min", (Call("max", (x, Const(low, _))), Const(high, _))),)):
            bounded = max(abs(low), abs(high)) <= _EXACT and (low >= 0 or expr.dtype is DType.I32)
            return expr.args[0] if bounded and _is_rounded(x) else None
        case Call("cast", (inner,), DType.I32) if inner.dtype is DType.U32:
            return _unrounded(inner)  # the cases above and below are all of less than 2^31
        case Call("sub" | "add", (inner, Const(c, _)), DType.I32) if abs(c) < _EXACT >> 1:
            found = _unrounded(inner)
            return None if found is None else ex.call(expr.op, found, Const(float(c), DType.F32))
    return None


def _is_rounded(expr: Expr) -> bool:
    match expr:
        case Call("round", _):
            return True
        case Call("add" | "sub", (inner, Const(c, _))):
            return float(c).is_integer() and _is_rounded(inner)
    return False


def _evaluate(op: str, values: list[float | int | bool], dtype: DType) -> Expr | None:
    """The literal that an operation on literals gives; None where it is left to the device."""
    if any(not math.isfinite(v) for v in values):
        return None
    result: float | int | bool
    match op, values:
        case "add", [a, b]:
            result = a + b
        case "sub", [a, b]:
            result = a - b
        case "mul", [a, b]:
            result = a * b
        case "neg", [a]:
            result = -a
        case "lt", [a, b]:
            return ex.boolean(a < b)
        case "le", [a, b]:
            return ex.boolean(a <= b)
        case "gt", [a, b]:
            return ex.boolean(a > b)
        case "ge", [a, b]:
            return ex.boolean(a >= b)
        case "eq", [a, b]:
            return ex.boolean(a == b)
        case "ne", [a, b]:
            return ex.boolean(a != b)
        case "not", [a]:
            return ex.boolean(not a)
        case _:
            return None
    if dtype is DType.F32:
        return None if abs(result) > 3.4e38 else Const(float(result), dtype)
    return Const(int(result), dtype) if abs(result) < 1 << 31 and dtype is DType.I32 else None
