"""Which four values of a Reduce are best computed at once: neighbours in a row, or in four rows."""

from __future__ import annotations

from collections.abc import Sequence

from webrt.dims import Dim
from webrt.kernel.axes import stride
from webrt.kernel.expr import loads, looks_up
from webrt.kernel.problem import Reduce, expressions


def costs(problem: Reduce, names: Sequence[str]) -> list[int]:
    """What loads and stores of four values of each index cost, about, in fours of neighbours."""
    offsets: list[Dim] = list({load.offset for e in expressions(problem) for load in loads(e)})
    offsets += [o.offset for o in problem.outputs if o.each]
    strides = ([stride(d, name) for d in offsets] for name in names)
    return [sum(0 if s == 0 else 1 if s == 1 else 4 for s in found) for found in strides]


def along(problem: Reduce) -> int:
    """The same of four elements of a row; a short row that isn't of fours costs more."""
    length = problem.reduced[-1]
    (cost,) = costs(problem, [f"r{len(problem.reduced) - 1}"])
    if isinstance(length, int) and length < 16:
        cost += 4 * (length % 4) + 4
    return cost


def rows(problem: Reduce) -> list[str]:
    """The indices of the rows."""
    return [f"i{j}" for j in range(len(problem.axes))]


def chained(problem: Reduce) -> bool:
    """Whether a pass looks up by the result of an earlier one: row by row, element by element."""
    return any(looks_up(e) for e in expressions(problem))
