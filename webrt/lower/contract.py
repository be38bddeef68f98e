"""Lowers a Contract: register tiles of named four-lane accumulators, k in the innermost loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.expr import (
    Const,
    Expr,
    Index,
    Load,
    Ref,
    as_index,
    call,
    cast,
    i32,
    substitute,
    walk,
)
from webrt.kernel.problem import Contract
from webrt.kernel.problem import extents as extents_of
from webrt.lower.common import (
    Quad,
    below,
    fold_grid,
    is_aligned,
    kernel,
    lane,
    quad,
    root_scope,
    store_quad,
    vectorise,
    wide,
)
from webrt.lower.scope import Scope
from webrt.schedule.contract import ContractSchedule


def lower(problem: Contract, schedule: ContractSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    return _Lowering(problem, schedule).kernel(name)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Four columns of a lane's tile: their indices, inside the matrix, and what may be stored."""

    lanes: Quad
    guards: tuple[Expr | None, ...]  # one for all four, or one each


class _Lowering:
    """One kernel under construction."""

    def __init__(self, problem: Contract, schedule: ContractSchedule) -> None:
        self.problem = problem
        self.schedule = schedule
        self.scope = root_scope(problem)
        self.aligned = is_aligned(problem.n)  # columns go four by four
        self.acc = _accumulator_type(problem)
        self.shared: list[loop.Shared] = []
        self.b_along_k = self.reads_b_along_k()

    def kernel(self, name: str) -> loop.Kernel:
        problem, schedule, scope = self.problem, self.schedule, self.scope
        tile_m = schedule.rows * schedule.lanes_m
        tile_n = schedule.columns * schedule.lanes_n
        blocks_m, blocks_n = dims.ceil_div(problem.m, tile_m), dims.ceil_div(problem.n, tile_n)
        grid = fold_grid([*problem.batch, blocks_m, blocks_n])
        with scope.when(grid.guard) as inner:
            for j, (index, extent) in enumerate(zip(grid.index, problem.batch, strict=False)):
                inner.bind(f"b{j}", index, extent)
            self.rows(inner, grid.index[-2])
            self.columns(inner, grid.index[-1])
            # A lane whose rows are all outside has nothing to do, unless others wait for it.
            alone = schedule.lanes_k == 1 and not schedule.stage
            with inner.when(self.row_guard[0] if alone else None) as busy:
                self.row_guard[0] = None if alone else self.row_guard[0]
                self.accumulate(busy)
                self.reduce(busy)
                with busy.when(self.is_first()) as block:
                    self.outputs(block)
        workgroup = (schedule.lanes_n, schedule.lanes_m, schedule.lanes_k)
        return kernel(name, problem, workgroup, grid.size, scope, tuple(self.shared))

    # The tile's place

    def lane(self, axis: int, count: int) -> Dim:
        """This lane's position along an axis of the workgroup."""
        return 0 if count == 1 else symbol(loop.LANES[axis])

    def rows(self, scope: Scope, block: Dim) -> None:
        """The rows of this lane's tile, kept inside the matrix, and whether they may be stored."""
        schedule, m = self.schedule, self.problem.m
        per_block = schedule.rows * schedule.lanes_m
        extents = {**scope.extents, "lane1": schedule.lanes_m}
        self.block_row = scope.symbol("block_row", block * per_block)
        first = self.block_row + self.lane(1, schedule.lanes_m) * schedule.rows
        whole = dims.modulo(m, per_block) == 0
        first = scope.symbol("row", first)
        self.row: list[Dim] = []
        self.row_guard: list[Expr | None] = []
        for i in range(schedule.rows):
            if whole:
                self.row.append(scope.symbol(f"m{i}", first + i, m))
                self.row_guard.append(None)
            else:
                self.row.append(scope.symbol(f"m{i}", dims.dim_min(first + i, m - 1), m))
                self.row_guard.append(below(first + i, m, extents))

    def columns(self, scope: Scope, block: Dim) -> None:
        """The same for columns: neighbouring lanes take neighbouring quads."""
        schedule, n = self.schedule, self.problem.n
        lanes = schedule.lanes_n
        quads = schedule.columns // 4
        whole = dims.modulo(n, 4 * quads * lanes) == 0
        self.block_quad = scope.symbol("block_quad", block * (quads * lanes))
        first = scope.symbol("quad", self.block_quad + self.lane(0, lanes))
        self.column: list[_Columns] = []
        for v in range(quads):
            at = first + v * lanes
            if self.aligned:
                last = dims.floor_div(n, 4)
                inside = at if whole else dims.dim_min(at, last - 1)
                j = scope.symbol(f"n{v}", inside, last)
                guard = None if whole else call("lt", as_index(at), as_index(last))
                self.column.append(_Columns(quad(j), (guard,)))
            else:
                each = [at * 4 + c for c in range(4)]
                kept = [
                    scope.symbol(f"n{v}_{c}", dims.dim_min(e, n - 1), n) for c, e in enumerate(each)
                ]
                guards = tuple(call("lt", as_index(e), as_index(n)) for e in each)
                self.column.append(_Columns((kept[0], kept[1], kept[2], kept[3]), guards))

    # The sum

    def accumulate(self, scope: Scope) -> None:
        """Registers, the loop over k four at a time, the rest of k one at a time."""
        schedule, k = self.schedule, self.problem.k
        zero = call("splat", Const(0.0 if self.acc.is_float else 0, self.acc))
        self.registers = [
            [scope.var(f"acc_{i}_{v}", zero) for v in range(len(self.column))]
            for i in range(schedule.rows)
        ]
        if schedule.stage:
            self.staged(scope)
            return
        whole, lanes = dims.floor_div(k, 4), schedule.lanes_k
        first: Dim = symbol("lane2") if lanes > 1 else 0
        if whole != 0:
            with scope.loop("step", first, whole, lanes, extent=whole) as (body, j):
                self.four(body, j)
        if dims.modulo(k, 4) != 0:
            with scope.loop("tail", whole * 4 + first, k, lanes, extent=k) as (body, j):
                self.one(body, j)

    def four(self, body: Scope, j: Dim) -> None:
        """Add a[m, 4j … 4j + 3] · b[4j … 4j + 3, n], all unrolled."""
        extents = {**body.extents, "m": self.problem.m}
        template = vectorise(self.problem.a, "k", quad(j), extents)
        rows = [
            body.let(f"a{i}", cast(wide(substitute(template, {"m": m})), self.acc))
            for i, m in enumerate(self.row)
        ]
        turned = self.b_quads(body, j) if self.b_along_k else []
        for c in range(4):
            columns = self.b_turned(body, turned, c) if turned else self.b_row(body, quad(j)[c], c)
            for i, row in enumerate(rows):
                self.multiply(body, i, lane(row, c), columns)

    def one(self, body: Scope, k: Dim) -> None:
        """Add a[m, k] · b[k, n]."""
        extents = {**body.extents, "m": self.problem.m}
        columns = self.b_row(body, k, 0)
        template = vectorise(self.problem.a, "k", (k, k, k, k), extents)
        for i, m in enumerate(self.row):
            value = cast(substitute(template, {"m": m}), self.acc)
            self.multiply(body, i, body.let(f"a{i}", value), columns)

    def b_row(self, body: Scope, k: Dim, c: int) -> list[Expr]:
        """b[k, n] for the columns of the tile."""
        result: list[Expr] = []
        at_k = substitute(self.problem.b, {"k": k})
        for v, columns in enumerate(self.column):
            value = vectorise(at_k, "n", columns.lanes, body.extents)
            result.append(body.let(f"b{v}_{c}", cast(wide(value), self.acc)))
        return result

    def reads_b_along_k(self) -> bool:
        """Whether b is contiguous in k and not in n: then a lane turns 4 × 4 blocks of it."""
        extents = {**extents_of(self.problem), "j": dims.floor_div(self.problem.k, 4)}
        b, j = self.problem.b, quad(symbol("j"))
        n = quad(symbol("j")) if self.aligned else (symbol("n"),) * 4
        along_n = vectorise(b, "n", (n[0], n[1], n[2], n[3]), {**extents, "j": self.problem.n})
        return not _loads_quads(along_n) and _loads_quads(vectorise(b, "k", j, extents))

    def b_quads(self, body: Scope, j: Dim) -> list[list[Expr]]:
        """b[4j … 4j + 3, n] of every column n, as one value each."""
        extents = {**body.extents, "n": self.problem.n}
        template = vectorise(self.problem.b, "k", quad(j), extents)
        return [
            [
                body.let(f"b{v}_n{c}", cast(wide(substitute(template, {"n": n})), self.acc))
                for c, n in enumerate(columns.lanes)
            ]
            for v, columns in enumerate(self.column)
        ]

    def b_turned(self, body: Scope, turned: list[list[Expr]], c: int) -> list[Expr]:
        """Row c of each 4 × 4 block."""
        return [
            body.let(f"b{v}_{c}", call("vec4", *(lane(value, c) for value in block)))
            for v, block in enumerate(turned)
        ]

    # Workgroup memory

    def staged(self, scope: Scope) -> None:
        """Blocks of a and b go through workgroup memory, `stage` values of k at a time."""
        schedule, k = self.schedule, self.problem.k
        depth = schedule.stage // 4
        rows, quads = schedule.rows * schedule.lanes_m, schedule.columns // 4 * schedule.lanes_n
        tile_a = scope.names.fresh("tile_a")
        tile_b = scope.names.fresh("tile_b")
        self.shared.append(loop.Shared(tile_a, self.acc, 4, rows * depth))
        self.shared.append(loop.Shared(tile_b, self.acc, 4, quads * schedule.stage))
        whole = dims.floor_div(k, 4)
        with scope.loop("block", 0, whole, depth, extent=whole) as (body, j):
            body.barrier()
            with self.slots(body, rows * depth) as (inner, slot):
                row = dims.dim_min(self.block_row + slot // depth, self.problem.m - 1)
                place, inside = self.k_quad(inner, j + slot % depth, whole)
                space = {**inner.extents, "m": self.problem.m}
                value = vectorise(self.problem.a, "k", quad(place), space)
                self.fill(inner, tile_a, slot, substitute(value, {"m": row}), inside)
            with self.slots(body, quads * schedule.stage) as (inner, slot):
                place, inside = self.k_quad(inner, j + slot // (4 * quads), whole)
                at_k = substitute(self.problem.b, {"k": place * 4 + slot // quads % 4})
                last = dims.floor_div(self.problem.n, 4)
                column = dims.dim_min(self.block_quad + slot % quads, last - 1)
                column = inner.symbol("column", column, last)
                value = vectorise(at_k, "n", quad(column), inner.extents)
                self.fill(inner, tile_b, slot, value, inside)
            body.barrier()
            with body.loop("depth", 0, depth, extent=depth) as (inner, d):
                self.four_staged(inner, d, tile_a, tile_b)

    def tile(self) -> Dim:
        """The number of this lane's tile in its workgroup."""
        across, down = self.schedule.lanes_n, self.schedule.lanes_m
        return self.lane(0, across) + self.lane(1, down) * across

    @contextmanager
    def slots(self, body: Scope, count: int) -> Iterator[tuple[Scope, Dim]]:
        """All lanes together visit the `count` slots of a workgroup array."""
        schedule = self.schedule
        lanes = schedule.lanes
        with body.loop("slot", self.tile(), count, lanes, extent=count) as (inner, slot):
            yield inner, slot

    def k_quad(self, scope: Scope, place: Dim, whole: Dim) -> tuple[Dim, Expr | None]:
        """A quad of k kept inside, and whether it is, where that isn't known."""
        if dims.modulo(whole, self.schedule.stage // 4) == 0:
            return scope.symbol("quad_k", place, whole), None
        inside = call("lt", as_index(place), as_index(whole))
        return scope.symbol("quad_k", dims.dim_min(place, whole - 1), whole), inside

    def fill(self, scope: Scope, tile: str, slot: Dim, value: Expr, inside: Expr | None) -> None:
        """Store a quad in a workgroup array; zero where k is over."""
        value = cast(wide(value), self.acc)
        if inside is not None:
            zero = call("splat", Const(0.0 if self.acc.is_float else 0, self.acc))
            value = call("select", inside, value, zero)
        scope.store(tile, slot * 4, value)

    def four_staged(self, body: Scope, d: Dim, tile_a: str, tile_b: str) -> None:
        """Add the products of quad d of the staged blocks."""
        schedule = self.schedule
        depth, quads = schedule.stage // 4, schedule.columns // 4 * schedule.lanes_n
        lanes = schedule.lanes_n
        first = self.lane(1, schedule.lanes_m) * schedule.rows
        across = self.lane(0, lanes)
        rows = [
            body.let(f"a{i}", Load(tile_a, ((first + i) * depth + d) * 4, self.acc, 4))
            for i in range(schedule.rows)
        ]
        for c in range(4):
            row = (d * 4 + c) * quads + across
            columns: list[Expr] = [
                body.let(f"b{v}_{c}", Load(tile_b, (row + v * lanes) * 4, self.acc, 4))
                for v in range(len(self.column))
            ]
            for i, value in enumerate(rows):
                self.multiply(body, i, lane(value, c), columns)

    def reduce(self, scope: Scope) -> None:
        """Lane 0 along k adds the parts of the others."""
        schedule = self.schedule
        if schedule.lanes_k == 1:
            return
        parts = scope.names.fresh("parts")
        registers = [r for row in self.registers for r in row]
        tiles = schedule.lanes_m * schedule.lanes_n
        count = len(registers) * tiles
        self.shared.append(loop.Shared(parts, self.acc, 4, count * schedule.lanes_k))
        tile = self.tile()
        for r, register in enumerate(registers):
            place = symbol("lane2") * count + r * tiles + tile
            scope.store(parts, place * 4, register)
        scope.barrier()
        with (
            scope.when(self.is_first()) as first,
            first.loop("other", 1, schedule.lanes_k) as (body, other),
        ):
            for r, register in enumerate(registers):
                part = Load(parts, (other * count + r * tiles + tile) * 4, self.acc, 4)
                body.assign(register, call("add", register, part))

    def is_first(self) -> Expr | None:
        """Whether this lane stores the results of its tile."""
        if self.schedule.lanes_k == 1:
            return None
        return call("eq", Index(symbol("lane2")), i32(0))

    def multiply(self, body: Scope, i: int, a: Expr, columns: list[Expr]) -> None:
        for v, b in enumerate(columns):
            register = self.registers[i][v]
            body.assign(register, call("add", register, call("mul", a, b)))

    # The results

    def outputs(self, scope: Scope) -> None:
        for i, m in enumerate(self.row):
            with scope.when(self.row_guard[i]) as inside:
                for v, columns in enumerate(self.column):
                    if len(columns.guards) == 1:
                        with inside.when(columns.guards[0]) as block:
                            self.write(block, m, columns, self.registers[i][v])
                    else:
                        self.write(inside, m, columns, self.registers[i][v])

    def write(self, scope: Scope, m: Dim, columns: _Columns, acc: Ref) -> None:
        """Store every output of one row and four columns."""
        first = len(self.problem.operands)
        for j, output in enumerate(self.problem.outputs):
            across, row = ("n", columns.lanes), ("m", m, self.problem.m)
            store_quad(scope, first + j, output, across, columns.guards, row, acc)


def _loads_quads(expr: Expr) -> bool:
    return any(isinstance(e, Load) and e.lanes == 4 for e in walk(expr))


def _accumulator_type(problem: Contract) -> DType:
    """The type of `Ref("acc")`: f32 for floats, whatever the operands are."""
    for output in problem.outputs:
        for e in walk(output.expr):
            if isinstance(e, Ref) and e.name == "acc":
                return e.dtype
    return problem.a.dtype
