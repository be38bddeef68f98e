"""Widens problems: what stores f16 stores f32 instead, for devices that have no f16.

Problems compute in f32: f16 stands only where an operand is loaded and where an output is stored
(`check.py`), so that the widened problem computes the same without the rounding in between.
"""

from __future__ import annotations

from dataclasses import replace

from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Call, Expr, Load
from webrt.kernel.problem import Problem, map_expressions


def stores_f16(problem: Problem) -> bool:
    """Whether an operand or an output of the problem is of f16."""
    dtypes = [o.dtype for o in problem.operands] + [o.dtype for o in problem.outputs]
    return DType.F16 in dtypes


def widened(problem: Problem) -> Problem:
    """The problem with f32 in the place of f16."""
    if not stores_f16(problem):
        return problem
    wide = map_expressions(problem, lambda e: ex.rewrite(e, _widen))
    operands = tuple(replace(o, dtype=wide_dtype(o.dtype)) for o in wide.operands)
    outputs = tuple(replace(o, dtype=wide_dtype(o.dtype)) for o in wide.outputs)
    return replace(wide, operands=operands, outputs=outputs)


def wide_dtype(dtype: DType) -> DType:
    return DType.F32 if dtype is DType.F16 else dtype


def _widen(expr: Expr) -> Expr | None:
    if expr.dtype is not DType.F16:
        return None
    match expr:
        case Load():
            return replace(expr, dtype=DType.F32)
        case Call("cast", (value,)):
            return ex.cast(value, DType.F32)
    raise ValueError(f"f16 is only loaded and stored, found {expr}")
