"""Lowers a Contract for CPUs: tiles of sums in registers, gathered in scratch, then the outputs.

A unit computes a block of rows × a block of columns of one matrix of the batch:

    for each block of k:       pack a's rows (where the schedule says so)
      for each panel:          pack b's columns (the same)
        for each tile of rows: sums[slots, panel] += a · b, in registers
    for each row, for each four columns: outputs from sums

A tile that would reach over the matrix's last row begins earlier and computes rows a second time,
and tiles of six rows are followed by one or two of four: there is no code for other numbers of rows
that are left over. So sums has *slots*: a tile's rows are in slots of its own, and the last ones of
a block may stand behind the place of their row (`Axis.slot`).
Columns do the same where b is read in place; panels are padded instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from webrt import dims
from webrt.dims import Dim
from webrt.kernel import loop
from webrt.kernel.axes import stride
from webrt.kernel.expr import (
    Call,
    Expr,
    Load,
    Ref,
    lanes_of,
    rewrite,
    substitute,
)
from webrt.kernel.problem import Contract
from webrt.lower.common import Quad, decode, lane, quad, wide
from webrt.lower.cpu.axis import Axis
from webrt.lower.cpu.common import (
    UNIT,
    four_of,
    kernel,
    refuse_f16,
    root_scope,
    vectorise,
)
from webrt.lower.cpu.packing import Packing
from webrt.lower.cpu.panels import in_panels
from webrt.lower.cpu.tile import PIECE, Ahead, Place, Source, Tile, zero
from webrt.lower.scope import Scope
from webrt.schedule.cpu.contract import CpuContractSchedule, reads_plainly


def lower(problem: Contract, schedule: CpuContractSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`; raises CompileError for halves."""
    refuse_f16(problem, name)
    return Lowering(problem, schedule).kernel(name)


REST = {6: 4}
"""Rows of the tiles that compute what is left over, by the rows of a tile."""


