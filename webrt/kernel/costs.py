"""What a problem costs, read off it: floating-point operations, and bytes that must move."""

from __future__ import annotations

from collections.abc import Mapping

from webrt import dims
from webrt.dims import Dim
from webrt.kernel.expr import Call, Expr, Load, loads, own_dims, walk
from webrt.kernel.problem import (
    Attention,
    Contract,
    Fold,
    Map,
    Problem,
    Reduce,
    expressions,
    extents,
)


def operations(problem: Problem) -> Dim:
    """Floating-point operations: a product and a sum are two, any function is one."""
    space = extents(problem)

    def points(*without: str) -> Dim:
        return dims.product(tuple(d for name, d in space.items() if name not in without))

    match problem:
        case Contract(a=a, b=b, outputs=outputs):
            inside = 2 * points() + _calls(a) * points("n") + _calls(b) * points("m")
            return inside + sum(_calls(o.expr) for o in outputs) * points("k")
        case Attention(score=score, outputs=outputs):
            products = 2 * points("e") + 2 * points("d")
            softmax = (_calls(score) + 4) * points("d", "e")  # subtract, exp, sum, maximum
            return products + softmax + sum(_calls(o.expr) for o in outputs) * points("d", "t")
        case Reduce(passes=passes, outputs=outputs):
            rows = points(*(name for name in space if name.startswith("r")))
            total = sum(1 + _calls(p.expr) for p in passes) * points()
            for output in outputs:
                total = total + _calls(output.expr) * (points() if output.each else rows)
            return total
        case Fold(first=first, step=step, outputs=outputs):
            rest = _calls(first) + sum(_calls(o.expr) for o in outputs)
            return (_calls(step) * turns(problem) + rest) * points("t")
        case Map(outputs=outputs):
            return sum(_calls(o.expr) for o in outputs) * points()


def turns(problem: Fold) -> Dim:
    """How often the loop of a point goes round: as often as it may, or once where data decide."""
    decided = any(loads(e) for e in (problem.start, problem.stop))
    return 1 if decided else problem.limit


def _calls(expr: Expr) -> int:
    """The floating-point calls of an expression; choosing between two values is none."""
    return sum(isinstance(e, Call) and e.dtype.is_float and e.op != "select" for e in walk(expr))


def traffic(problem: Problem) -> Dim:
    """Bytes that a problem must read and write: each element once, and no more than are asked for.

    A gather of a few rows of a table reads those rows, not the table.
    """
    space = extents(problem)
    asked: list[Dim] = [0] * len(problem.operands)
    for expr in expressions(problem):
        for load in loads(expr):
            if isinstance(load.memory, int):
                asked[load.memory] = asked[load.memory] + _distinct(load, space)
    total: Dim = 0
    for output in problem.outputs:
        total = total + output.size * output.dtype.storage.bytes
    for operand, most in zip(problem.operands, asked, strict=True):
        total = total + dims.dim_min(operand.size, most) * operand.dtype.storage.bytes
    return total


def _distinct(load: Load, space: Mapping[str, Dim]) -> Dim:
    """At most how many elements a load sees: one for each value of the indices in its offset."""
    names: set[str] = set()
    for part in walk(load):
        for dim in own_dims(part):
            names |= dims.free_symbols(dim)
    return dims.product(tuple(space[name] for name in sorted(names & space.keys())))
