"""Placeholder of the Map schedules."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.problem import Map
from webrt.schedule.base import Limits


@dataclass(frozen=True, slots=True)
class MapSchedule:
    """To come."""

    lanes: int = 64


def space(problem: Map, limits: Limits) -> tuple[MapSchedule, ...]:
    """Every legal schedule, best guess first."""
    return (MapSchedule(),)
