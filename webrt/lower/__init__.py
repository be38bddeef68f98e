"""Lowering: a problem and a schedule become loop IR. One file a family, deciding nothing."""

from __future__ import annotations

from webrt.kernel import loop
from webrt.kernel.problem import Attention, Contract, Fold, Map, Problem, Reduce
from webrt.lower import attention, contract, fold, map, reduce
from webrt.lower.cpu import attention as cpu_attention
from webrt.lower.cpu import contract as cpu_contract
from webrt.lower.cpu import fold as cpu_fold
from webrt.lower.cpu import map as cpu_map
from webrt.lower.cpu import narrow as cpu_narrow
from webrt.lower.cpu import reduce as cpu_reduce
from webrt.schedule import Schedule
from webrt.schedule.attention import AttentionSchedule
from webrt.schedule.contract import ContractSchedule
from webrt.schedule.cpu.attention import CpuAttentionSchedule
from webrt.schedule.cpu.contract import CpuContractSchedule
from webrt.schedule.cpu.fold import CpuFoldSchedule
from webrt.schedule.cpu.map import CpuMapSchedule
from webrt.schedule.cpu.narrow import in_narrow_panels
from webrt.schedule.cpu.reduce import CpuReduceSchedule
from webrt.schedule.fold import FoldSchedule
from webrt.schedule.map import MapSchedule
from webrt.schedule.reduce import ReduceSchedule


def lower(problem: Problem, schedule: Schedule, name: str = "main") -> loop.Kernel:
    """The kernel of `problem` under `schedule`; they must be of one family."""
    match problem, schedule:
        case Map(), MapSchedule():
            return map.lower(problem, schedule, name)
        case Reduce(), ReduceSchedule():
            return reduce.lower(problem, schedule, name)
        case Contract(), ContractSchedule():
            return contract.lower(problem, schedule, name)
        case Attention(), AttentionSchedule():
            return attention.lower(problem, schedule, name)
        case Map(), CpuMapSchedule():
            return cpu_map.lower(problem, schedule, name)
        case Reduce(), CpuReduceSchedule():
            return cpu_reduce.lower(problem, schedule, name)
        case Contract(), CpuContractSchedule():
            found = in_narrow_panels(problem, schedule.columns)
            if found is not None:
                return cpu_narrow.lower(problem, schedule, found, name)
            return cpu_contract.lower(problem, schedule, name)
        case Attention(), CpuAttentionSchedule():
            return cpu_attention.lower(problem, schedule, name)
        case Fold(), FoldSchedule():
            return fold.lower(problem, schedule, name)
        case Fold(), CpuFoldSchedule():
            return cpu_fold.lower(problem, schedule, name)
    raise ValueError(f"{type(schedule).__name__} is no schedule of a {type(problem).__name__}")
