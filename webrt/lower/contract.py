"""Lowers a Contract: register tiles of named four-lane accumulators, k in the innermost loop."""

from __future__ import annotations

from webrt.kernel import loop
from webrt.kernel.problem import Contract
from webrt.schedule.contract import ContractSchedule


def lower(problem: Contract, schedule: ContractSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    raise NotImplementedError
