"""How a Fold is computed on a CPU: how much a unit computes, four points by four or one by one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from webrt.kernel.axes import collapse_fold
from webrt.kernel.problem import Fold
from webrt.schedule.base import CpuLimits
from webrt.schedule.explore import Explored, Order, Rules
from webrt.schedule.fold import in_line, together


@dataclass(frozen=True, slots=True)
class CpuFoldSchedule:
    """A unit is about `elements` points; `unroll` fours, or with `width` 1 single ones, go round
    in one loop.
    """

    elements: int = 1024
    width: int = 4
    unroll: int = 4

    def __post_init__(self) -> None:
        if self.width not in (1, 4) or not 1 <= self.unroll <= 8 or self.elements < 64:
            raise ValueError(f"not a Fold schedule for CPUs: {self}")


def space(problem: Fold, limits: CpuLimits) -> tuple[CpuFoldSchedule, ...]:
    """Every legal schedule, best guess first."""
    return explain(problem, limits).kept


def explain(problem: Fold, limits: CpuLimits) -> Explored[CpuFoldSchedule]:
    """The space, and which rule dropped each other raw candidate."""
    merged = collapse_fold(problem)
    fours = together(merged)
    width = 4 if fours and in_line(merged) else 1
    unroll = 4 if width == 4 else 1
    return Explored(
        CpuFoldSchedule(1024, width, unroll),
        raw(),
        Rules(must=(("neighbours that go round together", lambda s: s.width == 1 or fours),)),
        Order(
            lambda s: (
                4.0 * (s.width != width) + abs(s.unroll - unroll) / 4 + _ELEMENTS.index(s.elements)
            ),
            lambda s: (s.width, s.unroll),
        ),
    )


_ELEMENTS = (1024, 4096)


@cache
def raw() -> tuple[CpuFoldSchedule, ...]:
    """Every combination of knobs, whatever the problem."""
    return tuple(
        CpuFoldSchedule(elements, width, unroll)
        for width, unroll in [(4, 4), (4, 2), (4, 1), (4, 8), (1, 1)]
        for elements in _ELEMENTS
    )
