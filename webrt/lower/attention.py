"""Lowers an Attention: online softmax in registers, no scores in memory."""

from __future__ import annotations

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.expr import Const, Expr, Ref, as_index, call, cast, f32, substitute
from webrt.kernel.problem import Attention
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
from webrt.schedule.attention import AttentionSchedule

MASKED = -3.0e38
"""Scores at or below this are masked out, all of them alike: so a row of none but masked scores is
a softmax over equal ones."""

KEYS = 4
MAX_UNROLLED_D = 128


def lower(problem: Attention, schedule: AttentionSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    return _Lowering(problem, schedule).kernel(name)


class _Lowering:
    """One kernel under construction."""

    def __init__(self, problem: Attention, schedule: AttentionSchedule) -> None:
        self.problem = problem
        self.schedule = schedule
        self.scope = root_scope(problem)

    def kernel(self, name: str) -> loop.Kernel:
        problem, schedule, scope = self.problem, self.schedule, self.scope
        blocks_q = dims.ceil_div(problem.q, schedule.rows * schedule.lanes)
        blocks_e = dims.ceil_div(problem.e, schedule.columns)
        grid = fold_grid([*problem.batch, blocks_q, blocks_e])
        with scope.when(grid.guard) as inner:
            for j, (index, extent) in enumerate(zip(grid.index, problem.batch, strict=False)):
                inner.bind(f"b{j}", index, extent)
            self.rows(inner, grid.index[-2])
            self.columns(inner, grid.index[-1])
            self.registers(inner)
            with inner.loop("step", 0, dims.ceil_div(problem.t, KEYS)) as (body, step):
                self.step(body, step * KEYS)
            self.outputs(inner)
        return kernel(name, problem, (schedule.lanes, 1, 1), grid.size, scope)

    # The tile's place

    def rows(self, scope: Scope, block: Dim) -> None:
        """This lane's query rows, kept inside, and whether they may be stored."""
        schedule, q = self.schedule, self.problem.q
        first = (block * schedule.lanes + symbol("lane0")) * schedule.rows
        first = scope.symbol("row", first)
        whole = dims.modulo(q, schedule.rows * schedule.lanes) == 0
        self.row: list[Dim] = []
        self.row_guard: list[Expr | None] = []
        for i in range(schedule.rows):
            inside = first + i if whole else dims.dim_min(first + i, q - 1)
            self.row.append(scope.symbol(f"q{i}", inside, q))
            self.row_guard.append(None if whole else call("lt", as_index(first + i), as_index(q)))

    def columns(self, scope: Scope, block: Dim) -> None:
        """This lane's value columns, four by four, with the guard of each quad or of each lane."""
        quads, e = self.schedule.columns // 4, self.problem.e
        first = scope.symbol("column", block * quads)
        self.column: list[Quad] = []
        self.guards: list[tuple[Expr | None, ...]] = []
        for v in range(quads):
            at = first + v
            extents = {**scope.extents, "wg0": dims.ceil_div(e, self.schedule.columns)}
            if is_aligned(e):
                count = dims.floor_div(e, 4)
                guard = below(at, count, extents)
                inside = at if guard is None else dims.dim_min(at, count - 1)
                self.column.append(quad(scope.symbol(f"e{v}", inside, count)))
                self.guards.append((guard,))
            else:
                points = [
                    scope.symbol(f"e{v}_{c}", dims.dim_min(at * 4 + c, e - 1), e) for c in range(4)
                ]
                self.column.append((points[0], points[1], points[2], points[3]))
                self.guards.append(tuple(below(at * 4 + c, e, extents) for c in range(4)))

    def registers(self, scope: Scope) -> None:
        """Running maximum, sum and weighted values of each row; the query, where it is held."""
        zero = call("splat", f32(0.0))
        self.held: list[list[Expr]] = []
        self.top: list[Ref] = []
        self.sum: list[Ref] = []
        self.acc: list[list[Ref]] = []
        for i in range(self.schedule.rows):
            if self.schedule.hold:
                assert isinstance(self.problem.d, int)
                quads = range(self.problem.d // 4)
                self.held.append([scope.let(f"q{i}_{v}", self.query(scope, i, v)) for v in quads])
            self.top.append(scope.var(f"top{i}", f32(MASKED)))
            self.sum.append(scope.var(f"sum{i}", f32(0.0)))
            columns = range(len(self.column))
            self.acc.append([scope.var(f"acc{i}_{v}", zero) for v in columns])

    # Loads

    def query(self, scope: Scope, row: int, d: Dim) -> Expr:
        """Quad d of a query row."""
        extents = {**scope.extents, "q": self.problem.q}
        value = vectorise(self.problem.query, "d", quad(d), extents)
        return cast(wide(substitute(value, {"q": self.row[row]})), DType.F32)

    def key(self, scope: Scope, t: Dim, d: Dim) -> Expr:
        """Quad d of a key row."""
        extents = {**scope.extents, "t": self.problem.t}
        value = vectorise(self.problem.key, "d", quad(d), extents)
        return cast(wide(substitute(value, {"t": t})), DType.F32)

    def value(self, scope: Scope, t: Dim, columns: Quad) -> Expr:
        extents = {**scope.extents, "t": self.problem.t}
        value = vectorise(self.problem.value, "e", columns, extents)
        return cast(wide(substitute(value, {"t": t})), DType.F32)

    # Four keys

    def step(self, body: Scope, t: Dim) -> None:
        """Scores of four keys, then the running softmax, then the weighted values."""
        problem = self.problem
        whole = is_aligned(problem.t)
        keys: list[Dim] = []
        for j in range(KEYS):
            inside = t + j if whole else dims.dim_min(t + j, problem.t - 1)
            keys.append(body.symbol(f"t{j}", inside, problem.t))
        products = self.products(body, keys)
        weights = [
            self.weights(body, i, t, keys, products[i], whole) for i in range(self.schedule.rows)
        ]
        for v, columns in enumerate(self.column):
            values = [
                body.let(f"v{v}_{j}", self.value(body, key, columns)) for j, key in enumerate(keys)
            ]
            for i, weight in enumerate(weights):
                for j, value in enumerate(values):
                    part = call("mul", lane(weight, j), value)
                    body.assign(self.acc[i][v], call("add", self.acc[i][v], part))

    def products(self, body: Scope, keys: list[Dim]) -> list[Expr]:
        """Query · key: for each row a value whose lanes are the keys."""
        d = self.problem.d
        if isinstance(d, int) and d % 4 == 0 and d <= MAX_UNROLLED_D:
            parts = self.unrolled_products(body, keys, d // 4)
        else:
            parts = self.looped_products(body, keys)
        return [body.let(f"dot{i}", call("vec4", *row)) for i, row in enumerate(parts)]

    def unrolled_products(self, body: Scope, keys: list[Dim], quads: int) -> list[list[Expr]]:
        rows = range(self.schedule.rows)
        parts: list[list[Ref]] = [[] for _ in rows]
        for d in range(quads):
            queries = [
                self.held[i][d] if self.held else body.let(f"q{i}_{d}", self.query(body, i, d))
                for i in rows
            ]
            for j, t in enumerate(keys):
                key = body.let(f"k{j}_{d}", self.key(body, t, d))
                for i, query in enumerate(queries):
                    product = call("mul", query, key)
                    if d == 0:
                        parts[i].append(body.var(f"part{i}_{j}", product))
                    else:
                        body.assign(parts[i][j], call("add", parts[i][j], product))
        return [[call("sum4", p) for p in row] for row in parts]

    def looped_products(self, body: Scope, keys: list[Dim]) -> list[list[Expr]]:
        """The same in a loop over d: in quads where d is divisible by 4."""
        rows, d = range(self.schedule.rows), self.problem.d
        aligned = is_aligned(d)
        zero = call("splat", f32(0.0)) if aligned else f32(0.0)
        parts = [[body.var(f"part{i}_{j}", zero) for j in range(KEYS)] for i in rows]
        with body.loop("depth", 0, dims.floor_div(d, 4) if aligned else d) as (inner, at):
            for i in rows:
                row = {"q": self.row[i], "d": at}
                query = inner.let(
                    f"q{i}_d",
                    self.query(inner, i, at)
                    if aligned
                    else cast(substitute(self.problem.query, row), DType.F32),
                )
                for j, t in enumerate(keys):
                    key = (
                        self.key(inner, t, at)
                        if aligned
                        else cast(substitute(self.problem.key, {"t": t, "d": at}), DType.F32)
                    )
                    part = parts[i][j]
                    inner.assign(part, call("add", part, call("mul", query, key)))
        return [[call("sum4", p) if aligned else p for p in row] for row in parts]

    def weights(
        self, body: Scope, row: int, t: Dim, keys: list[Dim], dots: Expr, whole: bool
    ) -> Expr:
        """exp(score - top) of one row and four keys; updates top, sum and the values so far."""
        problem = self.problem
        points = quad(dims.floor_div(t, 4)) if whole else (keys[0], keys[1], keys[2], keys[3])
        extents = {**body.extents, "q": problem.q}
        score = vectorise(problem.score, "t", points, extents, {"score": dots})
        score = body.share(substitute(score, {"q": self.row[row]}))
        limit = call("splat", f32(MASKED))
        score = body.let(f"score{row}", call("max", wide(cast(score, DType.F32)), limit))
        pairs = [call("max", lane(score, c), lane(score, c + 1)) for c in (0, 2)]
        top = self.top[row]
        new = body.let(f"new{row}", call("max", top, call("max", *pairs)))
        scale = body.let(f"scale{row}", call("exp", call("sub", top, new)))
        weight = call("exp", call("sub", score, call("splat", new)))
        if not whole:
            ahead = call("vec4", *(as_index(t + j) for j in range(KEYS)))
            inside = call("lt", ahead, call("splat", as_index(problem.t)))
            weight = call("select", inside, weight, call("splat", f32(0.0)))
        weight = body.let(f"weight{row}", weight)
        body.assign(top, new)
        total = self.sum[row]
        body.assign(total, call("add", call("mul", total, scale), call("sum4", weight)))
        for acc in self.acc[row]:
            body.assign(acc, call("mul", acc, call("splat", scale)))
        return weight

    # The results

    def outputs(self, scope: Scope) -> None:
        first = len(self.problem.operands)
        one = Const(1.0, DType.F32)
        for i, q in enumerate(self.row):
            with scope.when(self.row_guard[i]) as inside:
                inverse = inside.let(f"inverse{i}", call("div", one, self.sum[i]))
                for v, columns in enumerate(self.column):
                    guards = self.guards[v]
                    with inside.when(guards[0] if len(guards) == 1 else None) as block:
                        scaled = call("mul", self.acc[i][v], call("splat", inverse))
                        acc = block.let(f"result{i}_{v}", scaled)
                        for j, output in enumerate(self.problem.outputs):
                            store_quad(
                                block, first + j, output, ("e", columns), guards,
                                ("q", q, self.problem.q), acc,
                            )  # fmt: skip
