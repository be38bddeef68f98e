"""How a Map is computed on a CPU: how much a unit computes, four by four or one by one."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.axes import stride
from webrt.kernel.expr import loads
from webrt.kernel.problem import Map
from webrt.schedule.base import CpuLimits


@dataclass(frozen=True, slots=True)
class CpuMapSchedule:
    """A unit is about `elements` elements; a turn of its innermost loop computes `unroll` fours.

    With `width` 1 a turn computes one element. With `turned`, a loop along which operands are
    contiguous runs inside of the one along which the output is: for transposes.
    """

    elements: int = 4096
    width: int = 4
    unroll: int = 2
    turned: bool = False

    def __post_init__(self) -> None:
        if self.width not in (1, 4) or not 1 <= self.unroll <= 8 or self.elements < 64:
            raise ValueError(f"not a Map schedule for CPUs: {self}")


def space(problem: Map, limits: CpuLimits) -> tuple[CpuMapSchedule, ...]:
    """Every legal schedule, best guess first."""
    ways = [(4, 2, False), (4, 1, False), (4, 4, False), (1, 1, False)]
    if transposes(problem):
        ways = [(4, 4, True), (4, 2, True), (4, 1, True), *ways]
    return tuple(
        CpuMapSchedule(elements, width, unroll, turned)
        for width, unroll, turned in ways
        for elements in (4096, 16384, 1024)
    )


def transposes(problem: Map) -> bool:
    """Whether an operand is contiguous along another index than the output."""
    names = [f"i{j}" for j, extent in enumerate(problem.axes) if extent != 1]
    along = {name for name in names if stride(problem.outputs[0].offset, name) == 1}
    offsets = [load.offset for o in problem.outputs for load in loads(o.expr)]
    return any(stride(d, name) == 1 for d in offsets for name in names if name not in along)
