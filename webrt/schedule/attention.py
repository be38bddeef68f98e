"""How an Attention is computed: query rows and value columns a lane, keys a step."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.problem import Attention
from webrt.schedule.base import Limits


@dataclass(frozen=True, slots=True)
class AttentionSchedule:
    """A lane computes `rows` query rows × `columns` value columns, four keys at a time.

    `hold` keeps the query rows in registers: for a literal d. A workgroup is `lanes` lanes.
    """

    rows: int
    columns: int
    lanes: int
    hold: bool

    def __post_init__(self) -> None:
        if not (1 <= self.rows <= 8 and 4 <= self.columns <= 256 and 1 <= self.lanes <= 256):
            raise ValueError(f"out of range: {self}")
        if self.columns % 4:
            raise ValueError(f"columns go four by four: {self}")


def space(problem: Attention, limits: Limits) -> tuple[AttentionSchedule, ...]:
    """Every legal schedule, best guess first."""
    e = problem.e if isinstance(problem.e, int) else 64
    columns = min(-(-e // 4) * 4, 64)
    hold = isinstance(problem.d, int) and problem.d <= 64 and problem.d % 4 == 0
    rows = 2 if columns <= 32 else 1
    return (AttentionSchedule(rows, columns, 16, hold),)