class Lowering(Packing):
    """One kernel under construction."""

    def __init__(self, problem: Contract, schedule: CpuContractSchedule) -> None:
        self.problem = problem
        self.schedule = schedule
        self.acc = problem.a.dtype
        self.scope = root_scope(problem)
        self.shared: list[loop.Shared] = []
        self.extents: dict[str, Dim] = {"m": problem.m, "n": problem.n, "k": problem.k}
        self.extents |= {f"b{j}": extent for j, extent in enumerate(problem.batch)}
        m, n = problem.m, problem.n
        self.rows = min(schedule.rows, m) if isinstance(m, int) else schedule.rows
        self.row_block = _fitting(m, schedule.row_block, self.rows)
        self.panel = in_panels(problem, schedule.columns)
        if not reads_plainly(problem.b, "k"):
            self.panel = None  # its other loads may not reach over the last column
        self.pack_a = schedule.pack_a or not reads_plainly(problem.a, "k")
        self.pack_b = schedule.pack_b
        self.padded = self.pack_b or self.panel is not None
        self.columns = schedule.columns
        self.column_block = _fitting(n, schedule.column_block, self.columns)
        self.depth = schedule.k_block or 64 * schedule.unroll
        self.blocked = (self.pack_a or self.pack_b or schedule.k_block > 0) and not (
            isinstance(problem.k, int) and problem.k <= self.depth
        )

    def kernel(self, name: str) -> loop.Kernel:
        problem, scope = self.problem, self.scope
        blocks_m = dims.ceil_div(problem.m, self.row_block)
        blocks_n = dims.ceil_div(problem.n, self.column_block)
        space = (*problem.batch, blocks_n, blocks_m)
        many = [extent for extent in space if extent != 1]
        numbers = iter(decode(UNIT, many))
        index = [0 if extent == 1 else next(numbers) for extent in space]
        for j, extent in enumerate(problem.batch):
            scope.bind(f"b{j}", index[j], extent)
        rest = REST.get(self.rows, 0)
        self.m = Axis.of(scope, "m", problem.m, index[-1], self.row_block, self.rows, False, rest)
        self.n = Axis.of(
            scope, "n", problem.n, index[-2], self.column_block, self.columns, self.padded
        )
        most = max(self.row_block, 2 * rest)  # five rows take two tiles of four
        self.sums = self.array("sums", most * self.column_block)
        if self.pack_a:
            self.tile_a = self.array("tile_a", self.row_block * self.depth)
        if self.pack_b:
            self.tile_b = self.array("tile_b", self.columns * self.depth)
        if self.blocked:
            slots = dims.dim_max(self.m.behind, self.m.count)
            with scope.loop("at", 0, slots * self.column_block, 4) as (body, at):
                body.store(self.sums, at, zero(self.acc))
        with self.k_blocks(scope) as (block, k0, k1):
            self.products(block, k0, k1)
        self.outputs(scope)
        units = dims.product(space)
        return kernel(name, problem, units, scope, tuple(self.shared))

    def array(self, hint: str, length: int) -> str:
        """A scratch array of `length` sums."""
        name = self.scope.names.fresh(hint)
        self.shared.append(loop.Shared(name, self.acc, 4, -(-length // 4)))
        return name

    @contextmanager
    def k_blocks(self, scope: Scope) -> Iterator[tuple[Scope, Dim, Dim]]:
        """The loop over blocks of k: the block's scope, its first k and the one behind its last."""
        k, block = self.problem.k, self.depth
        if not self.blocked:
            yield scope, 0, k
            return
        with scope.loop("k_first", 0, k, block, extent=k) as (body, first):
            last = first + block
            if dims.modulo(k, block) != 0:
                last = body.symbol("k_last", dims.dim_min(last, k))
            yield body, first, last

    # The sums

    def products(self, scope: Scope, k0: Dim, k1: Dim) -> None:
        """Every tile of the unit, for one block of k."""
        if self.pack_a:
            self.fill_a(scope, k0, k1)
        n = self.n
        if n.tiled != 0:
            self.panels(scope, k0, k1)
        if n.tiled != n.count:
            self.few_columns(scope, k0, k1)

    def panels(self, scope: Scope, k0: Dim, k1: Dim) -> None:
        """Every whole tile of columns, and in it every tile of rows."""
        n, width = self.n, self.columns
        with scope.loop("panel", 0, dims.ceil_div(n.tiled, width)) as (body, j):
            if n.whole:
                panel = body.symbol("panel", n.number * (self.column_block // width) + j)
                body._extents[_name(panel)] = dims.ceil_div(self.problem.n, width)
                start = panel * width
            else:
                start = body.symbol("column", n.start(j * width))
            if self.pack_b:
                self.fill_b(body, start, k0, k1)
            columns = self.b_columns(body, start, k0)
            self.row_tiles(body, columns, j * width, k0, k1)

    def row_tiles(
        self, scope: Scope, columns: tuple[Source, ...], column: Dim, k0: Dim, k1: Dim
    ) -> None:
        """Tiles of all rows for some columns, whose slots begin at `column`."""
        m = self.m
        ahead = self.ahead(scope, columns[0])
        for many, begin, end in m.parts():
            with scope.loop("slot", begin, end, many) as (body, slot):
                start = body.symbol("m_at", m.start(slot, many))
                rows = self.a_rows(body, start, many, k0)
                number = dims.floor_div(slot, self.rows)
                part = None if ahead is None else ahead.part(body, number)
                self.tile(body, rows, columns, slot, column, k0, k1, part=part)
        if m.tiled != m.count:
            with scope.loop("slot", m.tiled, m.count) as (body, slot):
                rows = self.a_rows(body, m.first + slot, 1, k0)
                self.tile(body, rows, columns, slot, column, k0, k1)

    def few_columns(self, scope: Scope, k0: Dim, k1: Dim) -> None:
        """A matrix of fewer columns than a tile: one result at a time."""
        m, n = self.m, self.n
        with scope.loop("column", n.tiled, n.count) as (body, column):
            at = body.symbol("at", n.first + column, self.problem.n)
            b: Source = self.inside(body, substitute(self.problem.b, {"n": at}))
            with body.loop("row", 0, m.count) as (inner, row):
                slot = m.slot(inner, row)
                rows = self.a_rows(inner, m.first + row, 1, k0)
                self.tile(inner, rows, (b,), slot, column, k0, k1, 1)

    def tile(
        self, scope: Scope, rows: tuple[Source, ...], columns: tuple[Source, ...],
        slot: Dim, column: Dim, k0: Dim, k1: Dim, lanes: int = 4, part: Place | None = None,
    ) -> None:  # fmt: skip
        """One tile's sums over a block of k, from and to scratch.

        Tiles of fewer rows than others run seldom: less code is made for them.
        """
        tile = Tile(rows, columns, self.acc, lanes)
        at = scope.symbol("sums_at", slot * self.column_block + column)
        places = [
            at + (i * self.column_block + v * lanes)
            for i in range(len(rows))
            for v in range(len(columns))
        ]
        first: list[Expr] | None = None
        if self.blocked:
            first = [Load(self.sums, place, self.acc, lanes) for place in places]
        sums = tile.registers(scope, first)
        unroll = self.schedule.unroll
        if 1 < len(rows) < self.rows:
            unroll = min(unroll, PIECE)
        tile.accumulate(scope, sums, k0, k1, unroll, part)
        for place, register in zip(places, sums, strict=True):
            scope.statements.append(loop.Store(self.sums, place, register))

    def ahead(self, scope: Scope, column: Source) -> Ahead | None:
        """What tiles read of a later panel: weights come from memory in every run."""
        problem, m = self.problem, self.m
        if self.panel is None or self.blocked or self.pack_b or not isinstance(column, Place):
            return None
        if m.slots == 0 or (isinstance(problem.m, int) and problem.m <= self.rows):
            return None
        slots = dims.dim_max(m.slots, self.rows)
        step = scope.symbol("step", dims.ceil_div(self.columns * self.rows, slots))
        size = problem.operands[int(column.memory)].size
        return Ahead(column, self.columns, problem.k, step, size)

    # The operands

    def a_rows(self, scope: Scope, first: Dim, count: int, k0: Dim) -> tuple[Source, ...]:
        """Rows first … first + count - 1 of a."""
        if self.pack_a:
            depth = self.depth
            base = scope.symbol("a_at", (first - self.m.base) * depth - k0)
            return tuple(Place(self.tile_a, self.acc, base + i * depth, 1) for i in range(count))
        load = _plain(self.problem.a)
        along_k, along_m = stride(load.offset, "k"), stride(load.offset, "m")
        assert isinstance(along_k, int)

        def at(row: Dim) -> Dim:
            return scope.symbol("a_at", dims.substitute(load.offset, {"m": row, "k": 0}))

        if isinstance(along_m, int):
            base = at(first)
            bases = [base + i * along_m for i in range(count)]
        else:
            bases = [at(first + i) for i in range(count)]
        return tuple(Place(load.memory, load.dtype, base, along_k) for base in bases)

    def b_columns(self, scope: Scope, start: Dim, k0: Dim) -> tuple[Source, ...]:
        """The quads of columns from `start` on."""
        width, b = self.columns, self.problem.b
        if self.pack_b:
            base = scope.symbol("b_at", k0 * -width)
            return tuple(
                Place(self.tile_b, self.acc, base + v, width, 4) for v in range(0, width, 4)
            )
        if reads_plainly(b, "k") and (self.panel or stride(_plain(b).offset, "n") == 1):
            load = _plain(b)
            along_k = stride(load.offset, "k")
            assert isinstance(along_k, int)
            base = scope.symbol("b_at", dims.substitute(load.offset, {"n": start, "k": 0}))
            return tuple(
                Place(load.memory, load.dtype, base + v, along_k, 4) for v in range(0, width, 4)
            )
        return tuple(
            self.inside(scope, vectorise(b, "n", _four(start + v), self.space(scope)))
            for v in range(0, width, 4)
        )

    # The results

    def outputs(self, scope: Scope) -> None:
        """Every output of the unit's rows and columns, four columns at a time."""
        m, n = self.m, self.problem.n
        quads = self.column_block // 4
        with scope.loop("row", 0, m.count, extent=self.row_block) as (body, row):
            slot = m.slot(body, row)
            sums = body.symbol("sums_at", slot * self.column_block)
            body.bind("m", m.first + row, self.problem.m)
            fours = dims.floor_div(n, 4)
            first = self.n.number * quads
            last = dims.dim_min(first + quads, fours)
            if dims.modulo(n, self.column_block) == 0:
                last = first + quads
            if fours != 0:
                with body.loop("four", first, last, extent=fours) as (inner, j):
                    at = j * 4 - self.n.first
                    self.write(inner, quad(j), sums, at)
            if dims.modulo(n, 4) != 0:
                start = dims.dim_max(fours * 4, self.n.first)
                with body.loop("one", start, self.n.first + self.n.count, extent=n) as (inner, c):
                    self.write(inner, (c,), sums, c - self.n.first)

    def write(self, scope: Scope, columns: tuple[Dim, ...], sums: Dim, column: Dim) -> None:
        """Store every output at one row, and at one column or four."""
        count = len(columns)
        slot = self.n.slot(scope, column)
        acc = self.total(scope, columns, sums + slot)
        space = self.space(scope)
        values: list[Expr] = []
        for output in self.problem.outputs:
            if count == 4:
                value = vectorise(output.expr, "n", four_of(columns), space, {"acc": acc})
            else:
                value = _with_acc(substitute(output.expr, {"n": columns[0]}), acc)
            values.append(self.inside(scope, value))
        values = scope.share_all(values)
        first = len(self.problem.operands)
        for j, (output, value) in enumerate(zip(self.problem.outputs, values, strict=True)):
            offsets = [
                dims.simplify(dims.substitute(output.offset, {"n": c}), space) for c in columns
            ]
            if count == 4 and all(o == offsets[0] + c for c, o in enumerate(offsets)):
                scope.store(first + j, offsets[0], wide(value))
                continue
            if lanes_of(value) == 4 and not isinstance(value, Ref):
                value = scope.let("result", value)
            for c, offset in enumerate(offsets):
                scope.store(first + j, offset, lane(value, c))

    def total(self, scope: Scope, columns: tuple[Dim, ...], place: Dim) -> Expr:
        """The sum at one row and at one column or four, which stands at a place of scratch."""
        return scope.let("acc", Load(self.sums, place, self.acc, len(columns)))


def _fitting(extent: Dim, block: int, tile: int) -> int:
    """`block`, less where the matrix is smaller."""
    if not isinstance(extent, int):
        return block
    return min(block, -(-extent // tile) * tile)


def _four(start: Dim) -> Quad:
    return (start, start + 1, start + 2, start + 3)


def _name(dim: Dim) -> str:
    name = dims.lone_symbol(dim)
    assert name is not None
    return name


def _plain(expr: Expr) -> Load:
    """The load that `reads_plainly` has found."""
    if isinstance(expr, Call):
        expr = expr.args[0]
    assert isinstance(expr, Load)
    return expr


def _with_acc(expr: Expr, acc: Expr) -> Expr:
    return rewrite(expr, lambda e: acc if isinstance(e, Ref) and e.name == "acc" else None)
