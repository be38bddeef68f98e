"""Simplification of scalar expressions: literals folded, neutral operands and double casts gone."""

from __future__ import annotations

import math

from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Call, Const, Expr


def fold(expr: Expr) -> Expr:
    """An equal expression without needless operations."""
    return ex.rewrite(expr, _step)


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
            return _cast(inner, expr.dtype)
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
