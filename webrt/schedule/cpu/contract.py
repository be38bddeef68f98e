"""How a Contract is computed on a CPU: register tile, blocks for the caches, what is packed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.axes import stride
from webrt.kernel.expr import Call, Expr, Load, Value, free_symbols, loads
from webrt.kernel.problem import Contract, extents
from webrt.schedule.base import CpuLimits
from webrt.schedule.cpu.narrow import FEW, narrow
from webrt.schedule.cpu.whole import whole
from webrt.schedule.explore import Explored, Order, Rules


@dataclass(frozen=True, slots=True)
class CpuContractSchedule:
    """A unit computes `row_block` × `column_block` results, `rows` × `columns` in registers.

    `k_block` values of k at a time, all of them at once where it is 0; the loop over k is unrolled
    `unroll` times. With `panels` a constant b lies in panels of `columns`, each k by `columns`
    elements, `repack` makes them; with `pack_b` a unit packs its part of b so, a panel at a time,
    with `pack_a` its rows of a, before it multiplies them. Else they are read where they lie.
    """

    rows: int
    columns: int
    unroll: int = 4
    row_block: int = 64
    column_block: int = 32
    k_block: int = 0
    panels: bool = True
    pack_a: bool = False
    pack_b: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.rows <= 16 and 4 <= self.columns <= 64 and self.columns % 4 == 0):
            raise ValueError(f"not a register tile: {self}")
        steps = 1 <= self.unroll <= 16 and self.k_block % 4 == self.k_block % self.unroll == 0
        if not steps or self.k_block < 0:
            raise ValueError(f"not a block of k: {self}")
        if self.row_block < 1 or self.row_block % self.rows:
            raise ValueError(f"not a block of rows: {self}")
        if self.column_block < 1 or self.column_block % self.columns:
            raise ValueError(f"not a block of columns: {self}")
        if (self.pack_a or self.pack_b) and self.k_block == 0:
            raise ValueError(f"packing needs a block of k: {self}")
        if max(self.row_block, self.column_block, self.k_block) > 4096:
            raise ValueError(f"blocks of at most 4096: {self}")

    @property
    def vectors(self) -> int:
        """Vector registers that the tile takes: its results, a row of b, a value of a."""
        return (self.rows + 1) * (self.columns // 4) + 1


def panel_load(problem: Contract) -> Load | None:
    """The load of b that may read panels: of a constant that nothing else reads, else None."""
    space = extents(problem)
    found = [e for e in loads(problem.b) if isinstance(e.memory, int)]
    constant = [e for e in found if problem.operands[e.memory].constant]  # type: ignore[index]
    if len(constant) != 1 or any(_indirect(e.offset) for e in found):
        return None
    load = constant[0]
    literal = isinstance(problem.n, int) and isinstance(problem.k, int)
    operand = problem.operands[int(load.memory)]
    if not literal or not isinstance(operand.size, int) or load.dtype not in PANEL_TYPES:
        return None
    points = 1
    for name in free_symbols(load):
        extent = space.get(name)
        if name == "m" or not isinstance(extent, int):
            return None
        points *= extent
    if points > operand.size:
        return None  # several weights a word: panels would hold each word several times
    others = [problem.a, *(o.expr for o in problem.outputs)]
    if any(e.memory == load.memory for expr in others for e in loads(expr)):
        return None
    return load


PANEL_TYPES = (DType.F32, DType.I32, DType.U32)


def _indirect(dim: Dim) -> bool:
    return any(isinstance(a, Value) for a in dims.atoms_of(dim))


def reads_plainly(expr: Expr, name: str) -> bool:
    """Whether `expr` is one load (converted, perhaps), a literal step along `name` apart."""
    if isinstance(expr, Call) and expr.op == "cast":
        expr = expr.args[0]
    return isinstance(expr, Load) and isinstance(stride(expr.offset, name), int)


_TILES = ((6, 8), (7, 4))
"""Rows × columns of the register tile: twelve sums are in flight, which hide what a multiply-add
takes, and with two values of b and one of a fit 15 registers (V8 keeps the 16th). GFLOP/s of
120 × 1536 × 384 in Chromium 156, a core of its own (x86-64 with AVX-512, its peak: 56), relaxed
SIMD, weights in the cache and not, 2026-11-22: 6 × 8 51 and 47, 5 × 8 51 and 46, 4 × 8 42 and 39,
8 × 4 40 and 37, 2 × 16 38 and 37; natively (wasmtime 50) 6 × 8 26 and 24, 4 × 8 25 and 23. Four
rows make up the rest (`REST`). 4 × 12 and 8 × 8, too large, take twice as long as 4 × 8."""

_THIN = {1: ((1, 16), (1, 24), (1, 8)), 2: ((2, 16), (2, 8)), 3: ((3, 12), (3, 8))}
"""Tiles for problems of one, two, three rows. Of one row, 1 × 32, which takes more than 16
registers, takes Chromium 1.4 to 1.9 times as long as 1 × 16 where weights are in a cache, 1.1 times
where they aren't; 1 × 20, 24 and 28 are within two tenths of it (2026-11-21)."""

