"""Placeholder."""

from __future__ import annotations

from webrt.kernel import loop
from webrt.kernel.problem import Map
from webrt.schedule.map import MapSchedule


def lower(problem: Map, schedule: MapSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    raise NotImplementedError
