"""Schedules: how a kernel computes its problem. One file a problem family: space and default."""

from __future__ import annotations

from typing import Union, assert_never

from webrt.kernel.problem import Attention, Contract, Map, Problem, Reduce
from webrt.schedule import attention, contract, map, reduce
from webrt.schedule.attention import AttentionSchedule
from webrt.schedule.base import Limits, fields_from_json, fields_to_json
from webrt.schedule.contract import ContractSchedule
from webrt.schedule.map import MapSchedule
from webrt.schedule.reduce import ReduceSchedule

Schedule = Union[MapSchedule, ReduceSchedule, ContractSchedule, AttentionSchedule]

_FAMILIES: dict[str, type[Schedule]] = {
    "map": MapSchedule,
    "reduce": ReduceSchedule,
    "contract": ContractSchedule,
    "attention": AttentionSchedule,
}
_NAMES = {cls: name for name, cls in _FAMILIES.items()}


def default(problem: Problem, limits: Limits | None = None) -> Schedule:
    """The schedule that a kernel gets where nothing was measured."""
    return space(problem, limits)[0]


def space(problem: Problem, limits: Limits | None = None) -> tuple[Schedule, ...]:
    """At most 64 schedules that are legal for `problem`, best guess first."""
    limits = Limits() if limits is None else limits
    match problem:
        case Map():
            return map.space(problem, limits)
        case Reduce():
            return reduce.space(problem, limits)
        case Contract():
            return contract.space(problem, limits)
        case Attention():
            return attention.space(problem, limits)
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


__all__ = ["Limits", "Schedule", "default", "from_json", "space", "to_json"]