_UNROLLS = (4, 2, 1)
"""In Chromium on a busy machine 4 has 1.07 to 1.14 times the GFLOP/s of 2, at 16, 128 and 384 rows;
alone, when only multiplications limit it, they are alike. Natively (wasmtime 50) they are within
what repeating a measurement tells, and 8 is slower (2026-11-22)."""

_DEPTHS = (0, 512, 256)
"""Blocks of k where nothing is packed. All of k at once is within 3 % of 256 and of 512, for 768
and for 3072 values, with weights in the cache and without (2026-11-21)."""

_ROWS, _COLUMNS = 64, 32
"""A unit's block. 16 to 128 rows × 8 to 128 columns are alike, as measured above."""

_UNITS = 24
"""Blocks of columns that a matrix is cut in at least: full rounds for 2, 3, 4, 6 or 8 threads."""


_RAW_TILES = (
    (6, 8), (4, 8), (5, 8), (2, 16), (2, 12), (3, 12), (4, 16), (3, 16), (4, 12), (3, 8), (6, 12),
    (5, 16), (7, 4), (2, 24), (8, 4), (8, 8), (4, 20), (5, 4), (6, 4), (4, 4), (3, 4), (2, 8),
    (2, 4), (1, 32), (1, 24), (1, 16), (1, 8), (1, 4),
)  # fmt: skip
"""Best first: of 128 × 1152 × 384 natively (wasmtime 50), 4 × 16, 5 × 16, 2 × 12 and 3 × 16 take
3.7 ms, 4 × 8 3.9, 3 × 12 4.0, 2 × 16 4.2 (2026-11-21). Engines differ in how tiles beyond the 16
registers do: Chromium runs 4 × 12 at half the speed of 4 × 8."""

_RAW_UNROLLS = (4, 2, 1, 8)

_RAW_BLOCKS = ((128, 128), (32, 256), (64, 16), (64, 64), (32, 32), (128, 32), (16, 32))
"""Rows × columns of a unit, best first."""


def space(problem: Contract, limits: CpuLimits) -> tuple[CpuContractSchedule, ...]:
    """Every legal schedule, best guess first."""
    return explain(problem, limits).kept


def explain(problem: Contract, limits: CpuLimits) -> Explored[CpuContractSchedule]:
    """The space, and which rule dropped each other raw candidate."""
    least = CpuLimits()
    tile, packing = _tiles(problem)[0], _packings(problem)[0]
    first = _schedule(problem, least, tile, _UNROLLS[0], 0, packing)
    return Explored(
        first,
        _raw(problem, limits),
        _rules(problem, limits),
        Order(lambda s: cost(s, limits, first), lambda s: (s.rows, s.columns), 9, turns=True),
    )


def _packings(problem: Contract) -> list[tuple[bool, bool, bool]]:
    """Panels, packing of a, packing of b: the ways that are legal, best first."""
    if (found := narrow(whole(problem))) is not None:
        ways = [False] if found.integer else [True, False]
        return [(True, True, pack_b) for pack_b in ways]
    panels = panel_load(problem) is not None
    plain = panels and reads_plainly(problem.b, "k")
    in_place = _reads_rows(problem.b) and isinstance(problem.m, int) and problem.m in _THIN
    pack_a = not reads_plainly(problem.a, "k")
    ways = [False] if plain else [not in_place, in_place]
    return [(panels, pack_a, pack_b) for pack_b in ways]


def _raw(problem: Contract, limits: CpuLimits) -> Iterator[CpuContractSchedule]:
    """Every combination of knobs, for how operands lie; blocks where k isn't split."""
    for packing in _packings(problem):
        for tile in _RAW_TILES:
            for unroll in _RAW_UNROLLS:
                made = [
                    _schedule(problem, limits, tile, unroll, depth, packing) for depth in _DEPTHS
                ]
                yield from made
                for rows, columns in _RAW_BLOCKS:
                    block = _multiple(rows, tile[0]), _multiple(columns, tile[1])
                    yield replace(made[0], row_block=block[0], column_block=block[1])


