"""What values an expression may have, as an interval: of literals, clamps, shifts, spans."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from webrt.dtypes import DType
from webrt.kernel.expr import Call, Const, Expr, Load, Ref

Range = tuple[float, float]
"""Least and largest value. Of a float it says nothing about NaN, which is cast to 0."""

I32: Range = (-(1 << 31), (1 << 31) - 1)
U32: Range = (0, (1 << 32) - 1)
PAIR: Range = (-(1 << 15), (1 << 15) - 1)
"""What one i16 of a pair holds."""

EXACT = 1 << 23
"""Sums of two whole numbers below it are floats."""


def inside(inner: Range, outer: Range) -> bool:
    """Whether every value of one range is in the other."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def whole(dtype: DType) -> Range:
    """What any value of a dtype is within."""
    if dtype is DType.BOOL:
        return (0, 1)
    return {DType.I32: I32, DType.U32: U32}.get(dtype, (-inf, inf))


def of(expr: Expr, leaf: Callable[[Load | Ref], Range | None]) -> Range:
    """The range of `expr`; `leaf` knows those of loads and references, None: any value."""
    known: dict[Expr, Range] = {}

    def visit(e: Expr) -> Range:
        if e not in known:
            known[e] = found(e)
        return known[e]

    def found(e: Expr) -> Range:
        if isinstance(e, Const):
            return (e.value, e.value) if e.value == e.value else whole(e.dtype)
        if isinstance(e, Load | Ref):
            return leaf(e) or whole(e.dtype)
        if isinstance(e, Call):
            return _of_call(e, visit) or whole(e.dtype)
        return whole(e.dtype)

    return visit(expr)


def is_whole(expr: Expr) -> bool:
    """Whether all that a float expression can be are whole numbers: integers, what is rounded."""
    match expr:
        case Const(value):
            return value == value and float(value).is_integer()
        case Call("cast", (inner,)):
            return not inner.dtype.is_float
        case Call("round", _):
            return True
        case Call("min" | "max" | "add" | "sub", (left, right)):
            return is_whole(left) and is_whole(right)
        case Call("select", (_, left, right)):
            return is_whole(left) and is_whole(right)
    return False


def _of_call(call: Call, visit: Callable[[Expr], Range]) -> Range | None:
    """None where nothing is known, or where an integer may wrap around."""
    match call.op, call.args:
        case "select", (_, left, right):
            (a, b), (c, d) = visit(left), visit(right)
            return min(a, c), max(b, d)
        case ("min" | "max") as op, (left, right):
            pick = min if op == "min" else max
            (a, b), (c, d) = visit(left), visit(right)
            return pick(a, c), pick(b, d)
        case "round", (value,):
            low, high = visit(value)
            return (low if low == -inf else round(low)), (high if high == inf else round(high))
        case "cast", (value,):
            return _cast(visit(value), value.dtype, call.dtype)
        case ("add" | "sub") as op, (left, right):
            (a, b), (c, d) = visit(left), visit(right)
            result = (a + c, b + d) if op == "add" else (a - d, b - c)
            if call.dtype.is_float:
                ends = (a, b, c, d)
                return result if all(abs(v) < EXACT and v == int(v) for v in ends) else None
            return result if inside(result, whole(call.dtype)) else None
        case "mod", (_, Const(value, DType.U32)) if value > 0:
            return 0, value - 1
        case "shift_right", (value, Const(count)) if 0 <= count < 32:
            low, high = visit(value)
            return int(low) >> int(count), int(high) >> int(count)
    return None


def _cast(value: Range, source: DType, to: DType) -> Range | None:
    """An integer that doesn't fit wraps around; a float saturates, and NaN becomes 0."""
    if to is DType.BOOL:
        return None
    if to.is_float:
        return value
    if source.is_float:
        low, high = whole(to)
        ends = [min(max(int(min(max(v, low), high)), low), high) for v in value]
        return min(ends[0], 0), max(ends[1], 0)
    return value if inside(value, whole(to)) else None
