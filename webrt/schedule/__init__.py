"""Schedules: how a kernel computes its problem. One file a problem family: space and default."""

from __future__ import annotations

from typing import Union, assert_never, cast

from webrt.kernel.problem import Attention, Contract, Fold, Map, Problem, Reduce
from webrt.schedule import attention, contract, fold, map, reduce
from webrt.schedule.attention import AttentionSchedule
from webrt.schedule.base import CpuLimits, Limits, fields_from_json, fields_to_json
from webrt.schedule.contract import ContractSchedule
from webrt.schedule.cpu import attention as cpu_attention
from webrt.schedule.cpu import contract as cpu_contract
from webrt.schedule.cpu import fold as cpu_fold
from webrt.schedule.cpu import map as cpu_map
from webrt.schedule.cpu import reduce as cpu_reduce
from webrt.schedule.cpu.attention import CpuAttentionSchedule
from webrt.schedule.cpu.contract import CpuContractSchedule
from webrt.schedule.cpu.fold import CpuFoldSchedule
from webrt.schedule.cpu.map import CpuMapSchedule
from webrt.schedule.cpu.reduce import CpuReduceSchedule
from webrt.schedule.explore import Explored
from webrt.schedule.fold import FoldSchedule
from webrt.schedule.map import MapSchedule
from webrt.schedule.reduce import ReduceSchedule

GpuSchedule = Union[MapSchedule, ReduceSchedule, ContractSchedule, AttentionSchedule, FoldSchedule]
CpuSchedule = Union[
    CpuMapSchedule, CpuReduceSchedule, CpuContractSchedule, CpuAttentionSchedule, CpuFoldSchedule
]
Schedule = Union[GpuSchedule, CpuSchedule]

_GpuSpace = Union[
    Explored[MapSchedule],
    Explored[ReduceSchedule],
    Explored[ContractSchedule],
    Explored[AttentionSchedule],
    Explored[FoldSchedule],
]
_CpuSpace = Union[
    Explored[CpuMapSchedule],
    Explored[CpuReduceSchedule],
    Explored[CpuContractSchedule],
    Explored[CpuAttentionSchedule],
    Explored[CpuFoldSchedule],
]

_FAMILIES: dict[str, type[Schedule]] = {
    "map": MapSchedule,
    "reduce": ReduceSchedule,
    "contract": ContractSchedule,
    "attention": AttentionSchedule,
    "fold": FoldSchedule,
    "cpu_map": CpuMapSchedule,
    "cpu_reduce": CpuReduceSchedule,
    "cpu_contract": CpuContractSchedule,
    "cpu_attention": CpuAttentionSchedule,
    "cpu_fold": CpuFoldSchedule,
}
_NAMES = {cls: name for name, cls in _FAMILIES.items()}


def default(problem: Problem, limits: Limits | CpuLimits | None = None) -> Schedule:
    """The schedule that a kernel gets where nothing was measured."""
    return explain(problem, limits).first


def space(problem: Problem, limits: Limits | CpuLimits | None = None) -> tuple[Schedule, ...]:
    """At most 64 schedules that are legal for `problem`, best guess first.

    They are for a CPU where the limits are a CPU's, else for a GPU.
    """
    return explain(problem, limits).kept


def explain(problem: Problem, limits: Limits | CpuLimits | None = None) -> Explored[Schedule]:
    """The space, and which rule dropped every other combination of the knobs."""
    limits = Limits() if limits is None else limits
    found = (
        _explain_cpu(problem, limits)
        if isinstance(limits, CpuLimits)
        else _explain(problem, limits)
    )
    return cast("Explored[Schedule]", found)


def allows(problem: Problem, schedule: Schedule, limits: Limits | CpuLimits | None = None) -> bool:
    """Whether `schedule` is legal for `problem`, in its space or not."""
    return explain(problem, limits).allows(schedule)


def _explain(problem: Problem, limits: Limits) -> _GpuSpace:
    match problem:
        case Map():
            return map.explain(problem, limits)
        case Reduce():
            return reduce.explain(problem, limits)
        case Contract():
            return contract.explain(problem, limits)
        case Attention():
            return attention.explain(problem, limits)
        case Fold():
            return fold.explain(problem, limits)
        case _:
            assert_never(problem)


def _explain_cpu(problem: Problem, limits: CpuLimits) -> _CpuSpace:
    match problem:
        case Map():
            return cpu_map.explain(problem, limits)
        case Reduce():
            return cpu_reduce.explain(problem, limits)
        case Contract():
            return cpu_contract.explain(problem, limits)
        case Attention():
            return cpu_attention.explain(problem, limits)
        case Fold():
            return cpu_fold.explain(problem, limits)
        case _:
            assert_never(problem)


def to_json(schedule: Schedule) -> dict[str, object]:
    """`{"family": …, field: value, …}`."""
    return {"family": _NAMES[type(schedule)], **fields_to_json(schedule)}


def from_json(data: object) -> Schedule:
    """The inverse of `to_json`; raises ValueError for anything else."""
    if not isinstance(data, dict) or data.get("family") not in _FAMILIES:
        raise ValueError(f"not a schedule: {data!r}")
    cls = _FAMILIES[data["family"]]
    rest = {key: value for key, value in data.items() if key != "family"}
    return cls(**fields_from_json(cls, rest))  # type: ignore[arg-type]


__all__ = [
    "CpuLimits", "Limits", "Schedule", "allows", "default", "explain", "from_json", "space",
    "to_json",
]  # fmt: skip
