"""Lowers a Contract: register tiles of named four-lane accumulators, k in the innermost loop."""

from __future__ import annotations

from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.expr import (
    Const,
    Expr,
    Ref,
    as_index,
    call,
    cast,
    substitute,
    walk,
)
from webrt.kernel.problem import Contract
from webrt.lower.common import (
    Quad,
    Scope,
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

    def kernel(self, name: str) -> loop.Kernel:
        problem, schedule, scope = self.problem, self.schedule, self.scope
        tile_m = schedule.rows * schedule.lanes_m
        tile_n = schedule.columns * schedule.lanes_n
        blocks_m, blocks_n = dims.ceil_div(problem.m, tile_m), dims.ceil_div(problem.n, tile_n)
        grid = fold_grid([*problem.batch, blocks_m, blocks_n])
        self.shared: list[loop.Shared] = []
        with scope.when(grid.guard) as inner:
            for j, (index, extent) in enumerate(zip(grid.index, problem.batch, strict=False)):
                inner.bind(f"b{j}", index, extent)
            self.rows(inner, grid.index[-2])
            self.columns(inner, grid.index[-1])
            self.accumulate(inner)
            self.outputs(inner)
        workgroup = (schedule.lanes_n, schedule.lanes_m, schedule.lanes_k)
        return kernel(name, problem, workgroup, grid.size, scope, tuple(self.shared))

    # The tile's place

    def rows(self, scope: Scope, block: Dim) -> None:
        """The rows of this lane's tile, kept inside the matrix, and whether they may be stored."""
        schedule, m = self.schedule, self.problem.m
        per_block = schedule.rows * schedule.lanes_m
        extents = {**scope.extents, "lane1": schedule.lanes_m}
        first = block * per_block + symbol("lane1") * schedule.rows
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
        first = scope.symbol("quad", block * (quads * lanes) + symbol("lane0"))
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
        whole = dims.floor_div(k, 4)
        rest = dims.modulo(k, 4)
        start, step, stop = self.share_of_k(scope, whole)
        if whole != 0:
            with scope.loop("step", start, stop, step, extent=whole) as (body, j):
                self.four(body, j)
        if rest != 0:
            with scope.loop("tail", whole * 4, k, extent=k) as (body, j):
                self.one(body, j)

    def share_of_k(self, scope: Scope, whole: Dim) -> tuple[Dim, int, Dim]:
        """Start, step and stop of this lane's quads of k."""
        return 0, 1, whole

    def four(self, body: Scope, j: Dim) -> None:
        """Add a[m, 4j … 4j + 3] · b[4j … 4j + 3, n], all unrolled."""
        points = quad(j)
        extents = {**body.extents, "m": self.problem.m}
        template = vectorise(self.problem.a, "k", points, extents)
        rows = [
            body.let(f"a{i}", cast(wide(substitute(template, {"m": m})), self.acc))
            for i, m in enumerate(self.row)
        ]
        for c in range(4):
            columns = self.b_row(body, points[c], c)
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
        for v, columns in enumerate(self.column):
            at_k = substitute(self.problem.b, {"k": k})
            value = vectorise(at_k, "n", columns.lanes, body.extents)
            result.append(body.let(f"b{v}_{c}", cast(wide(value), self.acc)))
        return result

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


def _accumulator_type(problem: Contract) -> DType:
    """The type of `Ref("acc")`: f32 for floats, whatever the operands are."""
    for output in problem.outputs:
        for e in walk(output.expr):
            if isinstance(e, Ref) and e.name == "acc":
                return e.dtype
    return problem.a.dtype
