"""Lowers an Attention: online softmax in registers, no scores in memory."""

from __future__ import annotations

from webrt.kernel import loop
from webrt.kernel.problem import Attention
from webrt.schedule.attention import AttentionSchedule


def lower(problem: Attention, schedule: AttentionSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    raise NotImplementedError
