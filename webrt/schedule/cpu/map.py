"""How a Map is computed on a CPU: how much a unit computes, four by four or one by one."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.problem import Map
from webrt.schedule.base import CpuLimits


@dataclass(frozen=True, slots=True)
class CpuMapSchedule:
    """A unit is about `elements` elements; a turn of its innermost loop computes `unroll` fours.

    With `width` 1 a turn computes one element.
    """

    elements: int = 4096
    width: int = 4
    unroll: int = 1

    def __post_init__(self) -> None:
        if self.width not in (1, 4) or not 1 <= self.unroll <= 8 or self.elements < 16:
            raise ValueError(f"not a Map schedule for CPUs: {self}")


def space(problem: Map, limits: CpuLimits) -> tuple[CpuMapSchedule, ...]:
    """Every legal schedule, best guess first."""
    return tuple(
        CpuMapSchedule(elements, width, unroll)
        for width, unroll in ((4, 2), (4, 1), (4, 4), (1, 1))
        for elements in (4096, 16384, 1024)
    )
