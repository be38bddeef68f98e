"""The two products of attention on a CPU: in register tiles over scratch, or row by row."""

from __future__ import annotations

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.expr import Call, Expr, Load, Ref, call, f32, substitute, walk
from webrt.lower.common import Quad, quad, wide
from webrt.lower.cpu.attention_unit import Unit
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
        with scope.loop("panel", 0, unit.count, 8, extent=unit.schedule.keys) as (body, panel):
            points = [unit.first_key + panel + c for c in range(8)]
            if problem.t % 8 == 0:
                keys = points
            else:
                keys = [unit.key_at(body, point) for point in points]
            with body.loop("four", 0, depth // 4) as (inner, j):
                key = unit.vectorise(inner, problem.key, "d", quad(j))
                for half in range(2):
                    rows = [
                        inner.let("k", wide(inner.share(substitute(key, {"t": t}))))
                        for t in keys[half * 4 : half * 4 + 4]
                    ]
                    at = panel * depth + j * 32 + half * 4
                    for c, column in enumerate(_turn(inner, rows)):
                        inner.store(self.turned, at + c * 8, column)

    def gather(self, scope: Scope) -> None:
        """The same from keys that lie in any way: four at a time along t."""
        unit, problem, depth = self.unit, self.unit.problem, self.depth

        def put(body: Scope, keys: Quad, at: Dim) -> None:
            with body.loop("d", 0, depth, extent=depth) as (inner, d):
                key = unit.vectorise(inner, problem.key, "t", keys)
                key = inner.share(wide(substitute(key, {"d": d})))
                inner.store(self.turned, at + d * 8, key)

        def place(body: Scope, key: Dim) -> Dim:
            panel = body.symbol("panel", dims.floor_div(key, 8))
            return panel * (8 * depth) + (key - panel * 8)

        with unit.quads_of_keys(scope) as (body, j):
            put(body, quad(j), place(body, body.symbol("key", j * 4 - unit.first_key)))
        with unit.last_keys(scope) as last:
            if last is not None:
                body, keys, _ = last
                put(body, keys, place(body, body.symbol("key", unit.last_key - unit.first_key)))

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
        """Scores of every row and key of the block, tile by tile."""
        unit, schedule, depth = self.unit, self.unit.schedule, self.depth
        with (
            scope.loop("row", 0, unit.rows, schedule.rows) as (body, row),
            body.loop("panel", 0, unit.count, 8) as (inner, panel),
        ):
            left = inner.symbol("query_at", row * depth)
            right = inner.symbol("key_at", panel * depth)
            tile = Tile(
                tuple(
                    Place(self.query_rows, F32, left + i * depth, 1) for i in range(schedule.rows)
                ),
                tuple(Place(self.turned, F32, right + v, 8, 4) for v in (0, 4)),
                F32,
            )
            sums = iter(self.product(inner, tile, None, depth))
            at = inner.symbol("scores_at", row * schedule.keys + panel)
            for i in range(schedule.rows):
                for v in (0, 4):
                    inner.store(unit.scores, at + (i * schedule.keys + v), next(sums))

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
        with scope.loop("row", 0, unit.rows, extent=schedule.row_block) as (body, row):
            q = body.symbol("q", unit.row + row, unit.problem.q)
            at = body.symbol("scores_at", row * schedule.keys - unit.first_key)
            with unit.quads_of_keys(body) as (inner, j):
                inner.store(unit.scores, at + j * 4, self.four_scores(inner, q, quad(j)))
            with unit.last_keys(body) as last:
                if last is not None:
                    inner, keys, _ = last
                    value = self.four_scores(inner, q, keys)
                    inner.store(unit.scores, at + unit.last_key, value)

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
            with unit.quads_of_columns(body) as (inner, v):
                acc = inner.var("acc", Load(unit.results, results + v * 4, F32, 4))
                with inner.loop("t", unit.first_key, stop, extent=problem.t) as (each, t):
                    weight = call("splat", Load(unit.scores, weights + t, F32))
                    value = unit.vectorise(each, problem.value, "e", quad(v))
                    value = each.share(wide(substitute(value, {"t": t})))
                    each.assign(acc, call("add", acc, call("mul", weight, value)))
                inner.store(unit.results, results + v * 4, acc)
            with unit.last_columns(body) as last:
                if last is not None:
                    inner, e = last
                    acc = inner.var("acc", Load(unit.results, results + e, F32))
                    with inner.loop("t", unit.first_key, stop, extent=problem.t) as (each, t):
                        weight = Load(unit.scores, weights + t, F32)
                        value = unit.scalar(each, problem.value, {"t": t, "e": e})
                        value = each.share(value)
                        each.assign(acc, call("add", acc, call("mul", weight, value)))
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
