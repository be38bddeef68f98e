"""How a Attention is computed on a CPU."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.problem import Attention
from webrt.schedule.base import CpuLimits


@dataclass(frozen=True, slots=True)
class CpuAttentionSchedule:
    """A stub."""


def space(problem: Attention, limits: CpuLimits) -> tuple[CpuAttentionSchedule, ...]:
    """Every legal schedule, best guess first."""
    return (CpuAttentionSchedule(),)
