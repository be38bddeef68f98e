"""Lowers a Attention for CPUs."""

from __future__ import annotations

from webrt.kernel import loop
from webrt.kernel.problem import Attention
from webrt.schedule.cpu.attention import CpuAttentionSchedule


def lower(problem: Attention, schedule: CpuAttentionSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    raise NotImplementedError
