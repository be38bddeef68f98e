"""How a Reduce is computed on a CPU: what the four lanes of a vector are, and how many vectors."""

from __future__ import annotations

from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim
from webrt.kernel.axes import collapse_reduce
from webrt.kernel.expr import loads
from webrt.kernel.problem import Reduce, expressions
from webrt.schedule.base import CpuLimits


@dataclass(frozen=True, slots=True)
class CpuReduceSchedule:
    """A unit is rows of about `elements` elements; a turn of its loops takes `unroll` fours.

    A four is neighbours in a row, or with `across` the same place of four rows. With `width` 1 it
    is one element.
    """

    elements: int = 4096
    width: int = 4
    unroll: int = 4
    across: bool = False

    def __post_init__(self) -> None:
        if self.width not in (1, 4) or not 1 <= self.unroll <= 8 or self.elements < 16:
            raise ValueError(f"not a Reduce schedule for CPUs: {self}")


def space(problem: Reduce, limits: CpuLimits) -> tuple[CpuReduceSchedule, ...]:
    """Every legal schedule, best guess first."""
    merged = collapse_reduce(problem)
    across = prefers_across(merged)
    ways = [(4, 4, across), (4, 2, across), (4, 1, across), (1, 1, False)]
    ways += [(4, 4, not across), (4, 1, not across)]
    return tuple(
        CpuReduceSchedule(elements, width, unroll, over)
        for width, unroll, over in ways
        for elements in (4096, 16384, 1024)
        if merged.axes or not over
    )


def prefers_across(problem: Reduce) -> bool:
    """Whether four rows at a time are better than four elements of a row."""
    if not problem.axes or not problem.reduced:
        return bool(problem.axes)
    length = problem.reduced[-1]
    along = cost(problem, f"r{len(problem.reduced) - 1}")
    if isinstance(length, int) and length < 16:
        along += 4 * (length % 4) + 4
    return min(cost(problem, f"i{j}") for j in range(len(problem.axes))) < along


def cost(problem: Reduce, name: str) -> int:
    """What the loads and stores of four values of index `name` cost, about, in fours of loads."""
    offsets: list[Dim] = list({load.offset for e in expressions(problem) for load in loads(e)})
    offsets += [o.offset for o in problem.outputs if o.each]
    grown = [dims.substitute(d, {name: dims.symbol(name) + 1}) - d for d in offsets]
    return sum(0 if g == 0 else 1 if g == 1 else 4 for g in grown)
