"""Placeholder."""

from __future__ import annotations

from webrt.kernel import loop
from webrt.kernel.problem import Reduce
from webrt.schedule.reduce import ReduceSchedule


def lower(problem: Reduce, schedule: ReduceSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    raise NotImplementedError
