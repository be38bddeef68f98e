"""Placeholder of the Reduce schedules."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.problem import Reduce
from webrt.schedule.base import Limits


@dataclass(frozen=True, slots=True)
class ReduceSchedule:
    """To come."""

    lanes: int = 64


def space(problem: Reduce, limits: Limits) -> tuple[ReduceSchedule, ...]:
    """Every legal schedule, best guess first."""
    return (ReduceSchedule(),)
