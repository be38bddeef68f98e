"""Lowers a Contract whose weights lie in panels of 8 bits or less: they are widened in registers.

a is packed first, as it is multiplied. Integers: two of a's, 16 bits each, lie in a word, weights
are widened from 8 to 16 bits as they are loaded, and a dot product of pairs is one instruction:

    sums[row, columns] += dot2(splat(a's pair at k, k + 1), widen(b's pairs at k, k + 1))

Floats: a lane's word holds fields of as many k; masked where it stands, a field is its number
times a power of 2, by whose inverse a was multiplied:

    sums[row, columns] += splat(a[k + j] / 2^(bits·j)) * f32(word & mask << bits·j)

Zero points are taken off the sums: sum(a · (b - zero)) = sum(a · b) - zero · sum(a).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import lcm

from webrt import dims
from webrt.dims import Dim, symbol
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
    f32,
    i32,
    select,
    substitute,
)
from webrt.kernel.problem import Contract
from webrt.lower.common import Quad, wide
from webrt.lower.cpu.common import four_of, keep_inside, refuse_f16, vectorise
from webrt.lower.cpu.contract import Lowering
from webrt.lower.cpu.tile import add_product, zero
from webrt.lower.scope import Scope
from webrt.schedule.cpu.contract import CpuContractSchedule, reads_plainly
from webrt.schedule.cpu.narrow import FEW, STEP, Narrow, matrix, shape


def lower(
    problem: Contract, schedule: CpuContractSchedule, found: Narrow, name: str
) -> loop.Kernel:
    """The kernel of `problem`, whose weights lie in panels as `schedule` says."""
    refuse_f16(problem, name)
    make = Integers if found.integer else Floats
    return make(problem, schedule, found).kernel(name)


class _Narrow(Lowering):
    """What both kinds of sums share: rows are packed, panels are read word by word."""

    def __init__(self, problem: Contract, schedule: CpuContractSchedule, found: Narrow) -> None:
        super().__init__(problem, schedule)
        assert isinstance(problem.k, int)
        self.weights = found
        self.pack_a, self.pack_b, self.padded = True, self.unpacks, True
        unit = STEP if found.integer else lcm(found.step, schedule.unroll)
        most = -(-problem.k // unit) * unit
        self.depth = min(max(self.depth // unit, 1) * unit, most)
        self.blocked = problem.k > self.depth or not found.integer
        self.totals = ""
        """Sums of a's rows, for zero points: one a row, or one for each of its blocks of k."""

    @property
    def unpacks(self) -> bool:
        """Whether some number of rows has panels unpacked to scratch."""
        return False

    @property
    def blocks(self) -> int:
        """Sums of a's that a row has."""
        return 1 if self.weights.integer else -(-self.depth // self.weights.step)

    def products(self, scope: Scope, k0: Dim, k1: Dim) -> None:
        self.in_registers(scope, k0, k1)

    def in_registers(self, scope: Scope, k0: Dim, k1: Dim) -> None:
        """Every tile of the unit, for one block of k."""
        if self.weights.zero is not None:
            self.totals = self.array("totals", self.row_block * self.blocks)
        self.fill_a(scope, k0, k1)
        self.pack_rows(scope, k0, k1)
        self.narrow_panels(scope, k0, k1)

    def pack_rows(self, scope: Scope, k0: Dim, k1: Dim) -> None:
        """Bring what `fill_a` has gathered to the form that tiles read, in place."""
        m, count = self.m, k1 - k0
        with scope.loop("row", 0, m.first + m.count - m.base, extent=self.row_block) as (body, row):
            at = body.symbol("row_at", row * self.depth)
            if dims.modulo(count, STEP) != 0:
                rounded = dims.ceil_div(count, STEP) * STEP
                with body.loop("pad", count, rounded) as (inner, one):
                    inner.store(self.tile_a, at + one, zero(self.acc, 1))
            self.pack_row(body, row, at, k0, dims.ceil_div(count, STEP))

    def pack_row(self, scope: Scope, row: Dim, at: Dim, k0: Dim, steps: Dim) -> None:
        raise NotImplementedError

    def narrow_panels(self, scope: Scope, k0: Dim, k1: Dim) -> None:
        """Every panel of columns, and in it every tile of rows."""
        n, m, width = self.n, self.m, self.columns
        many, rows, words = shape(self.problem, self.weights, width)
        with scope.loop("panel", 0, dims.ceil_div(n.tiled, width)) as (body, j):
            panel = body.symbol("panel", n.number * (self.column_block // width) + j)
            first = (matrix(self.problem, self.weights) * many + panel) * rows
            at = body.symbol("b_at", (first + dims.floor_div(k0, self.weights.fields)) * words)
            for tile, begin, end in m.parts():
                with body.loop("slot", begin, end, tile) as (inner, slot):
                    start = inner.symbol("m_at", m.start(slot, tile))
                    self.tile_of(inner, start, tile, panel, at, slot, j * width, k0, k1)
            if m.tiled != m.count:
                with body.loop("slot", m.tiled, m.count) as (inner, slot):
                    start = inner.symbol("m_at", m.first + slot)
                    self.tile_of(inner, start, 1, panel, at, slot, j * width, k0, k1)

    def tile_of(
        self, scope: Scope, start: Dim, rows: int, panel: Dim, at: Dim, slot: Dim, column: Dim,
        k0: Dim, k1: Dim,
    ) -> None:  # fmt: skip
        """The sums of a tile of rows from `start` on, of the panel whose words begin at `at`."""
        first = scope.symbol("a_at", (start - self.m.base) * self.depth)
        sums = scope.symbol("sums_at", slot * self.column_block + column)
        places = [
            sums + (i * self.column_block + v)
            for i in range(rows)
            for v in range(0, self.columns, 4)
        ]
        self.tile_sums(scope, rows, first, places, (start, panel, at), k0, k1)

    def tile_sums(
        self, scope: Scope, rows: int, first: Dim, places: list[Dim],
        where: tuple[Dim, Dim, Dim], k0: Dim, k1: Dim,
    ) -> None:  # fmt: skip
        raise NotImplementedError

    def splat(self, body: Scope, place: Dim) -> Ref:
        """Four copies of an element of the packed rows."""
        return body.name("a", Call("splat", (Load(self.tile_a, place, self.acc),), self.acc, 4))

    def parameter(self, scope: Scope, expr: Expr, columns: Quad | None, k: Dim) -> Expr:
        """A zero point or a scale at `columns`, or at the symbol `n`."""
        value = substitute(expr, {"k": k})
        if columns is not None:
            value = wide(vectorise(value, "n", columns, self.space(scope)))
        return keep_inside(value, self.problem.operands, self.space(scope), True)


class Integers(_Narrow):
    """i16 · i16 -> i32, exact: two products and their sum are one instruction."""

    def pack_row(self, scope: Scope, row: Dim, at: Dim, k0: Dim, steps: Dim) -> None:
        with_total = self.weights.zero is not None
        if with_total:
            total = scope.var("total", zero(self.acc))
        with scope.loop("eight", 0, steps * (STEP // 8)) as (body, j):
            low, high = (
                body.let("low", Load(self.tile_a, at + j * 8 + c, self.acc, 4)) for c in (0, 4)
            )
            body.store(self.tile_a, at + j * 4, Call("pairs", (low, high), self.acc, 4))
            if with_total:
                body.assign(total, call("add", total, call("add", low, high)))
        if with_total:
            value = call("sum4", total)
            if k0 != 0:
                before = Load(self.totals, row, self.acc)
                first = call("eq", as_index(k0), i32(0))
                value = call("add", value, select(first, i32(0), before))
            scope.store(self.totals, row, value)

    def tile_sums(
        self, scope: Scope, rows: int, first: Dim, places: list[Dim],
        where: tuple[Dim, Dim, Dim], k0: Dim, k1: Dim,
    ) -> None:  # fmt: skip
        words, quads = self.columns // 2, self.columns // 4
        at, memory = where[2], self.weights.load.memory
        widen = "widen_s" if self.weights.signed else "widen_u"
        start = [Load(self.sums, p, self.acc, 4) for p in places] if self.blocked else None
        sums = [scope.var("sum", zero(self.acc) if start is None else start[i])
                for i in range(len(places))]  # fmt: skip

        def add(body: Scope, pair: Dim) -> None:
            columns = []
            for v in range(quads):
                load = Load(memory, at + pair * words + 2 * v, self.acc, 4)
                columns.append(body.name("b", Call(widen, (load,), self.acc, 4)))
            for i in range(rows):
                a = self.splat(body, first + i * self.depth + pair)
                for v, b in enumerate(columns):
                    add_product(body, sums[i * quads + v], a, b, "dot2")

        pairs = dims.ceil_div(k1 - k0, 2)
        for step, begin, end in _unrolled(pairs, self.schedule.unroll):
            with scope.loop("k", begin, end, step) as (body, k):
                for ahead in range(step):
                    add(body, k + ahead)
        for place, register in zip(places, sums, strict=True):
            scope.statements.append(loop.Store(self.sums, place, register))

    def total(self, scope: Scope, columns: tuple[Dim, ...], place: Dim) -> Expr:
        acc = super().total(scope, columns, place)
        if self.weights.zero is None:
            return acc
        quad = None if len(columns) == 1 else four_of(columns)
        expr = self.weights.zero
        if quad is None:
            expr = substitute(expr, {"n": columns[0]})
        point = self.parameter(scope, expr, quad, 0)
        row = Load(self.totals, symbol("m") - self.m.base, self.acc)
        return scope.let("acc", call("sub", acc, call("mul", point, row)))


class Floats(_Narrow):
    """f32, of fields that are widened in registers for each tile of rows, or once for all of them.

    Which of both depends on how many rows there are, in the middle of a run if need be.
    """

    @property
    def unpacks(self) -> bool:
        m = self.problem.m
        return self.schedule.pack_b and not (isinstance(m, int) and m < FEW)

    def products(self, scope: Scope, k0: Dim, k1: Dim) -> None:
        m = self.problem.m
        if not self.unpacks:
            self.in_registers(scope, k0, k1)
            return
        if isinstance(m, int):
            self.unpacked(scope, k0, k1)
            return
        few = call("lt", as_index(m), i32(FEW))
        with scope.when(few) as block:
            self.in_registers(block, k0, k1)
        with scope.when(call("not", few)) as block:
            self.unpacked(block, k0, k1)

    def unpacked(self, scope: Scope, k0: Dim, k1: Dim) -> None:
        """Every tile of the unit, of panels that were unpacked to scratch."""
        self.pack_a = not reads_plainly(self.problem.a, "k")
        super(_Narrow, self).products(scope, k0, k1)
        self.pack_a = True

    def fill_b(self, scope: Scope, start: Dim, k0: Dim, k1: Dim) -> None:
        """Unpack one panel: [k - k0][column], without its zero point, scaled where blocks are."""
        found, width = self.weights, self.columns
        fields, step = found.fields, found.step
        many, rows, _ = shape(self.problem, found, width)
        panel = matrix(self.problem, found) * many + dims.floor_div(start, width)
        at = scope.symbol("words_at", (panel * rows + dims.floor_div(k0, fields)) * width)
        words, per = dims.ceil_div(k1 - k0, fields), step // fields
        blocks = dims.ceil_div(words, per)
        with scope.loop("block", 0, blocks, extent=self.blocks) as (outer, block):
            first = k0 + block * step
            end = block * per + per
            if dims.modulo(words, per) != 0:
                end = outer.symbol("end", dims.dim_min(end, words))
            for v in range(0, width, 4):
                point = self.at_block(outer, found.zero, start + v, first)
                scale = self.at_block(outer, found.scale, start + v, first) if found.block else None
                with outer.loop("word", block * per, end, extent=rows) as (body, j):
                    load = Load(found.load.memory, at + j * width + v, DType.I32, 4)
                    word = body.name("word", load)
                    for place in range(fields):
                        value = _whole_field(word, place, found.bits)
                        value = value if point is None else call("sub", value, point)
                        value = value if scale is None else call("mul", value, scale)
                        body.store(self.tile_b, (j * fields + place) * width + v, value)

    def pack_row(self, scope: Scope, row: Dim, at: Dim, k0: Dim, steps: Dim) -> None:
        step, zeroed = self.weights.step, self.weights.zero is not None
        blocks = dims.ceil_div(steps * STEP, step)
        with scope.loop("block", 0, blocks, extent=self.blocks) as (outer, block):
            if zeroed:
                total = outer.var("total", zero(self.acc))
            begin, per = block * (step // STEP), step // STEP
            end = begin + per
            if dims.modulo(steps, per) != 0:
                end = dims.dim_min(end, steps)
            with outer.loop("four", begin, end, extent=self.depth // STEP) as (body, j):
                for c in range(0, STEP, 4):
                    place = at + j * STEP + c
                    value = body.let("value", Load(self.tile_a, place, self.acc, 4))
                    if zeroed:
                        body.assign(total, call("add", total, value))
                    factors = call("vec4", *(self.factor(c + lane) for lane in range(4)))
                    body.store(self.tile_a, place, call("mul", value, factors))
            if zeroed:
                outer.store(self.totals, row * self.blocks + block, call("sum4", total))

    def factor(self, k: int) -> Const:
        """What a's element at k is multiplied by: its field is masked, or shifted if it is last."""
        place = k % self.weights.fields
        last = place == self.weights.fields - 1
        return f32(1.0 if last else 0.5 ** (self.weights.bits * place))

    def tile_sums(
        self, scope: Scope, rows: int, first: Dim, places: list[Dim],
        where: tuple[Dim, Dim, Dim], k0: Dim, k1: Dim,
    ) -> None:  # fmt: skip
        start, panel, at = where
        fields, step = self.weights.fields, self.weights.step
        quads, per = self.columns // 4, step // fields
        words = dims.ceil_div(k1 - k0, fields)
        many = dims.ceil_div(words, per)
        with scope.loop("block", 0, many, extent=self.blocks) as (outer, block):
            parts = 2 if len(places) < 8 else 1
            sums = [outer.var("sum", zero(self.acc)) for _ in range(len(places) * parts)]
            begin = block * per
            end = begin + per
            if dims.modulo(words, per) != 0:
                end = outer.symbol("end", dims.dim_min(end, words))
            with outer.loop("k", begin, end) as (body, k):
                self.add_words(body, sums, [first + i * self.depth for i in range(rows)], at, k)
            for one, other in zip(sums, sums[len(places) :], strict=False):
                outer.assign(one, call("add", one, other))
            for v in range(quads):
                n = panel * self.columns + 4 * v
                points = self.at_block(outer, self.weights.zero, n, k0 + block * step)
                factors = None
                if self.weights.block:
                    factors = self.at_block(outer, self.weights.scale, n, k0 + block * step)
                for i in range(rows):
                    value: Expr = sums[i * quads + v]
                    if points is not None:
                        own = (start - self.m.base + i) * self.blocks + block
                        row = Load(self.totals, own, self.acc)
                        value = call("sub", value, call("mul", points, row))
                    if factors is not None:
                        value = call("mul", value, factors)
                    place = places[i * quads + v]
                    before = Load(self.sums, place, self.acc, 4)
                    outer.store(self.sums, place, call("add", before, value))

    def at_block(self, scope: Scope, expr: Expr | None, n: Dim, k: Dim) -> Expr | None:
        if expr is None:
            return None
        value = self.parameter(scope, expr, (n, n + 1, n + 2, n + 3), k)
        return value if isinstance(value, Const) else scope.let("parameter", value)

    def add_words(self, body: Scope, sums: list[Ref], first: list[Dim], at: Dim, k: Dim) -> None:
        """Add the products of one word of each column."""
        fields, bits, quads = self.weights.fields, self.weights.bits, self.columns // 4
        memory = self.weights.load.memory
        words = [
            body.name("word", Load(memory, at + k * self.columns + 4 * v, DType.I32, 4))
            for v in range(quads)
        ]
        half = len(first) * quads
        for place in range(fields):
            part = place * half % len(sums)
            columns = [body.name("b", _field(w, place, bits)) for w in words]
            for i, row in enumerate(first):
                a = self.splat(body, row + k * fields + place)
                for v, b in enumerate(columns):
                    add_product(body, sums[part + i * quads + v], a, b)

    def total(self, scope: Scope, columns: tuple[Dim, ...], place: Dim) -> Expr:
        acc = super().total(scope, columns, place)
        scale = self.weights.scale
        if scale is None or self.weights.block:
            return acc
        quad = None if len(columns) == 1 else four_of(columns)
        if quad is None:
            scale = substitute(scale, {"n": columns[0]})
        return scope.let("acc", call("mul", acc, self.parameter(scope, scale, quad, 0)))


def _field(word: Expr, place: int, bits: int) -> Expr:
    """The field as f32, times 2^(bits·place) where it isn't the last."""
    if (place + 1) * bits == 32:
        high = Call("bits_u32", (word,), DType.U32, 4)
        shifted = Call("shift_right", (high, Const(32 - bits, DType.U32)), DType.U32, 4)
        value: Expr = Call("bits_i32", (shifted,), DType.I32, 4)
    else:
        mask = i32(((1 << bits) - 1) << place * bits)
        value = Call("bit_and", (word, mask), DType.I32, 4)
    return cast(value, DType.F32)


def _whole_field(word: Expr, place: int, bits: int) -> Expr:
    """The field as f32."""
    high = Call("bits_u32", (word,), DType.U32, 4)
    if place:
        high = Call("shift_right", (high, Const(bits * place, DType.U32)), DType.U32, 4)
    value = Call("bits_i32", (high,), DType.I32, 4)
    if (place + 1) * bits != 32:
        value = Call("bit_and", (value, i32((1 << bits) - 1)), DType.I32, 4)
    return cast(value, DType.F32)


def _unrolled(count: Dim, unroll: int) -> Iterator[tuple[int, Dim, Dim]]:
    """(step, start, stop) of the loop that is unrolled, and of the one over what it leaves."""
    whole = count if dims.modulo(count, unroll) == 0 else dims.floor_div(count, unroll) * unroll
    if whole != 0:
        yield unroll, 0, whole
    if whole != count:
        yield 1, whole, count
