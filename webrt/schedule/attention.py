"""How an Attention is computed: query rows a lane, keys a step."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.problem import Attention
from webrt.schedule.base import Limits


@dataclass(frozen=True, slots=True)
class AttentionSchedule:
    """A lane computes `rows` query rows, `keys` keys at a time; a workgroup is `lanes` lanes."""

    rows: int
    keys: int
    lanes: int


def space(problem: Attention, limits: Limits) -> tuple[AttentionSchedule, ...]:
    """Every legal schedule, best guess first."""
    return (AttentionSchedule(2, 4, 16),)
