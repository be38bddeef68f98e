"""How a Reduce is computed on a CPU."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.problem import Reduce
from webrt.schedule.base import CpuLimits


@dataclass(frozen=True, slots=True)
class CpuReduceSchedule:
    """A stub."""


def space(problem: Reduce, limits: CpuLimits) -> tuple[CpuReduceSchedule, ...]:
    """Every legal schedule, best guess first."""
    return (CpuReduceSchedule(),)
