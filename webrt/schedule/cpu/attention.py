"""How an Attention is computed on a CPU: query rows a unit, keys at a time, register tiles."""

from __future__ import annotations

from dataclasses import dataclass, replace

from webrt.dims import Dim
from webrt.kernel.problem import Attention
from webrt.schedule.base import CpuLimits


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

_TILES = ((4, 8), (2, 16))
_ROW_BLOCKS = (64, 32, 16)
_KEYS = (128, 64, 256)
"""Best first. Chromium 156 on x86-64 with AVX2, relaxed SIMD, one thread, 2026-11-21, GFLOP/s of
12 heads at lengths 16, 128, 384: 25, 28, 27 with d = e = 32, and 33, 34, 31 with 64. 64 keys at a
time are up to a quarter slower, 32 up to a third; 2 × 16 tiles a tenth, 4 × 16 a third; 32 rows
a unit a tenth at 384, nothing below."""


def space(problem: Attention, limits: CpuLimits) -> tuple[CpuAttentionSchedule, ...]:
    """Every legal schedule, best guess first."""
    width = _width(problem.e)
    row_by_row = [CpuAttentionSchedule(1, 4, 1, 1, keys, width, 1) for keys in (128, 64, 256)]
    if not (isinstance(problem.d, int) and problem.d <= MAX_DEPTH):
        return tuple(row_by_row)
    turning = [
        CpuAttentionSchedule(rows, columns, unroll, row_block, keys, width, 0)
        for unroll in (4, 2)
        for rows, columns in _TILES
        for row_block in _ROW_BLOCKS
        for keys in _KEYS
    ]
    if isinstance(problem.q, int) and problem.q <= FEW:
        return tuple(row_by_row + turning)
    both = [replace(schedule, few=FEW) for schedule in turning[:6]]
    return tuple(turning + both + row_by_row)


def _width(e: Dim) -> int:
    """Value columns of a unit: all of them, or a block that divides them well."""
    if not isinstance(e, int):
        return 64
    if e <= MAX_WIDTH:
        return -(-e // 4) * 4
    blocks = -(-e // MAX_WIDTH)
    return -(-e // (blocks * 8)) * 8
