"""How an Attention is computed on a CPU: query rows a unit, keys at a time, register tiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from webrt.dims import Dim
from webrt.kernel.problem import Attention
from webrt.schedule.base import CpuLimits
from webrt.schedule.explore import Explored, Order, Rules


@dataclass(frozen=True, slots=True)
class CpuAttentionSchedule:
    """A unit computes `row_block` query rows × `width` value columns, `keys` keys at a time.

    Keys are turned and values copied to scratch once a unit, so that scores and weighted values
    are products of `rows` rows × `columns` columns in registers, their loops unrolled `unroll`
    times. A unit of at most `few` rows doesn't: it reads keys and values where they lie, row by
    row. So does every unit where `row_block` isn't more than `few`.
    """

    rows: int
    columns: int
    unroll: int
    row_block: int
    keys: int
    width: int
    few: int

    def __post_init__(self) -> None:
        if not (1 <= self.rows <= 8 and 1 <= self.unroll <= 8):
            raise ValueError(f"not a register tile: {self}")
        if self.columns not in (4, 8, 12, 16):
            raise ValueError(f"columns of a register tile are 4, 8, 12 or 16: {self}")
        if not 1 <= self.row_block <= 256 or self.row_block % self.rows:
            raise ValueError(f"a unit is some tiles of rows: {self}")
        if not 8 <= self.keys <= 512 or self.keys % 8:
            raise ValueError(f"keys go eight by eight: {self}")
        if not 4 <= self.width <= 1024 or self.width % 4:
            raise ValueError(f"columns go four by four: {self}")
        if not 0 <= self.few <= 256:
            raise ValueError(f"out of range: {self}")

    @property
    def turns(self) -> bool:
        """Whether any unit turns keys and copies values."""
        return self.row_block > self.few


MAX_DEPTH = 512
"""Longer query rows aren't kept in scratch."""

MAX_WIDTH = 256
"""Value columns of a unit; the scores are computed anew for every block of columns."""

FEW = 1
"""Rows for which turning keys doesn't pay: of 12 heads with d = 64 and 1000 keys one row takes
0.35 ms so and 0.70 turned, two take 0.73 either way (as `_KEYS`). Where q is dynamic the other half
of the kernel isn't worth its size: decoding, it is the weights that take the time."""

_TILES = ((6, 8), (4, 8))
_ROW_BLOCKS = (66, 32, 16)
_KEYS = (128, 64, 256)
"""Best first. Chromium 156 on x86-64 with AVX2, relaxed SIMD, one thread, 2026-11-21, GFLOP/s of
12 heads at lengths 16, 128, 384, in 4 × 8 tiles: 25, 28, 27 with d = e = 32, and 33, 34, 31 with
64. 64 keys at a time are up to a quarter slower, 32 up to a third; 2 × 16 tiles a tenth, 4 × 16 a
third; 32 rows a unit a tenth at 384, nothing below. On a core of its own (AVX-512, 2026-11-22)
tiles of 6 × 8 take a tenth less at 384, as 48, 66 or 96 rows a unit."""


_RAW_TILES = ((6, 8), (4, 8), (4, 16), (2, 16), (3, 8), (2, 8), (4, 4), (8, 4), (1, 16))
"""Best first. Natively (wasmtime 50) of 12 heads at 128 with d = 32, 2026-11-21: 4 × 16 takes 1.50
ms, 4 × 8 1.55, 3 × 8 1.60; with d = 64 2.54, 2.58 and 2.74. Four steps a turn take a fifth longer
there than two, in Chromium as long."""
_RAW_BLOCKS = (66, 64, 96, 128, 48, 32, 16, 24)
_RAW_KEYS = (128, 64, 96, 256, 512, 32)
_ROW_BY_ROW = (128, 64, 256)


def space(problem: Attention, limits: CpuLimits) -> tuple[CpuAttentionSchedule, ...]:
    """Every legal schedule, best guess first."""
    return explain(problem, limits).kept


