"""What a unit of attention on a CPU is: its rows, keys and columns, and its scratch memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.axes import stride
from webrt.kernel.expr import (
    Call,
    Expr,
    Load,
    Ref,
    as_index,
    call,
    f32,
    free_symbols,
    own_dims,
    rewrite,
    substitute,
    walk,
)
from webrt.kernel.problem import Attention, Output
from webrt.lower.attention import MASKED
from webrt.lower.common import Quad, lane, wide
from webrt.lower.cpu.common import keep_inside, vectorise
from webrt.lower.scope import Scope
from webrt.schedule.cpu.attention import CpuAttentionSchedule

SCORE = Ref("score", DType.F32, 4)
"""Stands for the products of a row and four keys."""


class Unit:
    """Rows `row` … `row + rows - 1`, columns alike; keys of the block at hand."""

    def __init__(
        self, problem: Attention, schedule: CpuAttentionSchedule, scope: Scope,
        row_block: Dim, column_block: Dim,
    ) -> None:  # fmt: skip
        self.problem = problem
        self.schedule = schedule
        self.scope = scope
        self.shared: list[loop.Shared] = []
        self.row = scope.symbol("first_row", row_block * schedule.row_block)
        self.rows = _count(scope, "rows", problem.q, self.row, schedule.row_block)
        self.first_column = scope.symbol("first_column", column_block * schedule.width)
        self.columns = _count(scope, "columns", problem.e, self.first_column, schedule.width)
        block = schedule.row_block
        self.scores = self.array("scores", block * schedule.keys)
        self.results = self.array("results", block * schedule.width)
        self.highs = self.array("highs", block * 4)
        self.tops = self.array("tops", block)
        self.sums = self.array("sums", block)
        self.first_key: Dim = 0
        self.count: Dim = 0
        self.beyond = reaches_on(problem.score)

    def array(self, hint: str, length: int) -> str:
        """A scratch array of `length` floats."""
        name = self.scope.names.fresh(hint)
        self.shared.append(loop.Shared(name, DType.F32, 4, -(-length // 4)))
        return name

    @property
    def padded_rows(self) -> Dim:
        """Rows of all register tiles."""
        return dims.ceil_div(self.rows, self.schedule.rows) * self.schedule.rows

    # Expressions

    def extents(self, scope: Scope) -> dict[str, Dim]:
        problem = self.problem
        own = {"q": problem.q, "t": problem.t, "d": problem.d, "e": problem.e}
        return own | scope.extents

    def vectorise(
        self, scope: Scope, expr: Expr, name: str, lanes: Quad,
        refs: Mapping[str, Expr] | None = None,
    ) -> Expr:  # fmt: skip
        """`expr` at four indices `name`; every load of it is in range."""
        extents = self.extents(scope)
        return keep_inside(
            vectorise(expr, name, lanes, extents, refs), self.problem.operands, extents
        )

    def scalar(self, scope: Scope, expr: Expr, mapping: Mapping[str, Dim]) -> Expr:
        """`expr` at one place; every load of it is in range."""
        inside = keep_inside(expr, self.problem.operands, self.extents(scope))
        return substitute(inside, mapping)

    # Keys

    def keys(self, scope: Scope, block: Dim) -> None:
        """Go on to a block of keys."""
        size = self.schedule.keys
        self.first_key = scope.symbol("first_key", block * size)
        self.count = _count(scope, "count", self.problem.t, self.first_key, size)
        self.last_key = self.first_key + dims.floor_div(self.count, 4) * 4
        if self.count % 4 != 0:
            self.last_key = scope.symbol("last_key", self.last_key)

    @contextmanager
    def quads_of_keys(self, scope: Scope) -> Iterator[tuple[Scope, Dim]]:
        """A loop over fours of keys, none of which reaches over the last key."""
        first, fours = dims.floor_div(self.first_key, 4), dims.floor_div(self.count, 4)
        extent = dims.floor_div(self.problem.t, 4)
        with scope.loop("four", first, first + fours, extent=extent) as result:
            yield result

    def modified(
        self, scope: Scope, rows: Sequence[Dim], first: Dim, products: Sequence[Sequence[Expr]]
    ) -> list[list[Expr]]:
        """Scores of rows × keys from `first` on, of the block; -∞ where there is no such key."""
        limit, none = call("splat", f32(MASKED)), call("splat", f32(-math.inf))
        whole = self.problem.t % 4 == 0 if len(products[0]) == 1 else self.problem.t % 8 == 0
        keys: list[Quad] = []
        inside: list[Expr] = []
        key = scope.symbol("key", self.first_key + first)
        for v in range(len(products[0])):
            quad = (key + v * 4, key + v * 4 + 1, key + v * 4 + 2, key + v * 4 + 3)
            keys.append(quad if whole or self.beyond else self.clamped(scope, key + v * 4))
            if not whole:
                numbers = call("vec4", *(as_index(t) for t in quad))
                extent = call("splat", as_index(self.problem.t))
                inside.append(scope.let("inside", call("lt", numbers, extent)))
        scores = [self.score_of(scope, four) for four in keys]
        raw = [
            _put(substitute(score, {"q": q}), dot)
            for q, dots in zip(rows, products, strict=True)
            for score, dot in zip(scores, dots, strict=True)
        ]
        found: list[Expr] = []
        for j, value in enumerate(scope.share_all(raw)):
            score = larger(scope, wide(value), limit)
            if not whole:
                score = scope.let("score", call("select", inside[j % len(keys)], score, none))
            found.append(score)
        return [found[j : j + len(keys)] for j in range(0, len(found), len(keys))]

    def score_of(self, scope: Scope, keys: Quad) -> Expr:
        """The score at four keys; what is the same for all rows is named here."""
        score = self.vectorise(scope, self.problem.score, "t", keys, {"score": SCORE})

        def visit(e: Expr) -> tuple[Expr, bool]:
            """An expression, and whether it is the same for all rows."""
            if not isinstance(e, Call):
                return e, e != SCORE and "q" not in free_symbols(e)
            args = [visit(arg) for arg in e.args]
            if all(fixed for _, fixed in args):
                return e, True
            named = [
                scope.let("fixed", scope.share(arg))
                if fixed and isinstance(arg, Call | Load)
                else arg
                for arg, fixed in args
            ]
            return Call(e.op, tuple(named), e.dtype, e.lanes), False

        return visit(score)[0]

    @contextmanager
    def last_keys(self, scope: Scope) -> Iterator[tuple[Scope, Quad] | None]:
        """Where keys don't go four by four: the last ones, the very last one several times."""
        if self.count % 4 == 0:
            yield None
            return
        end = self.first_key + self.count
        with scope.when(call("lt", as_index(self.last_key), as_index(end))) as inner:
            yield inner, self.clamped(inner, self.last_key)

    def clamped(self, scope: Scope, first: Dim) -> Quad:
        """Four keys from `first` on, the last key in place of those behind it."""
        if self.problem.t % 4 == 0:
            return first, first + 1, first + 2, first + 3
        a, b, c, d = (self.key_at(scope, first + c) for c in range(4))
        return a, b, c, d

    def key_at(self, scope: Scope, key: Dim) -> Dim:
        t = self.problem.t
        return scope.symbol("t", dims.dim_min(key, t - 1), t)

    # Columns

    @contextmanager
    def quads_of_columns(self, scope: Scope, step: int = 1) -> Iterator[tuple[Scope, Dim]]:
        """A loop over fours of the unit's columns, or every `step`-th of them."""
        first, fours = dims.floor_div(self.first_column, 4), dims.floor_div(self.columns, 4)
        extent = dims.floor_div(self.problem.e, 4)
        with scope.loop("four", first, first + fours, step, extent=extent) as result:
            yield result

    @contextmanager
    def last_columns(self, scope: Scope) -> Iterator[tuple[Scope, Dim] | None]:
        """A loop over the columns behind the last four."""
        if self.columns % 4 == 0:
            yield None
            return
        start = self.first_column + dims.floor_div(self.columns, 4) * 4
        stop = self.first_column + self.columns
        with scope.loop("column", start, stop, extent=self.problem.e) as result:
            yield result

    def store_four(
        self, scope: Scope, memory: int, output: Output, columns: Quad, row: Dim, acc: Ref
    ) -> None:
        """Store an output at four columns of a row."""
        extents = self.extents(scope)
        value = self.vectorise(scope, output.expr, "e", columns, {"acc": acc})
        value = scope.share(substitute(value, {"q": row}))
        offsets = [
            dims.simplify(dims.substitute(output.offset, {"e": point}), extents)
            for point in columns
        ]
        together = all(o == offsets[0] + c for c, o in enumerate(offsets))
        offsets = [dims.substitute(o, {"q": row}) for o in offsets]
        if together:
            scope.store(memory, offsets[0], wide(value))
            return
        value = value if isinstance(value, Ref) else scope.let("value", value)
        for c, offset in enumerate(offsets):
            scope.store(memory, offset, lane(value, c))

    def store_one(
        self, scope: Scope, memory: int, output: Output, column: Dim, row: Dim, acc: Ref
    ) -> None:
        """Store an output at one place."""
        place = {"e": column, "q": row}
        value = scope.share(self.scalar(scope, _put(output.expr, acc), place))
        scope.store(memory, dims.substitute(output.offset, place), value)


def _put(expr: Expr, value: Expr) -> Expr:
    """`expr` with `value` for what it refers to."""
    return rewrite(
        expr, lambda e: value if isinstance(e, Ref) and e.name in ("score", "acc") else None
    )


def larger(scope: Scope, a: Expr, b: Expr) -> Ref:
    """The larger one of two values, a where one is NaN: on a CPU that is cheaper than `max`."""
    a = a if isinstance(a, Ref) else scope.let("score", a)
    return scope.let("score", call("select", call("lt", a, b), b, a))


def reaches_on(score: Expr) -> bool:
    """Whether scores may be computed for some keys behind the last: loads stay near, none traps."""
    for e in walk(score):
        if isinstance(e, Call) and e.op in ("div", "mod") and not e.dtype.is_float:
            return False
        for dim in own_dims(e):
            if stride(dim, "t") not in (0, 1) and isinstance(e, Load):
                return False
    return True


def _count(scope: Scope, hint: str, extent: Dim, first: Dim, block: int) -> Dim:
    """How many of `extent` there are from `first` on, at most a block."""
    if dims.modulo(extent, block) == 0:
        return block
    if isinstance(extent, int) and extent < block:
        return extent
    return scope.symbol(hint, dims.dim_min(extent - first, block))
