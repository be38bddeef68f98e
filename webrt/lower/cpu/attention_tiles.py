"""The two products of attention on a CPU: in register tiles over scratch, or row by row."""

from __future__ import annotations

import math

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.expr import Call, Expr, Load, Ref, call, f32, free_symbols, substitute, walk
from webrt.lower.attention import MASKED
from webrt.lower.common import Quad, quad, wide
from webrt.lower.cpu.attention_unit import Unit, larger
from webrt.lower.cpu.tile import Place, Tile
from webrt.lower.scope import Scope

F32 = DType.F32


class Blocks:
    """Register tiles: queries, turned keys and values lie in scratch."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit

    def queries(self, scope: Scope) -> None:
        """Copy the unit's query rows, the last one again where a tile reaches over it."""
        unit, problem = self.unit, self.unit.problem
        depth = problem.d
        assert isinstance(depth, int)
        self.depth = depth
        self.query_rows = unit.array("queries", unit.schedule.row_block * depth)
        self.turned = unit.array("turned", unit.schedule.keys * depth)
        self.copied = unit.array("values", unit.schedule.keys * unit.schedule.width)
        with scope.loop("row", 0, unit.padded_rows, extent=unit.schedule.row_block) as (body, row):
            at = unit.row + row
            if problem.q % unit.schedule.rows != 0:
                at = dims.dim_min(at, problem.q - 1)
            at = body.symbol("q", at, problem.q)
            if depth // 4:
                with body.loop("four", 0, depth // 4) as (inner, j):
                    value = unit.vectorise(inner, problem.query, "d", quad(j))
                    value = inner.share(wide(substitute(value, {"q": at})))
                    inner.store(self.query_rows, row * depth + j * 4, value)
            for d in range(depth // 4 * 4, depth):
                value = unit.scalar(body, problem.query, {"q": at, "d": d})
                body.store(self.query_rows, row * depth + d, body.share(value))

    def fill(self, scope: Scope) -> None:
        """Bring a block of keys and of values to scratch."""
        unit = self.unit
        if self.depth % 4 == 0 and is_plain(unit.vectorise(scope, unit.problem.key, "d", quad(0))):
            self.turn(scope)
        else:
            self.gather(scope)
        self.copy(scope)

    def turn(self, scope: Scope) -> None:
        """Keys as panels [keys / 8][d][8], from keys that lie along d: four by four."""
        unit, problem, depth = self.unit, self.unit.problem, self.depth
        with scope.loop("key", 0, unit.count, 4, extent=unit.schedule.keys) as (body, key):
            keys = unit.clamped(body, unit.first_key + key)
            at = self.place(body, key)
            with body.loop("four", 0, depth // 4) as (inner, j):
                row = unit.vectorise(inner, problem.key, "d", quad(j))
                rows = [inner.let("k", wide(inner.share(substitute(row, {"t": t})))) for t in keys]
                for c, column in enumerate(_turn(inner, rows)):
                    inner.store(self.turned, at + j * 32 + c * 8, column)

    def gather(self, scope: Scope) -> None:
        """The same from keys that lie in any way: four at a time along t."""
        unit, problem, depth = self.unit, self.unit.problem, self.depth

        def put(body: Scope, keys: Quad, key: Dim) -> None:
            at = self.place(body, key)
            with body.loop("d", 0, depth, extent=depth) as (inner, d):
                value = unit.vectorise(inner, problem.key, "t", keys)
                value = inner.share(wide(substitute(value, {"d": d})))
                inner.store(self.turned, at + d * 8, value)

        with unit.quads_of_keys(scope) as (body, j):
            put(body, quad(j), body.symbol("key", j * 4 - unit.first_key))
        with unit.last_keys(scope) as last:
            if last is not None:
                body, keys = last
                put(body, keys, body.symbol("key", unit.last_key - unit.first_key))

    def place(self, scope: Scope, key: Dim) -> Dim:
        """Where four keys of the block begin: in a panel's first or second half."""
        panel = scope.symbol("panel", dims.floor_div(key, 8))
        return scope.symbol("turned_at", panel * (8 * self.depth - 8) + key)

    def copy(self, scope: Scope) -> None:
        """Values as rows of the unit's columns; as many as the product reads."""
        unit, problem, width = self.unit, self.unit.problem, self.unit.schedule.width
        count = dims.ceil_div(unit.count, 4) * 4
        with scope.loop("key", 0, count, extent=unit.schedule.keys) as (body, key):
            at = unit.first_key + key
            t = at if problem.t % 4 == 0 else unit.key_at(body, at)
            start = body.symbol("value_at", key * width - unit.first_column)
            with unit.quads_of_columns(body) as (inner, v):
                value = unit.vectorise(inner, problem.value, "e", quad(v))
                value = inner.share(wide(substitute(value, {"t": t})))
                inner.store(self.copied, start + v * 4, value)
            with unit.last_columns(body) as last:
                if last is not None:
                    inner, e = last
                    value = unit.scalar(inner, problem.value, {"t": t, "e": e})
                    inner.store(self.copied, start + e, inner.share(value))

    # The products

    def scores(self, scope: Scope) -> None:
        """Scores of every row and key of the block, tile by tile, and the highest of each row."""
        unit, schedule, depth = self.unit, self.unit.schedule, self.depth
        rows, extent = range(schedule.rows), unit.problem.q
        with scope.loop("row", 0, unit.rows, schedule.rows) as (body, row):
            q = [unit.row + row + i for i in rows]
            if extent % schedule.rows != 0 and "q" in free_symbols(unit.problem.score):
                q = [body.symbol("q", dims.dim_min(at, extent - 1), extent) for at in q]
            highs = [body.var("high", call("splat", f32(MASKED))) for _ in rows]
            with body.loop("panel", 0, unit.count, 8) as (inner, panel):
                left = inner.symbol("query_at", row * depth)
                right = inner.symbol("key_at", panel * depth)
                tile = Tile(
                    tuple(Place(self.query_rows, F32, left + i * depth, 1) for i in rows),
                    tuple(Place(self.turned, F32, right + v, 8, 4) for v in (0, 4)),
                    F32,
                )
                sums = self.product(inner, tile, None, depth)
                pairs = [sums[j : j + 2] for j in range(0, len(sums), 2)]
                at = inner.symbol("scores_at", row * schedule.keys + panel)
                for i, scores in enumerate(unit.modified(inner, q, panel, pairs)):
                    for v, score in enumerate(scores):
                        inner.store(unit.scores, at + (i * schedule.keys + v * 4), score)
                        inner.assign(highs[i], larger(inner, highs[i], score))
            for i in rows:
                body.store(unit.highs, (row + i) * 4, highs[i])

    def values(self, scope: Scope) -> None:
        """Add weights · values to the results, tile by tile."""
        unit, schedule = self.unit, self.unit.schedule
        width, columns = schedule.width, min(schedule.columns, schedule.width)
        stop = width // columns * columns
        with scope.loop("row", 0, unit.rows, schedule.rows) as (body, row):
            with body.loop("column", 0, stop, columns) as (inner, column):
                self.add(inner, row, column, columns)
            if stop < width:
                self.add(body, row, stop, width - stop)

    def add(self, scope: Scope, row: Dim, column: Dim, columns: int) -> None:
        unit, schedule, width = self.unit, self.unit.schedule, self.unit.schedule.width
        left = scope.symbol("weights_at", row * schedule.keys)
        at = scope.symbol("results_at", row * width + column)
        tile = Tile(
            tuple(
                Place(unit.scores, F32, left + i * schedule.keys, 1) for i in range(schedule.rows)
            ),
            tuple(Place(self.copied, F32, column + v, width, 4) for v in range(0, columns, 4)),
            F32,
        )
        places = [at + (i * width + v) for i in range(schedule.rows) for v in range(0, columns, 4)]
        first: list[Expr] = [Load(unit.results, place, F32, 4) for place in places]
        count = dims.ceil_div(unit.count, 4) * 4
        for place, result in zip(places, self.product(scope, tile, first, count), strict=True):
            scope.store(unit.results, place, result)

    def product(self, scope: Scope, tile: Tile, first: list[Expr] | None, length: Dim) -> list[Ref]:
        sums = tile.registers(scope, first)
        tile.accumulate(scope, sums, 0, length, self.unit.schedule.unroll)
        return sums


class Few:
    """Row by row: keys and values are read where they lie."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit

    def scores(self, scope: Scope) -> None:
        unit, schedule = self.unit, self.unit.schedule
        none = call("splat", f32(-math.inf))
        with scope.loop("row", 0, unit.rows, extent=schedule.row_block) as (body, row):
            q = body.symbol("q", unit.row + row, unit.problem.q)
            at = body.symbol("scores_at", row * schedule.keys)
            if unit.problem.t % 8 != 0:
                last = body.symbol("last", dims.floor_div(unit.count - 1, 8) * 8)
                body.store(unit.scores, at + last + 4, none)
            high = body.var("high", call("splat", f32(MASKED)))

            fours = dims.ceil_div(unit.count, 4)
            with body.loop("four", 0, fours, extent=schedule.keys // 4) as (inner, j):
                keys = unit.clamped(inner, inner.symbol("key", unit.first_key + j * 4))
                products = self.four_scores(inner, q, keys)
                ((score,),) = unit.modified(inner, [q], j * 4, [[products]])
                inner.store(unit.scores, at + j * 4, score)
                inner.assign(high, larger(inner, high, score))
            body.store(unit.highs, row * 4, high)

    def four_scores(self, scope: Scope, q: Dim, keys: Quad) -> Expr:
        """Query · key for four keys: along d where they lie so, else across the keys."""
        unit, problem = self.unit, self.unit.problem
        zero = call("splat", f32(0.0))
        if problem.d % 4 == 0 and is_plain(unit.vectorise(scope, problem.key, "d", quad(0))):
            return self.along_d(scope, q, keys)
        total = scope.var("part", zero)
        with scope.loop("d", 0, problem.d, extent=problem.d) as (body, d):
            one = body.share(unit.scalar(body, problem.query, {"q": q, "d": d}))
            key = unit.vectorise(body, problem.key, "t", keys)
            key = body.share(wide(substitute(key, {"d": d})))
            body.assign(total, call("add", total, call("mul", call("splat", one), key)))
        return total

    def along_d(self, scope: Scope, q: Dim, keys: Quad) -> Expr:
        unit, problem = self.unit, self.unit.problem
        parts = [scope.var("part", call("splat", f32(0.0))) for _ in keys]
        with scope.loop("four", 0, dims.floor_div(problem.d, 4)) as (body, j):
            query = unit.vectorise(body, problem.query, "d", quad(j))
            held = body.let("query", body.share(wide(substitute(query, {"q": q}))))
            key = unit.vectorise(body, problem.key, "d", quad(j))
            for part, t in zip(parts, keys, strict=True):
                row = body.share(wide(substitute(key, {"t": t})))
                body.assign(part, call("add", part, call("mul", held, row)))
        a, b, c, d = _turn(scope, parts)
        return call("add", call("add", a, b), call("add", c, d))

    def values(self, scope: Scope) -> None:
        """Add weights · values to the results, four columns or one at a time."""
        unit, schedule, problem = self.unit, self.unit.schedule, self.unit.problem
        with scope.loop("row", 0, unit.rows, extent=schedule.row_block) as (body, row):
            weights = body.symbol("weights_at", row * schedule.keys - unit.first_key)
            results = body.symbol("results_at", row * schedule.width - unit.first_column)
            stop = unit.first_key + unit.count
            group = next(n for n in (4, 2, 1) if unit.columns % (4 * n) == 0 or n == 1)
            with unit.quads_of_columns(body, group) as (inner, v):
                places = [results + (v + c) * 4 for c in range(group)]
                accs = [inner.var("acc", Load(unit.results, at, F32, 4)) for at in places]
                with inner.loop("t", unit.first_key, stop, extent=problem.t) as (each, t):
                    weight = each.let("w", call("splat", Load(unit.scores, weights + t, F32)))
                    for c, acc in enumerate(accs):
                        value = unit.vectorise(each, problem.value, "e", quad(v + c))
                        value = each.share(wide(substitute(value, {"t": t})))
                        each.assign(acc, call("add", acc, call("mul", weight, value)))
                for at, acc in zip(places, accs, strict=True):
                    inner.store(unit.results, at, acc)
            with unit.last_columns(body) as last:
                if last is not None:
                    inner, e = last
                    acc = inner.var("acc", Load(unit.results, results + e, F32))
                    with inner.loop("t", unit.first_key, stop, extent=problem.t) as (each, t):
                        one = Load(unit.scores, weights + t, F32)
                        value = unit.scalar(each, problem.value, {"t": t, "e": e})
                        each.assign(acc, call("add", acc, call("mul", one, each.share(value))))
                    inner.store(unit.results, results + e, acc)


def is_plain(expr: Expr) -> bool:
    """Whether a four-lane expression loads four elements at once wherever it loads."""
    return not any(isinstance(e, Call) and e.op == "vec4" for e in walk(expr))


def _turn(scope: Scope, rows: list[Ref]) -> list[Expr]:
    """The columns of four rows, in two steps of shuffles of two values each."""

    def pick(a: Expr, b: Expr, *lanes: tuple[int, int]) -> Ref:
        parts = [call(f"lane{c}", (a, b)[which]) for which, c in lanes]
        return scope.let("turned", call("vec4", *parts))

    a, b, c, d = rows
    low_ab, high_ab = (pick(a, b, (0, i), (1, i), (0, i + 1), (1, i + 1)) for i in (0, 2))
    low_cd, high_cd = (pick(c, d, (0, i), (1, i), (0, i + 1), (1, i + 1)) for i in (0, 2))
    return [
        call("vec4", *(call(f"lane{i}", e) for e in pair for i in (first, first + 1)))
        for pair in ((low_ab, low_cd), (high_ab, high_cd))
        for first in (0, 2)
    ]
