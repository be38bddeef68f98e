"""Lowers a Contract for CPUs."""

from __future__ import annotations

from webrt.kernel import loop
from webrt.kernel.problem import Contract
from webrt.schedule.cpu.contract import CpuContractSchedule


def lower(problem: Contract, schedule: CpuContractSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    raise NotImplementedError
