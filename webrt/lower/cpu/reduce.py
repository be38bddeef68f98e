"""Lowers a Reduce for CPUs."""

from __future__ import annotations

from webrt.kernel import loop
from webrt.kernel.problem import Reduce
from webrt.schedule.cpu.reduce import CpuReduceSchedule


def lower(problem: Reduce, schedule: CpuReduceSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    raise NotImplementedError