def explain(problem: Attention, limits: CpuLimits) -> Explored[CpuAttentionSchedule]:
    """The space, and which rule dropped each other raw candidate."""
    raw = _raw(_width(problem.e))
    few = isinstance(problem.q, int) and problem.q <= FEW
    deep = not (isinstance(problem.d, int) and problem.d <= MAX_DEPTH)
    row_by_row = few or deep
    first = CpuAttentionSchedule(
        *((1, 4, 1, 1) if row_by_row else (*_TILES[0], 4, _ROW_BLOCKS[0])),
        _KEYS[0], _width(problem.e), int(row_by_row),
    )  # fmt: skip
    order: Order[CpuAttentionSchedule] = Order(
        lambda s: cost(s, row_by_row), lambda s: (s.rows, s.columns, s.unroll), 12, turns=True
    )
    return Explored(first, raw, _rules(problem, limits), order)


@cache
def _raw(width: int) -> tuple[CpuAttentionSchedule, ...]:
    """Every combination of knobs, for units of so many value columns."""
    found = [CpuAttentionSchedule(1, 4, 1, 1, keys, width, FEW) for keys in _ROW_BY_ROW]
    for rows, columns in _RAW_TILES:
        for row_block in _RAW_BLOCKS:
            if row_block % rows == 0:
                found += [
                    CpuAttentionSchedule(rows, columns, unroll, row_block, keys, width, few)
                    for unroll in (4, 2, 1, 8)
                    for keys in _RAW_KEYS
                    for few in (0, FEW)
                ]
    return tuple(found)


def _rules(problem: Attention, limits: CpuLimits) -> Rules[CpuAttentionSchedule]:
    deep = not (isinstance(problem.d, int) and problem.d <= MAX_DEPTH)
    depth = 64 if deep else int(str(problem.d))
    most = limits.registers + limits.registers // 2
    t = problem.t if isinstance(problem.t, int) else 1 << 20
    q = problem.q if isinstance(problem.q, int) else 1 << 20
    return Rules(
        must=(
            (f"d of at most {MAX_DEPTH} where keys are turned", lambda s: not s.turns or not deep),
        ),
        should=(
            (
                f"a tile of at most {most} vector registers",
                lambda s: s.rows * s.columns // 4 + s.rows + s.columns // 4 <= most,
            ),
            (
                "units and blocks of keys that aren't far larger than the problem",
                lambda s: s.row_block < 2 * max(q, 16) and s.keys < 2 * max(t, 128),
            ),
            (
                f"keys, values and scores in {limits.l2_bytes} bytes",
                lambda s: (
                    4 * (s.keys * (depth + s.width) + s.row_block * s.keys) <= limits.l2_bytes
                ),
            ),
            (
                "code for few rows, where rows aren't known",
                lambda s: not s.few or not s.turns or q > 1 << 19,
            ),
        ),
    )


def cost(schedule: CpuAttentionSchedule, row_by_row: bool) -> float:
    """About how long a schedule takes beside others: they are tried in this order."""
    tile = _RAW_TILES.index((schedule.rows, schedule.columns)) if schedule.turns else 0
    unroll = {2: 0.0, 4: 0.15, 1: 0.1, 8: 0.3}[schedule.unroll]
    block = _RAW_BLOCKS.index(schedule.row_block) if schedule.turns else 0
    keys = _RAW_KEYS.index(schedule.keys)
    wrong = 4.0 * (schedule.turns == row_by_row)
    return 0.07 * tile + unroll + 0.03 * block + 0.05 * keys + schedule.few / 20 + wrong


def _width(e: Dim) -> int:
    """Value columns of a unit: all of them, or a block that divides them well."""
    if not isinstance(e, int):
        return 64
    if e <= MAX_WIDTH:
        return -(-e // 4) * 4
    blocks = -(-e // MAX_WIDTH)
    return -(-e // (blocks * 8)) * 8
