"""How an Attention is computed: query rows and value columns a lane, keys a step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from webrt.kernel.problem import Attention
from webrt.schedule.adapters import gpu_class, tile_cost
from webrt.schedule.base import Limits
from webrt.schedule.explore import Explored, Order, Rules


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


_LANES = (16, 32, 8, 4, 64, 128, 256)
"""Best first. Of 12 heads at 128 with d = 32, in CPU time of SwiftShader, 2026-11-21: 8 rows × 16
columns, 8 keys, the query held, 4 lanes: 21 ms; 4 × 32 so with 16 lanes 22, with 4 keys 25, not
held 30 to 39; 2 rows 37 and more."""

_STAGES = (16, 32, 64)


def space(problem: Attention, limits: Limits) -> tuple[AttentionSchedule, ...]:
    """Every legal schedule, best guess first."""
    return explain(problem, limits).kept


def explain(problem: Attention, limits: Limits) -> Explored[AttentionSchedule]:
    """The space, and which rule dropped each other raw candidate."""
    columns = _columns(problem)
    return Explored(
        AttentionSchedule(_rows(problem, columns), columns, 4, 32, False),
        raw(columns),
        _rules(problem, limits),
        Order(
            lambda s: cost(s, problem, limits.unmeasured),
            lambda s: (s.rows, s.columns, s.keys, s.hold, s.stage > 0),
            gpu_class(limits.adapter_class).alike,
            2.0,
            lambda s: cost(s, problem, limits),
        ),
    )


@cache
def raw(columns: int) -> tuple[AttentionSchedule, ...]:
    """Every combination of knobs, for values of so many columns."""
    halves = [c for c in (columns, columns // 2) if c >= 4 and c % 4 == 0]
    found = []
    for width in dict.fromkeys(halves):
        for rows in (1, 2, 4, 8):
            for lanes in _LANES:
                found += [
                    AttentionSchedule(rows, width, keys, lanes, hold)
                    for keys in (4, 8)
                    for hold in (False, True)
                ]
                found += [
                    AttentionSchedule(rows, width, 4, lanes, False, stage) for stage in _STAGES
                ]
    return tuple(found)


def _rules(problem: Attention, limits: Limits) -> Rules[AttentionSchedule]:
    known = gpu_class(limits.adapter_class)
    d, e, q = problem.d, problem.e, problem.q
    holds = isinstance(d, int) and d % 4 == 0 and d <= MAX_HELD
    fours = isinstance(d, int) and isinstance(e, int) and d % 4 == e % 4 == 0
    depth = d if isinstance(d, int) else MAX_COLUMNS
    rows = q if isinstance(q, int) else 128
    return Rules(
        must=(
            (f"at most {limits.lanes} lanes", lambda s: s.lanes <= limits.lanes),
            ("d in fours and at most 64 where it is held", lambda s: not s.hold or holds),
            ("d and e in fours for stages", lambda s: not s.stage or fours),
            (
                f"at most {limits.workgroup_bytes} bytes of workgroup memory",
                lambda s: s.stage * (depth + s.columns) * 4 <= limits.workgroup_bytes,
            ),
        ),
        should=(
            (f"at least {known.least} lanes", lambda s: s.lanes >= known.least),
            (
                f"at most {known.registers * 3 // 2} registers",
                lambda s: registers(s, depth) <= 1.5 * known.registers,
            ),
            (
                "a tile that isn't far larger than the problem",
                lambda s: s.rows < 2 * rows and s.rows * s.lanes < 2 * max(rows, known.least),
            ),
            ("enough lanes for a stage", lambda s: not s.stage or s.lanes >= 16),
        ),
    )


def registers(schedule: AttentionSchedule, depth: int) -> int:
    """32-bit values that a lane keeps over its loops: sums, products, the query if held."""
    rows, keys = schedule.rows, schedule.keys
    held = rows * depth if schedule.hold else 4 * rows * keys
    return rows * schedule.columns + held + 4 * rows


def cost(schedule: AttentionSchedule, problem: Attention, limits: Limits) -> float:
    """About how long a schedule takes beside others: they are tried in this order."""
    known = gpu_class(limits.adapter_class)
    depth = problem.d if isinstance(problem.d, int) else MAX_COLUMNS
    width = problem.e if isinstance(problem.e, int) else MAX_COLUMNS
    rows = problem.q if isinstance(problem.q, int) else 128
    per_group = schedule.rows * schedule.lanes
    waste = -(-rows // per_group) * per_group / rows
    work = -(-width // schedule.columns) * depth + width  # scores are made for each block of values
    products = tile_cost(schedule.rows, MAX_COLUMNS, limits)
    spilled = math.sqrt(max(1.0, registers(schedule, depth) / (1.5 * known.registers)))
    held = 0.85 if schedule.hold else 1.0
    keys = 0.95 if schedule.keys == 8 else 1.0
    staged = 1.3 / (limits.staging or 1.0) if schedule.stage else 1.0
    lanes = 1 + 0.02 * _LANES.index(schedule.lanes)
    return waste * work * products * spilled * held * keys * staged * lanes


def _columns(problem: Attention) -> int:
    """Value columns of a lane: all of them, at most 64."""
    e = problem.e if isinstance(problem.e, int) else MAX_COLUMNS
    return min(-(-e // 4) * 4, MAX_COLUMNS)


def _rows(problem: Attention, columns: int) -> int:
    """Rows that share a loaded key: as many as leave 128 accumulators a lane, or as there are.

    Measured on SwiftShader with d = e, 2026-11-21: 32 columns run 1.4 times faster with 4 rows than
    with 2; with 64 columns 4 rows take three times as long to compile.
    """
    q = problem.q if isinstance(problem.q, int) else 4
    return max(rows for rows in (1, 2, 4) if rows == 1 or (rows * columns <= 128 and rows <= q))