def _rules(problem: Contract, limits: CpuLimits) -> Rules[CpuContractSchedule]:
    n = problem.n if isinstance(problem.n, int) else 1 << 20
    m = problem.m if isinstance(problem.m, int) else 1 << 20
    most = limits.registers + limits.registers // 2
    least = 3 if m <= 3 else limits.registers * 3 // 8
    return Rules(
        must=(
            (
                "a tile that isn't far larger than the problem",
                lambda s: s.rows <= m and s.columns < 2 * max(n, 4),
            ),
        ),
        should=(
            (f"a tile of at most {most} vector registers", lambda s: s.vectors <= most),
            (f"a tile of at least {least} vector registers", lambda s: s.vectors >= least),
            (
                "blocks that aren't far larger than the problem",
                lambda s: s.row_block < 2 * max(m, 64) and s.column_block < 2 * max(n, 32),
            ),
            (
                f"sums and what is packed in {limits.l2_bytes} bytes",
                lambda s: _scratch(s) <= limits.l2_bytes,
            ),
        ),
    )


def _scratch(schedule: CpuContractSchedule) -> int:
    """Bytes that a unit keeps beside its operands."""
    packed = schedule.pack_a * schedule.row_block + schedule.pack_b * schedule.columns
    return 4 * (schedule.row_block * schedule.column_block + packed * schedule.k_block)


def cost(schedule: CpuContractSchedule, limits: CpuLimits, first: CpuContractSchedule) -> float:
    """About how long a schedule takes beside others of the problem: they are tried in this order.

    Tiles and unrolling matter most, then blocks; what differs in several of them comes late.
    """
    tile = _RAW_TILES.index((schedule.rows, schedule.columns))
    spilled = max(0, schedule.vectors - limits.registers) / limits.registers
    unroll = {4: 0.0, 2: 0.05, 1: 0.16}.get(schedule.unroll, 0.8)
    changed = (schedule.row_block // schedule.rows, schedule.column_block // schedule.columns) != (
        first.row_block // schedule.rows, first.column_block // schedule.columns
    )  # fmt: skip
    depth = 0.15 * _DEPTHS.index(schedule.k_block) if schedule.k_block in _DEPTHS else 0.0
    packed = 0.5 * (schedule.pack_b != first.pack_b)
    return 0.03 * tile + 0.1 * spilled + unroll + 0.15 * changed + depth + packed


def _reads_rows(b: Expr) -> bool:
    """Whether b's rows are contiguous: four columns are one load."""
    return reads_plainly(b, "k") and all(stride(e.offset, "n") == 1 for e in loads(b))


def _tiles(problem: Contract) -> list[tuple[int, int]]:
    """Register tiles that fill the registers and aren't far larger than the problem."""
    m, n = problem.m, problem.n
    if isinstance(m, int) and m in _THIN:
        tiles = list(_THIN[m])
    else:
        tiles = list(_TILES)
    if isinstance(n, int):
        tiles = [t for t in tiles if t[1] < 2 * max(n, 4)]
    return tiles or [(min(m, 4) if isinstance(m, int) else 4, 4)]


def _schedule(
    problem: Contract, limits: CpuLimits, tile: tuple[int, int], unroll: int, depth: int,
    packing: tuple[bool, bool, bool],
) -> CpuContractSchedule:  # fmt: skip
    rows, columns = tile
    _, pack_a, pack_b = packing
    if narrow(whole(problem)) is not None:
        return _narrow_schedule(problem, tile, unroll, depth, packing)
    row_block, column_block = _ROWS, _COLUMNS
    if pack_a or pack_b:
        # A packed panel fills half of the first cache, what is packed is used often enough to pay.
        depth = min(depth or 4096, max(64, limits.l1_bytes // (8 * columns) // 64 * 64))
        row_block, column_block = (32, 256) if pack_a else (128, 16)
    elif isinstance(problem.n, int):
        column_block = min(_COLUMNS, -(-problem.n // _UNITS))
    return CpuContractSchedule(
        rows, columns, unroll, _multiple(row_block, rows), _multiple(column_block, columns),
        depth, *packing,
    )  # fmt: skip


def _narrow_schedule(
    problem: Contract, tile: tuple[int, int], unroll: int, depth: int,
    packing: tuple[bool, bool, bool],
) -> CpuContractSchedule:  # fmt: skip
    """Rows of a are packed by every unit: it has as many columns as that takes to be little."""
    rows, columns = tile
    row_block, column_block = (64 if packing[2] else 32), 128
    if isinstance(problem.m, int) and problem.m < FEW and isinstance(problem.n, int):
        depth, column_block = depth or 4096, max(64, min(128, problem.n // _UNITS))
    blocks = _multiple(row_block, rows), _multiple(column_block, columns)
    return CpuContractSchedule(rows, columns, unroll, *blocks, depth or 512, *packing)


def _multiple(block: int, tile: int) -> int:
    """About `block`, and a multiple of `tile`."""
    return tile * max(1, block // tile)
