"""How a Contract is computed on a CPU: register tile, blocks for the caches, what is packed."""

from __future__ import annotations

from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.expr import Call, Expr, Load, Value, free_symbols, loads
from webrt.kernel.problem import Contract, extents
from webrt.schedule.base import CpuLimits


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
        if not 1 <= self.unroll <= 16 or self.k_block < 0 or self.k_block % self.unroll:
            raise ValueError(f"not a block of k: {self}")
        if self.row_block < 1 or self.row_block % self.rows:
            raise ValueError(f"not a block of rows: {self}")
        if self.column_block < 1 or self.column_block % self.columns:
            raise ValueError(f"not a block of columns: {self}")
        if (self.pack_a or self.pack_b) and (self.k_block == 0 or self.k_block % 4):
            raise ValueError(f"packing needs a block of k: {self}")
        if max(self.row_block, self.column_block, self.k_block) > 4096:
            raise ValueError(f"blocks of at most 4096: {self}")

    @property
    def vectors(self) -> int:
        """Vector registers that the tile takes: its results, a value a row, a row of b."""
        quads = self.columns // 4
        return self.rows * quads + self.rows + quads


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
    for name in free_symbols(load):
        if name not in space or name == "m" or not isinstance(space[name], int):
            return None
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
    return isinstance(expr, Load) and isinstance(step(expr.offset, name), int)


def step(dim: Dim, name: str) -> Dim | None:
    """What `dim` grows by when the index `name` grows by 1; None where it isn't affine in it."""
    if isinstance(dim, int):
        return 0
    atom = dims.Symbol(name)
    result: Dim = 0
    for atoms, coefficient in dim.terms:
        rest = tuple(a for a in atoms if a != atom)
        if len(atoms) - len(rest) > 1:
            return None
        if any(name in dims.free_symbols(dims.atom_dim(a)) for a in rest):
            return None
        if len(rest) < len(atoms):
            result = result + dims.product(tuple(dims.atom_dim(a) for a in rest)) * coefficient
    return result


_TILES = ((4, 8), (2, 16), (3, 12), (7, 4), (1, 24), (8, 8), (6, 12), (4, 20), (5, 16))
"""Rows × columns of the register tile."""

_THIN = {1: ((1, 32), (1, 16), (1, 24)), 2: ((2, 16), (2, 8)), 3: ((3, 12), (3, 8))}
"""Tiles for problems of one, two, three rows."""


def space(problem: Contract, limits: CpuLimits) -> tuple[CpuContractSchedule, ...]:
    """Every legal schedule, best guess first."""
    tiles = _THIN.get(problem.m, ()) if isinstance(problem.m, int) else ()
    if not tiles:
        most = limits.registers
        tiles = tuple(t for t in _TILES if 0.8 * most <= _vectors(*t) <= most)
    if isinstance(problem.n, int):
        fitting = tuple(t for t in tiles if t[1] < 2 * max(problem.n, 4))
        tiles = fitting or ((4, 4),)
    candidates = [
        schedule
        for unroll in (4, 2, 8)
        for rows, columns in tiles
        for schedule in _blocked(problem, rows, columns, unroll)
    ]
    return tuple(dict.fromkeys(candidates))[:64]


def _blocked(problem: Contract, rows: int, columns: int, unroll: int) -> list[CpuContractSchedule]:
    """The schedules of one register tile."""
    panels = panel_load(problem) is not None
    pack_a = not reads_plainly(problem.a, "k")
    pack_b = not panels and not (isinstance(problem.m, int) and problem.m <= 3)
    row_block = rows * max(1, 64 // rows)
    column_block = columns * max(1, 32 // columns)
    depths = [256] if pack_a or pack_b else [0, 256, 512]
    return [
        CpuContractSchedule(
            rows, columns, unroll, row_block, column_block, depth, panels, pack_a, pack_b
        )
        for depth in depths
    ]


def _vectors(rows: int, columns: int) -> int:
    return rows * (columns // 4) + rows + columns // 4
