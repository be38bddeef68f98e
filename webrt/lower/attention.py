"""Lowers an Attention: online softmax in registers, no scores in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.expr import Const, Expr, Load, Ref, as_index, call, cast, f32, substitute
from webrt.kernel.problem import Attention
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
from webrt.schedule.attention import AttentionSchedule

MASKED = -3.0e38
"""Scores at or below this are masked out, all of them alike: so a row of none but masked scores is
a softmax over equal ones."""


def lower(problem: Attention, schedule: AttentionSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    return _Lowering(problem, schedule).kernel(name)


class _Lowering:
    """One kernel under construction."""

    def __init__(self, problem: Attention, schedule: AttentionSchedule) -> None:
        self.problem = problem
        self.schedule = schedule
        self.scope = root_scope(problem)
        if schedule.hold and not (isinstance(problem.d, int) and is_aligned(problem.d)):
            raise ValueError(f"d = {problem.d} can't be held in registers, in quads")
        if schedule.stage and not all(
            isinstance(size, int) and is_aligned(size) for size in (problem.d, problem.e)
        ):
            raise ValueError(f"d = {problem.d}, e = {problem.e} can't be staged, in quads")
        self.shared: list[loop.Shared] = []
        self.staged: Dim = 0  # the first key that workgroup memory holds

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
            # A lane whose rows are all outside has nothing to do, unless others wait for it.
            with inner.when(None if schedule.stage else self.row_guard[0]) as busy:
                self.row_guard[0] = self.row_guard[0] if schedule.stage else None
                self.registers(busy)
                blocks = dims.ceil_div(problem.t, schedule.stage or schedule.keys)
                with busy.loop("step", 0, blocks, extent=blocks) as (body, step):
                    if schedule.stage:
                        self.stage(body, step)
                    else:
                        self.step(body, step)
                self.outputs(busy)
        return kernel(name, problem, (schedule.lanes, 1, 1), grid.size, scope, tuple(self.shared))

    # The tile's place

    def rows(self, scope: Scope, block: Dim) -> None:
        """This lane's query rows, kept inside, and whether they may be stored."""
        schedule, q = self.schedule, self.problem.q
        lane0: Dim = symbol("lane0") if schedule.lanes > 1 else 0
        first = (block * schedule.lanes + lane0) * schedule.rows
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
        first = self.first_column = scope.symbol("column", block * quads)
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

    def query(self, scope: Scope, row: int, d: Dim, four: bool = True) -> Expr:
        """Quad d of a query row, or its element d."""
        return self.along_d(
            scope, self.problem.query, ("q", self.row[row], self.problem.q), d, four
        )

    def key(self, scope: Scope, t: Dim, d: Dim, four: bool = True) -> Expr:
        """Quad d of a key row, or its element d."""
        if self.schedule.stage:
            assert isinstance(self.problem.d, int)
            return Load(self.shared[0].name, (t * (self.problem.d // 4) + d) * 4, DType.F32, 4)
        return self.global_key(scope, t, d, four)

    def global_key(self, scope: Scope, t: Dim, d: Dim, four: bool = True) -> Expr:
        return self.along_d(scope, self.problem.key, ("t", t, self.problem.t), d, four)

    def along_d(
        self, scope: Scope, expr: Expr, row: tuple[str, Dim, Dim], d: Dim, four: bool
    ) -> Expr:
        name, at, extent = row
        if not four:
            return cast(substitute(expr, {name: at, "d": d}), DType.F32)
        value = wide(vectorise(expr, "d", quad(d), {**scope.extents, name: extent}))
        return cast(substitute(value, {name: at}), DType.F32)

    def value(self, scope: Scope, t: Dim, v: int) -> Expr:
        """Quad v of the lane's columns of a value row."""
        if self.schedule.stage:
            quads = len(self.column)
            return Load(self.shared[1].name, (t * quads + v) * 4, DType.F32, 4)
        return self.global_value(scope, t, self.column[v])

    def global_value(self, scope: Scope, t: Dim, columns: Quad) -> Expr:
        extents = {**scope.extents, "t": self.problem.t}
        value = vectorise(self.problem.value, "e", columns, extents)
        return cast(wide(substitute(value, {"t": t})), DType.F32)

    # Workgroup memory

    def stage(self, body: Scope, block: Dim) -> None:
        """Keys and values of `stage` rows go to workgroup memory, then block by block."""
        problem, schedule = self.problem, self.schedule
        assert isinstance(problem.d, int)
        if not self.shared:
            for name, width in (("keys", problem.d), ("values", schedule.columns)):
                length = schedule.stage * width // 4
                name = body.names.fresh(name)
                self.shared.append(loop.Shared(name, DType.F32, 4, length))
        self.staged = block * schedule.stage
        body.barrier()
        with self.slots(body, problem.d // 4) as (inner, slot, t, d):
            inner.store(self.shared[0].name, slot * 4, self.global_key(inner, t, d))
        quads, e = schedule.columns // 4, self.problem.e
        with self.slots(body, quads) as (inner, slot, t, v):
            last = dims.floor_div(e, 4)
            at = dims.dim_min(self.first_column + v, last - 1)
            columns = quad(inner.symbol("e_quad", at, last))
            inner.store(self.shared[1].name, slot * 4, self.global_value(inner, t, columns))
        body.barrier()
        steps = schedule.stage // schedule.keys
        with body.loop("part", 0, steps, extent=steps) as (inner, part):
            self.step(inner, block * steps + part)

    @contextmanager
    def slots(self, body: Scope, width: int) -> Iterator[tuple[Scope, Dim, Dim, Dim]]:
        """All lanes together visit `stage` rows of `width` quads: slot, key row, quad."""
        count = self.schedule.stage * width
        lanes = self.schedule.lanes
        lane0: Dim = symbol("lane0") if lanes > 1 else 0
        with body.loop("slot", lane0, count, lanes, extent=count) as (inner, slot):
            t = dims.dim_min(self.staged + slot // width, self.problem.t - 1)
            place = inner.symbol("place", slot % width, width)
            yield inner, slot, inner.symbol("t", t, self.problem.t), place

    def place(self, scope: Scope, t: Dim) -> Dim:
        """Where a key's row is to be had: inside the operand, or in workgroup memory."""
        if self.schedule.stage:
            return t - self.staged
        if self.whole:
            return t
        return scope.symbol("t", dims.dim_min(t, self.problem.t - 1), self.problem.t)

    # A block of keys

    def step(self, body: Scope, step: Dim) -> None:
        """Scores of a block of keys, then the running softmax, then the weighted values."""
        problem, count = self.problem, self.schedule.keys
        self.whole = dims.modulo(problem.t, self.schedule.stage or count) == 0
        self.quads: list[Quad] = []
        for v in range(count // 4):
            first = step * (count // 4) + v
            if self.whole:
                keys = quad(first)
            else:
                inside = [dims.dim_min(key, problem.t - 1) for key in quad(first)]
                names = [body.symbol(f"t{4 * v + c}", t, problem.t) for c, t in enumerate(inside)]
                keys = (names[0], names[1], names[2], names[3])
            self.quads.append(keys)
        if self.schedule.hold:
            products = self.products_by_key(body, step * (count // 4))
        else:
            keys_at = [t for keys in self.quads for t in keys]
            if self.schedule.stage:
                keys_at = [self.place(body, step * count + j) for j in range(count)]
            products = self.products_by_depth(body, keys_at)
        scores = iter(self.scores(body, products))
        weights = [
            self.weights(body, i, step * count, [next(scores) for _ in row])
            for i, row in enumerate(products)
        ]
        self.add_in_loop(body, step * (count // 4), weights)

    def add(self, body: Scope, weights: list[Expr], t: Dim) -> None:
        """Add one key's values, weighted, to each row."""
        for v in range(len(self.column)):
            value = body.let(f"v{v}", self.value(body, t, v))
            for i, weight in enumerate(weights):
                part = call("mul", weight, value)
                body.assign(self.acc[i][v], call("add", self.acc[i][v], part))

    def add_in_loop(self, body: Scope, first: Dim, weights: list[list[Expr]]) -> None:
        """The same for every key of the block, in a loop: the weights turn, lane 0 is next."""
        rings = [
            [body.var(f"ring{i}_{v}", weight) for v, weight in enumerate(row)]
            for i, row in enumerate(weights)
        ]
        with body.loop("turn", 0, 4, extent=4) as (inner, c):
            for v in range(len(self.quads)):
                t = self.place(inner, (first + v) * 4 + c)
                self.add(inner, [lane(row[v], 0) for row in rings], t)
            for row in rings:
                for ring in row:
                    inner.assign(ring, call("vec4", *(lane(ring, c) for c in (1, 2, 3, 0))))

    def products_by_key(self, body: Scope, first: Dim) -> list[list[Expr]]:
        """Query · key, for each row values whose lanes are the keys: a loop over keys.

        The products of a turn enter at lane 3 and move on.
        """
        assert isinstance(self.problem.d, int)
        zero = call("splat", f32(0.0))
        dots = [
            [body.var(f"dot{i}_{v}", zero) for v in range(len(self.quads))]
            for i in range(self.schedule.rows)
        ]
        with body.loop("key", 0, 4, extent=4) as (inner, c):
            for v in range(len(self.quads)):
                t = self.place(inner, (first + v) * 4 + c)
                parts: list[Expr] = []
                for d in range(self.problem.d // 4):
                    key = inner.let(f"k{v}_{d}", self.key(inner, t, d))
                    for i in range(self.schedule.rows):
                        product = call("mul", self.held[i][d], key)
                        if d == 0:
                            parts.append(inner.var(f"part{i}_{v}", product))
                        else:
                            part = parts[i]
                            assert isinstance(part, Ref)
                            inner.assign(part, call("add", part, product))
                for i, part in enumerate(parts):
                    dot = dots[i][v]
                    moved = [lane(dot, c) for c in (1, 2, 3)]
                    inner.assign(dot, call("vec4", *moved, call("sum4", part)))
        return [[*row] for row in dots]

    def products_by_depth(self, body: Scope, keys: list[Dim]) -> list[list[Expr]]:
        """The same in a loop over d: in quads where d is divisible by 4."""
        rows, d = range(self.schedule.rows), self.problem.d
        aligned = is_aligned(d)
        zero = call("splat", f32(0.0)) if aligned else f32(0.0)
        parts = [[body.var(f"part{i}_{j}", zero) for j in range(len(keys))] for i in rows]
        extent = dims.floor_div(d, 4) if aligned else d
        with body.loop("depth", 0, extent, extent=extent) as (inner, at):
            queries = [inner.let(f"q{i}_d", self.query(inner, i, at, aligned)) for i in rows]
            for j, t in enumerate(keys):
                key = inner.let(f"k{j}_d", self.key(inner, t, at, aligned))
                for i, query in enumerate(queries):
                    part = parts[i][j]
                    inner.assign(part, call("add", part, call("mul", query, key)))
        sums = [[call("sum4", p) if aligned else p for p in row] for row in parts]
        return [
            [
                body.let(f"dot{i}_{v}", call("vec4", *row[4 * v : 4 * v + 4]))
                for v in range(len(keys) // 4)
            ]
            for i, row in enumerate(sums)
        ]

    def weights(self, body: Scope, row: int, first: Dim, scores: list[Expr]) -> list[Expr]:
        """exp(score - top) of one row and a block; updates top, sum and the values so far."""
        highest = scores[0]
        for score in scores[1:]:
            highest = call("max", highest, score)
        highest = highest if len(scores) == 1 else body.let(f"highest{row}", highest)
        pairs = [call("max", lane(highest, c), lane(highest, c + 1)) for c in (0, 2)]
        top = self.top[row]
        new = body.let(f"new{row}", call("max", top, call("max", *pairs)))
        scale = body.let(f"scale{row}", call("exp", call("sub", top, new)))
        weights: list[Expr] = []
        for v, score in enumerate(scores):
            weight = call("exp", call("sub", score, call("splat", new)))
            if not self.whole:
                ahead = call("vec4", *(as_index(first + 4 * v + c) for c in range(4)))
                inside = call("lt", ahead, call("splat", as_index(self.problem.t)))
                weight = call("select", inside, weight, call("splat", f32(0.0)))
            weights.append(body.let(f"weight{row}_{v}", weight))
        body.assign(top, new)
        total = call("mul", self.sum[row], scale)
        for weight in weights:
            total = call("add", total, call("sum4", weight))
        body.assign(self.sum[row], total)
        for acc in self.acc[row]:
            body.assign(acc, call("mul", acc, call("splat", scale)))
        return weights

    def scores(self, body: Scope, products: list[list[Expr]]) -> list[Expr]:
        """The modified scores, row by row; what the rows have in common is loaded once."""
        problem = self.problem
        extents = {**body.extents, "q": problem.q}
        scores: list[Expr] = []
        for i, dots in enumerate(products):
            for keys, dot in zip(self.quads, dots, strict=True):
                score = vectorise(problem.score, "t", keys, extents, {"score": dot})
                scores.append(substitute(cast(score, DType.F32), {"q": self.row[i]}))
        limit = call("splat", f32(MASKED))
        return [
            body.let("score", call("max", wide(score), limit)) for score in body.share_all(scores)
        ]

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
