"""How an Attention is computed: query rows and value columns a lane, keys a step."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.kernel.problem import Attention
from webrt.schedule.base import Limits


@dataclass(frozen=True, slots=True)
class AttentionSchedule:
    """A lane computes `rows` query rows × `columns` value columns, `keys` keys at a time.

    A workgroup is `lanes` lanes, each with rows of its own. `hold` keeps the query rows in
    registers, d holded; without it d is a loop.
    """

    rows: int
    columns: int
    keys: int
    lanes: int
    hold: bool
    stage: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.rows <= 8 and 4 <= self.columns <= 256 and 1 <= self.lanes <= 256):
            raise ValueError(f"out of range: {self}")
        if self.columns % 4 or self.keys not in (4, 8):
            raise ValueError(f"columns and keys go four by four: {self}")
        if not 0 <= self.stage <= 128 or self.stage % self.keys:
            raise ValueError(f"a stage is some blocks of keys: {self}")


MAX_COLUMNS = 64
"""Value columns that a lane keeps: more would not fit registers beside the rest."""

MAX_HELD = 64


def space(problem: Attention, limits: Limits) -> tuple[AttentionSchedule, ...]:
    """Every legal schedule, best guess first."""
    e = problem.e if isinstance(problem.e, int) else MAX_COLUMNS
    columns = min(-(-e // 4) * 4, MAX_COLUMNS)
    holds = [False]
    if isinstance(problem.d, int) and problem.d % 4 == 0 and problem.d <= MAX_HELD:
        holds.append(True)
    first = AttentionSchedule(_rows(problem, columns), columns, 4, 32, False)
    others = [
        AttentionSchedule(rows, columns, keys, lanes, hold)
        for hold in holds
        for rows in (4, 2, 1)
        for keys in (4, 8)
        for lanes in (8, 32, 64)
        if lanes <= limits.lanes
    ]
    staged = [
        AttentionSchedule(rows, columns, 4, lanes, False, stage)
        for rows in (2, 1)
        for lanes in (32, 64)
        for stage in (16, 32)
        if lanes <= limits.lanes
        and isinstance(problem.d, int)
        and isinstance(problem.e, int)
        and problem.d % 4 == problem.e % 4 == 0
        and stage * (problem.d + columns) * 4 <= limits.workgroup_bytes
    ]
    return tuple(dict.fromkeys([first, *others, *staged]))[:64]


def _rows(problem: Attention, columns: int) -> int:
    """Rows that share a loaded key: as many as leave 128 accumulators a lane, or as there are.

    Measured on SwiftShader with d = e, 2026-11-21: 32 columns run 1.4 times faster with 4 rows than
    with 2; with 64 columns 4 rows take three times as long to compile.
    """
    q = problem.q if isinstance(problem.q, int) else 4
    return max(rows for rows in (1, 2, 4) if rows == 1 or (rows * columns <= 128 and rows <= q))
