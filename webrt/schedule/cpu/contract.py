"""How a Contract is computed on a CPU."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.problem import Contract
from webrt.schedule.base import CpuLimits


@dataclass(frozen=True, slots=True)
class CpuContractSchedule:
    """A stub."""


def space(problem: Contract, limits: CpuLimits) -> tuple[CpuContractSchedule, ...]:
    """Every legal schedule, best guess first."""
    return (CpuContractSchedule(),)
