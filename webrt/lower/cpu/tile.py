"""A tile of a product: sums in registers over a loop along k, of places that advance with k."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Union

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.expr import (
    Call,
    Const,
    Expr,
    Load,
    Ref,
    as_index,
    call,
    cast,
    lanes_of,
    substitute,
)
from webrt.lower.scope import Scope

PARTS = 8
"""Sums that are in flight at least: a multiply-add takes four cycles, two begin in each."""


PIECE = 2
"""Steps that stand in one block of code. wasmtime 50 puts all loads of a block before the first
product, and has to store them where they are many: 4 × 8 tiles, four steps in one block, take 1.3
times as long as two, in two blocks 1.07. Chromium takes 0.90 and 0.92 (MiniLM-L6, 2026-11-22)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Elements of a memory `step` apart along k, from `base` on."""

    memory: int | str
    dtype: DType
    base: Dim
    step: Dim
    lanes: int = 1

    def moved(self, k: Dim) -> Place:
        """The place from k on."""
        return replace(self, base=self.base + k * self.step)

    def load(self, ahead: int) -> Load:
        return Load(self.memory, self.base + ahead * self.step, self.dtype, self.lanes)


@dataclass(frozen=True, slots=True)
class Ahead:
    """The panel of `columns` × `k` two behind `panel`: each tile reads `step` · k elements of it.

    Tiles take equal parts, because who reads much at once waits. In Chromium, on a core of its own,
    with weights that no cache holds, MiniLM-L6 takes 1.12 times less time of 8 rows, 1.08 of 16,
    1.14 of 32, 1.05 of 128 (2026-11-22); the next panel does as well, but for 16 rows.
    """

    panel: Place
    columns: int
    k: Dim
    step: Dim
    size: Dim

    def part(self, scope: Scope, number: Dim) -> Place:
        """What tile `number` reads, inside of the operand's `size` elements."""
        base = self.panel.base + (2 * self.columns + number * self.step) * self.k
        base = scope.symbol("ahead_at", dims.dim_min(base, self.size - self.k * self.step))
        return Place(self.panel.memory, self.panel.dtype, base, self.step)


Source = Union[Place, Expr]
"""A place, or an expression that depends on the symbol `k`."""


@dataclass(frozen=True, slots=True)
class Tile:
    """a's values, one a row, and b's, four columns each; or a row's and a column's, scalars."""

    rows: tuple[Source, ...]
    columns: tuple[Source, ...]
    acc: DType
    lanes: int = 4

    def registers(self, scope: Scope, first: Sequence[Expr] | None) -> list[Ref]:
        """The sums, row by row: zero, or what `first` says."""
        count = len(self.rows) * len(self.columns)
        if first is None:
            first = [zero(self.acc, self.lanes)] * count
        return [scope.var("sum", e) for e in first]

    def accumulate(
        self, scope: Scope, sums: list[Ref], start: Dim, stop: Dim, unroll: int,
        ahead: Place | None = None,
    ) -> None:  # fmt: skip
        """Add a · b for k = start … stop - 1; start is a multiple of `unroll`.

        A turn also reads from `ahead`, for the cache.
        """
        count = len(sums)
        if not all(isinstance(source, Place) for source in (*self.rows, *self.columns)):
            unroll = 1  # an expression's indices take longer than the loop does
        parts = max(1, min(unroll, PARTS // count))
        registers = [sums, *(self.registers(scope, None) for _ in range(parts - 1))]
        piece = PIECE if unroll % PIECE == 0 else 1
        whole = stop if dims.modulo(stop, piece) == 0 else dims.floor_div(stop, piece) * piece
        if whole != start:
            with scope.loop("k", start, whole, unroll) as (body, k):
                moved = self._moved(k)
                if ahead is not None:
                    body.let("ahead", ahead.moved(k).load(0))
                with ExitStack() as stack:
                    for c in range(unroll):
                        if c and c % piece == 0:
                            more = call("lt", as_index(k + c), as_index(whole))
                            body = stack.enter_context(body.when(more))
                        moved._add(body, k, c, registers[c % parts])
        if whole != stop:
            first = whole if start == 0 else dims.dim_max(start, whole)
            with scope.loop("k", first, stop) as (body, k):
                self._moved(k)._add(body, k, 0, sums)
        for part in registers[1:]:
            for register, other in zip(sums, part, strict=True):
                scope.assign(register, Call("add", (register, other), self.acc, self.lanes))

    def _moved(self, k: Dim) -> Tile:
        """The tile whose places begin at k: an address is put together once for all steps."""
        rows, columns = (
            tuple(s.moved(k) if isinstance(s, Place) else s for s in sources)
            for sources in (self.rows, self.columns)
        )
        return replace(self, rows=rows, columns=columns)

    def _add(self, body: Scope, k: Dim, ahead: int, sums: list[Ref]) -> None:
        """Add a · b for k + ahead; places begin at k."""
        columns = [self._value(body, "b", column, k, ahead) for column in self.columns]
        count = len(columns)
        for i, row in enumerate(self.rows):
            a = self._value(body, "a", row, k, ahead)
            for v, b in enumerate(columns):
                add_product(body, sums[i * count + v], a, b)

    def _value(self, body: Scope, hint: str, source: Source, k: Dim, ahead: int) -> Ref:
        if isinstance(source, Place):
            expr: Expr = source.load(ahead)
        else:
            expr = body.expr(substitute(source, {"k": k + ahead}))
        expr = cast(expr, self.acc)
        if lanes_of(expr) < self.lanes:
            expr = Call("splat", (expr,), self.acc, 4)
        return body.name(hint, expr)


def add_product(body: Scope, register: Ref, a: Ref, b: Ref, op: str = "mul") -> None:
    """Register += a · b, or another product, as it stands."""
    product = Call(op, (a, b), register.dtype, register.lanes)
    total = Call("add", (register, product), register.dtype, register.lanes)
    body.statements.append(loop.Assign(register.name, total))


def zero(dtype: DType, lanes: int = 4) -> Expr:
    literal = Const(0.0 if dtype.is_float else 0, dtype)
    return literal if lanes == 1 else Call("splat", (literal,), dtype, 4)
