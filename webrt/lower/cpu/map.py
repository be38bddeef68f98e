"""Lowers a Map for CPUs."""

from __future__ import annotations

from webrt.kernel import loop
from webrt.kernel.problem import Map
from webrt.schedule.cpu.map import CpuMapSchedule


def lower(problem: Map, schedule: CpuMapSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    raise NotImplementedError
