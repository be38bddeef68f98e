"""How a Reduce is computed on a CPU: what the four lanes of a vector are, and how many vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from webrt.kernel.axes import collapse_reduce, stride
from webrt.kernel.expr import loads
from webrt.kernel.problem import Reduce, expressions
from webrt.schedule.base import CpuLimits
from webrt.schedule.explore import Explored, Order, Rules
from webrt.schedule.rows import along, chained, costs, rows


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
    return explain(problem, limits).kept


def explain(problem: Reduce, limits: CpuLimits) -> Explored[CpuReduceSchedule]:
    """The space, and which rule dropped each other raw candidate."""
    merged = collapse_reduce(problem)
    across, jumps = prefers_across(merged), _jumps(merged, prefers_across(merged))
    unrolls = _JUMPING if jumps else _UNROLLS
    single = chained(merged)
    return Explored(
        CpuReduceSchedule(4096, 1, 1) if single else CpuReduceSchedule(4096, 4, unrolls[0], across),
        raw(),
        Rules(
            must=(
                ("rows, for four at a time", lambda s: bool(merged.axes) or not s.across),
                (
                    "one element, where rows look up by their results",
                    lambda s: not single or s.width == 1,
                ),
            ),
            should=(
                (
                    "at most four fours a turn, where indices are computed",
                    lambda s: not jumps or s.unroll <= 4,
                ),
            ),
        ),
        Order(
            lambda s: (
                8.0 * (s.across != across)
                + 4.0 * (s.width == 1)
                + unrolls.index(s.unroll)
                + _ELEMENTS.index(s.elements) / 8
            ),
            lambda s: (s.across, s.width, s.unroll),
        ),
    )


_UNROLLS, _JUMPING = (4, 2, 8, 1), (1, 2, 4, 8)
"""Fours a turn, best first. Chromium on an x86-64, 2026-11-21, with 4, 2 and 1: a layer norm of
[384, 768] took 101, 140 and 236 µs, an arg-max over [128, 1000] 69, 95 and 171 µs; the sums of the
columns of [512, 512] 38, 50 and 115 µs across rows, 754 µs and more along them."""

_ELEMENTS = (4096, 16384, 1024, 2048)


@cache
def raw() -> tuple[CpuReduceSchedule, ...]:
    """Every combination of knobs, whatever the problem."""
    return tuple(
        CpuReduceSchedule(elements, width, unroll, across)
        for across in (False, True)
        for width, unroll in [(4, 1), (4, 2), (4, 4), (4, 8), (1, 1)]
        for elements in _ELEMENTS
        if width == 4 or not across
    )


def prefers_across(problem: Reduce) -> bool:
    """Whether four rows at a time are better than four elements of a row."""
    if chained(problem):
        return False
    if not problem.axes or not problem.reduced:
        return bool(problem.axes)
    return min(costs(problem, rows(problem))) < along(problem)


def _jumps(problem: Reduce, across: bool) -> bool:
    """Whether what is loaded next isn't known from what is loaded: clamped or computed indices."""
    if not across and not problem.reduced:
        return False
    name = f"i{best_axis(problem)}" if across else f"r{len(problem.reduced) - 1}"
    return any(stride(e.offset, name) is None for x in expressions(problem) for e in loads(x))


def best_axis(problem: Reduce) -> int:
    """The axis whose rows go best in fours; the last of those that are as good."""
    found = costs(problem, rows(problem))
    return min(range(len(found)), key=lambda j: (found[j], -j))
