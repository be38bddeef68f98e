"""How a Contract is computed: register tile, lanes, split of k, staging in workgroup memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from webrt import dims
from webrt.dims import Dim
from webrt.kernel.problem import Contract
from webrt.schedule.adapters import gpu_class, tile_cost
from webrt.schedule.base import Limits
from webrt.schedule.explore import Explored, Order, Rules


@dataclass(frozen=True, slots=True)
class ContractSchedule:
    """A lane computes `rows` × `columns` results in registers, `columns` a multiple of 4.

    A workgroup is `lanes_m` × `lanes_n` such tiles, times `lanes_k` lanes that share the sum over
    k and add their parts in workgroup memory. With `stage` > 0 the workgroup reads its part of a
    and b `stage` values of k at a time, a multiple of 4, through workgroup memory.
    """

    rows: int
    columns: int
    lanes_m: int
    lanes_n: int
    lanes_k: int = 1
    stage: int = 0

    def __post_init__(self) -> None:
        values = (self.rows, self.columns, self.lanes_m, self.lanes_n, self.lanes_k)
        if min(values) < 1 or self.columns % 4 or self.rows > 32 or self.columns > 32:
            raise ValueError(f"not a register tile: {self}")
        if self.lanes > 256:
            raise ValueError(f"more than 256 lanes: {self}")
        if not 0 <= self.stage <= 64 or self.stage % 4 or (self.stage and self.lanes_k > 1):
            raise ValueError(f"not a stage: {self}")

    @property
    def lanes(self) -> int:
        return self.lanes_m * self.lanes_n * self.lanes_k

    @property
    def workgroup_bytes(self) -> int:
        """Workgroup memory that the schedule takes."""
        if self.lanes_k > 1:
            return self.lanes * self.rows * self.columns * 4
        rows, columns = self.rows * self.lanes_m, self.columns * self.lanes_n
        return self.stage * (rows + columns) * 4


_TILES = (
    (1, 4), (1, 8), (1, 16), (2, 4), (2, 8), (2, 16), (4, 4), (4, 8), (4, 12), (4, 16), (6, 8),
    (8, 4), (8, 8), (8, 12), (8, 16), (12, 8), (12, 12), (12, 16), (16, 4), (16, 8), (16, 12),
    (16, 16), (32, 8),
)  # fmt: skip
"""Rows × columns of a lane."""

_LANES = (
    (4, 8), (1, 8), (4, 16), (8, 8), (1, 16), (8, 16), (2, 8), (4, 4), (1, 32), (16, 16), (2, 16),
    (2, 32), (1, 64), (16, 4), (4, 32), (1, 4), (8, 32), (2, 2), (1, 2), (4, 64), (1, 1),
)  # fmt: skip
"""Lanes along m and n, best first: 32 fill a warp of the GPUs that have the widest common one. On
lavapipe and SwiftShader they differ by a tenth with the tile left alone, below 8 lanes by more."""

_SHARED = (4, 8, 16, 32)
_STAGES = (8, 16, 32)


def space(problem: Contract, limits: Limits) -> tuple[ContractSchedule, ...]:
    """Every legal schedule, best guess first."""
    return explain(problem, limits).kept


def explain(problem: Contract, limits: Limits) -> Explored[ContractSchedule]:
    """The space, and which rule dropped each other raw candidate."""
    return Explored(
        _best_guess(problem),
        raw(),
        _rules(problem, limits),
        Order(
            lambda s: cost(s, problem, limits.unmeasured),
            lambda s: (s.rows, s.columns, s.lanes_k > 1, s.stage > 0),
            gpu_class(limits.adapter_class).alike,
            1.6,
            lambda s: cost(s, problem, limits),
        ),
    )


@cache
def raw() -> tuple[ContractSchedule, ...]:
    """Every combination of knobs, whatever the problem and the device."""
    found = []
    for rows, columns in _TILES:
        for lanes_m, lanes_n in _LANES:
            tile = (rows, columns, lanes_m, lanes_n)
            found.append(ContractSchedule(*tile))
            if lanes_m * lanes_n >= 16:
                found += [ContractSchedule(*tile, 1, stage) for stage in _STAGES]
            if lanes_m == 1 and rows <= 8:
                found += [
                    ContractSchedule(*tile, lanes_k) for lanes_k in _SHARED
                    if lanes_n * lanes_k <= 256
                ]  # fmt: skip
    return tuple(found)


def _rules(problem: Contract, limits: Limits) -> Rules[ContractSchedule]:
    known = gpu_class(limits.adapter_class)
    m, n = _size(problem.m, 1 << 20), _size(problem.n, 1 << 20)
    whole = _is_quad(problem.k) and _is_quad(problem.n)
    least = min(known.least, -(-m // 8) * -(-n // 4))
    return Rules(
        must=(
            (f"at most {limits.lanes} lanes", lambda s: s.lanes <= limits.lanes),
            (
                f"at most {limits.workgroup_bytes} bytes of workgroup memory",
                lambda s: s.workgroup_bytes <= limits.workgroup_bytes,
            ),
            ("k and n in fours for stages", lambda s: not s.stage or whole),
        ),
        should=(
            (
                f"a tile of at most {known.registers} registers",
                lambda s: s.rows + s.columns + s.rows * s.columns <= known.registers,
            ),
            (
                "a tile that isn't far larger than the problem",
                lambda s: (
                    s.rows < 2 * m
                    and s.columns < 2 * max(n, 4)
                    and s.rows * s.lanes_m < 2 * max(m, 8)
                    and s.columns * s.lanes_n < 2 * max(n, 32)
                ),
            ),
            (f"at least {least} lanes", lambda s: s.lanes >= least),
            (
                "at least 4 tiles a side of what is staged",
                lambda s: not s.stage or min(s.lanes_m, s.lanes_n) >= 4,
            ),
        ),
    )


def cost(schedule: ContractSchedule, problem: Contract, limits: Limits) -> float:
    """About how long a schedule takes beside others: they are tried in this order."""
    known = gpu_class(limits.adapter_class)
    m, n = _size(problem.m, 128), _size(problem.n, 128)
    tile_m, tile_n = schedule.rows * schedule.lanes_m, schedule.columns * schedule.lanes_n
    blocks = -(-m // tile_m) * -(-n // tile_n)
    rows = (
        -(-m // schedule.rows) * schedule.rows if schedule.lanes_m > 1 else -(-m // tile_m) * tile_m
    )
    waste = rows * -(-n // tile_n) * tile_n / (m * n)
    products = tile_cost(schedule.rows, schedule.columns, limits)
    idle = math.sqrt(max(1.0, known.busy / (blocks * schedule.lanes_k)))
    lanes = 1 + 0.02 * _LANES.index((schedule.lanes_m, schedule.lanes_n))
    staged = 1.5 / (limits.staging or 1.0) if schedule.stage else 1.0
    shared = 1.2 + 0.02 * schedule.lanes_k if schedule.lanes_k > 1 else 1.0
    return waste * products * idle * lanes * staged * shared


def _best_guess(problem: Contract) -> ContractSchedule:
    """8 × 8 a lane, less where the problem is smaller; 32 lanes."""
    m, n = _size(problem.m, 128), _size(problem.n, 128)
    columns = 4 if n <= 4 else 8
    lanes_n = _power_of_two(-(-n // columns), 8)
    rows = 8 if m > 4 else _power_of_two(m, 4)
    if rows < 8 and isinstance(problem.m, int):
        # A thin problem has few tiles: the lanes of a tile share its sum over k.
        return ContractSchedule(rows, 4, 1, min(8, _power_of_two(-(-n // 4), 8)), 8)
    lanes_m = _power_of_two(-(-m // rows), 32 // lanes_n)
    return ContractSchedule(rows, columns, lanes_m, lanes_n)


def _size(dim: Dim, unknown: int) -> int:
    return dim if isinstance(dim, int) else unknown


def _is_quad(dim: Dim) -> bool:
    return dims.modulo(dim, 4) == 0


def _power_of_two(value: int, most: int) -> int:
    """The smallest power of two that isn't below `value`, but at most `most`."""
    return min(most, 1 << max(0, value - 1).bit_length())
