"""How a Map is computed on a CPU."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.problem import Map
from webrt.schedule.base import CpuLimits


@dataclass(frozen=True, slots=True)
class CpuMapSchedule:
    """A stub."""


def space(problem: Map, limits: CpuLimits) -> tuple[CpuMapSchedule, ...]:
    """Every legal schedule, best guess first."""
    return (CpuMapSchedule(),)
