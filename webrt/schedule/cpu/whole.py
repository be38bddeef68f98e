"""Float products of whole numbers, which CPUs sum as integers: faster, and exact.

    a = f32(x0.u32[…] - 128)              a = x0.u32[…] - 128
    b = f32(field - zero)           →     b = field - zero
    out … acc.f32 * 0.01                  out … f32(acc.i32) * 0.01

Quantised models are of such products (`passes/qdq.py`). Only where b's fields lie in words, a fits
16 bits and no sum can leave 32: `narrow.py` tells how the integers are multiplied.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from webrt.dtypes import DType
from webrt.kernel import ranges
from webrt.kernel.expr import Call, Const, Expr, Load, Ref, cast, i32, rewrite
from webrt.kernel.problem import Contract
from webrt.kernel.ranges import Range
from webrt.schedule.cpu.narrow import narrow

_INTEGERS = (DType.I32, DType.U32)


@lru_cache(maxsize=256)
def whole(problem: Contract) -> Contract:
    """The problem over integers where it is one of whole numbers, else as it is."""
    if problem.a.dtype is not DType.F32 or not isinstance(problem.k, int):
        return problem
    a, b = _whole(problem, problem.a), _whole(problem, problem.b)
    if a is None or b is None:
        return problem
    acc = cast(Ref("acc", DType.I32), DType.F32)
    outputs = tuple(
        replace(o, expr=rewrite(o.expr, lambda e: acc if _is_acc(e) else None))
        for o in problem.outputs
    )
    found = replace(problem, a=a, b=b, outputs=outputs)
    most = problem.k * _magnitude(found, a) * _magnitude(found, b)
    fits = most <= ranges.I32[1]
    return found if fits and narrow(found) is not None else problem


def _whole(problem: Contract, expr: Expr) -> Expr | None:
    """A float expression as i32, where all that it can be are whole numbers."""
    match expr:
        case Const(value):
            return i32(int(value)) if value == value and float(value).is_integer() else None
        case Load(memory):
            told = isinstance(memory, int) and problem.operands[memory].span is not None
            return cast(expr, DType.I32) if told else None
        case Call("cast", (inner,)) if inner.dtype in _INTEGERS:
            return cast(inner, DType.I32)
        case Call("select", (condition, *both)):
            parts = [_whole(problem, e) for e in both]
            kept = [p for p in parts if p is not None]
            return Call("select", (condition, *kept), DType.I32) if len(kept) == 2 else None
    return None


def _magnitude(problem: Contract, expr: Expr) -> float:
    """The largest absolute value that an expression of the problem's can have."""

    def leaf(e: Load | Ref) -> Range | None:
        return problem.operands[e.memory].span if isinstance(e, Load) else None  # type: ignore[index]

    return max(map(abs, ranges.of(expr, leaf)))


def _is_acc(expr: Expr) -> bool:
    return isinstance(expr, Ref) and expr.name == "acc"


__all__ = ["whole"]
