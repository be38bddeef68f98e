"""How a Contract is computed: register tile, lanes, split of k, staging in workgroup memory."""

from __future__ import annotations

from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim
from webrt.kernel.problem import Contract
from webrt.schedule.base import Limits


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


_TILES = ((8, 8), (8, 12), (16, 8), (8, 4), (4, 8), (4, 4), (2, 8), (2, 4), (1, 4), (1, 8))
"""Rows × columns of a lane. Of 128 × 1536 × 384, 2026-11-21, per CPU second: 8 × 8 1.7 GFLOP/s on
SwiftShader and 1.1 on lavapipe, 8 × 12 2.0 and 1.3, 16 × 8 2.0 and 1.4. Larger ones compile longer
and leave hardware fewer lanes and registers, so 8 × 8 comes first."""

_LANES = ((4, 8), (8, 8), (1, 8), (2, 16), (1, 32), (16, 4))
"""Lanes along m and n; 32 lanes fill a warp of the GPUs that have the widest common one."""


def space(problem: Contract, limits: Limits) -> tuple[ContractSchedule, ...]:
    """Every legal schedule, best guess first."""
    candidates = [_best_guess(problem)]
    for rows, columns in _TILES:
        for lanes_m, lanes_n in _LANES[:4] if rows > 2 else _LANES[2:]:
            candidates.append(ContractSchedule(rows, columns, lanes_m, lanes_n))
    candidates += [
        ContractSchedule(rows, columns, 1, 8, lanes_k)
        for rows, columns in ((1, 4), (4, 4), (2, 8))
        for lanes_k in (4, 8, 16)
    ]
    if _is_quad(problem.k) and _is_quad(problem.n):
        candidates += [
            ContractSchedule(8, 8, 8, 8, 1, 16),
            ContractSchedule(4, 8, 8, 8, 1, 16),
            ContractSchedule(4, 4, 8, 8, 1, 16),
            ContractSchedule(4, 4, 16, 16, 1, 16),
            ContractSchedule(8, 8, 4, 8, 1, 8),
        ]
    legal = [c for c in candidates if _fits(c, problem, limits)]
    return tuple(dict.fromkeys([candidates[0], *legal]))[:64]


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


def _fits(schedule: ContractSchedule, problem: Contract, limits: Limits) -> bool:
    """Whether the device can run it, and its tile isn't far larger than the problem."""
    if schedule.lanes > limits.lanes or schedule.workgroup_bytes > limits.workgroup_bytes:
        return False
    m, n = _size(problem.m, 1 << 20), _size(problem.n, 1 << 20)
    return (
        schedule.rows * schedule.lanes_m < 2 * max(m, 8)
        and schedule.columns * schedule.lanes_n < 2 * max(n, 32)
        and schedule.rows < 2 * m
        and schedule.columns < 2 * max(n, 4)
    )


def _size(dim: Dim, unknown: int) -> int:
    return dim if isinstance(dim, int) else unknown


def _is_quad(dim: Dim) -> bool:
    return dims.modulo(dim, 4) == 0


def _power_of_two(value: int, most: int) -> int:
    """The smallest power of two that isn't below `value`, but at most `most`."""
    return min(most, 1 << max(0, value - 1).bit_length())
