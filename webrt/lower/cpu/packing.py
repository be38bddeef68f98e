"""Gathers the operands of a Contract on a CPU in scratch: rows of a, and panels of columns of b."""

from __future__ import annotations

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel.axes import last_digit, stride
from webrt.kernel.expr import (
    Call,
    Const,
    Expr,
    Load,
    Ref,
    as_index,
    call,
    cast,
    free_symbols,
    loads,
    simplify,
    substitute,
    walk,
)
from webrt.kernel.problem import Contract
from webrt.lower.common import quad, wide
from webrt.lower.cpu.axis import Axis
from webrt.lower.cpu.common import Inside, hoist, keep_inside, vectorise
from webrt.lower.cpu.guards import unclamped
from webrt.lower.cpu.lines import LINE, Line, find_line
from webrt.lower.scope import Scope

_FOUR = "four"
_FEW = 4
"""Channels of a tap that are packed without a loop: an image's."""


def _cases(tap: Expr) -> list[tuple[Expr | None, Expr]]:
    """What a tap is, and where (None: everywhere): a named guard is asked once a tap."""
    match tap:
        case Call("select", (Ref() as inside, if_true, Const() as if_false)):
            return [(inside, if_true), (call("not", inside), if_false)]
    return [(None, tap)]


class Packing:
    """What fills a unit's packed operands; a kernel under construction tells the rest."""

    problem: Contract
    acc: DType
    extents: dict[str, Dim]
    m: Axis
    row_block: int
    columns: int
    depth: int
    blocked: bool
    tile_a: str
    tile_b: str

    def space(self, scope: Scope) -> dict[str, Dim]:
        """The extents of all that may stand in an expression here."""
        return self.extents | scope.extents

    def inside(self, scope: Scope, expr: Expr) -> Expr:
        return keep_inside(expr, self.problem.operands, self.space(scope))

    def fill_a(self, scope: Scope, k0: Dim, k1: Dim) -> None:
        """Pack the rows that the unit's tiles read: [row][k - k0]."""
        m, k = self.m, self.problem.k
        a = unclamped(self.problem.a)
        with scope.loop("row", 0, m.first + m.count - m.base, extent=self.row_block) as (body, row):
            at = body.symbol("m_at", m.base + row, self.problem.m)
            a = substitute(a, {"m": at})
            place = row * self.depth - k0
            digit = last_digit(a, "k", k)
            if digit is None:
                self.fill_row(body, a, k, place, k0, k1)
                return
            line = find_line(a, k, digit, self.space(body))
            if line is not None:
                self.fill_lines(body, line, place, k0, k1)
                return
            # A convolution's taps: what depends on them alone is computed once a tap.
            many = dims.floor_div(k, digit)
            with body.loop("tap", k0 // digit, dims.ceil_div(k1, digit), extent=many) as (inner, t):
                first = t * digit
                space = self.space(inner) | {"k": digit}
                here = simplify(substitute(a, {"k": first + symbol("k")}), space)
                own = hoist(inner, [here], {"k"}, Inside(self.problem))[0]
                start: Dim = 0
                stop: Dim = digit
                if self.blocked:  # k0 and k1 are multiples of 4
                    start = inner.symbol("start", dims.dim_max(k0 - first, 0))
                    stop = inner.symbol("stop", dims.dim_min(k1 - first, digit))
                fours = digit % 4 == 0 or (digit > 4 and not self.blocked)
                for condition, value in _cases(own):
                    with inner.when(condition) as block:
                        self.fill_row(block, value, digit, place + first, start, stop, fours)

    def fill_lines(self, scope: Scope, line: Line, place: Dim, k0: Dim, k1: Dim) -> None:
        """Pack a row of a, a line of taps at a time: what is inside is copied, the rest cleared."""
        run, count = line.run, line.count
        with scope.loop("line", k0 // run, dims.ceil_div(k1, run), extent=count) as (body, at):
            begin: Dim = 0
            end: Dim = run
            if self.blocked:
                begin = body.symbol("begin", dims.dim_max(k0 - at * run, 0))
                end = body.symbol("end", dims.dim_min(k1 - at * run, run))
            start = place + at * run
            named: dict[str, Dim] = {LINE: at}
            inside = None if line.inside is None else substitute(line.inside, named)
            load = Load(line.load.memory, dims.substitute(line.load.offset, named), line.load.dtype)
            with body.when(inside) as block:
                first = dims.dim_min(dims.dim_max(dims.substitute(line.first, named), begin), end)
                last = dims.dim_min(dims.dim_max(dims.substitute(line.last, named), first), end)
                first, last = block.symbol("first", first), block.symbol("last", last)
                self.copy(block, line.beside, start, begin, first)
                self.copy(block, load, start, first, last)
                self.copy(block, line.beside, start, last, end)
            if inside is not None:
                with body.when(call("not", inside)) as block:
                    self.copy(block, line.beside, start, begin, end)

    def copy(self, scope: Scope, value: Expr, place: Dim, first: Dim, last: Dim) -> None:
        """Elements first … last - 1 of the run at `place`: a value, or what a load begins."""
        if first == last:
            return

        def at(element: Dim, lanes: int) -> Expr:
            if isinstance(value, Load):
                return Load(value.memory, value.offset + element, value.dtype, lanes)
            return wide(value) if lanes == 4 else value

        fours = dims.floor_div(last - first, 4)
        with scope.loop("four", 0, fours) as (body, j):
            element = first + j * 4
            body.store(self.tile_a, place + element, cast(at(element, 4), self.acc))
        if dims.modulo(last - first, 4) != 0:
            with scope.loop("one", first + fours * 4, last) as (body, one):
                body.store(self.tile_a, place + one, cast(at(one, 1), self.acc))

    def fill_row(
        self, scope: Scope, a: Expr, extent: Dim, place: Dim, first: Dim, last: Dim,
        in_fours: bool = True,
    ) -> None:  # fmt: skip
        """Pack `a` at k = first … last - 1 of `extent`, from `place` on.

        `in_fours` tells that `first` is a multiple of 4.
        """
        fours = self.in_fours(a, "k", extent) if in_fours else None
        if fours is not None:
            many = dims.floor_div(extent, 4)
            start, stop = dims.floor_div(first, 4), dims.floor_div(last, 4)
            with scope.loop("four", start, stop, extent=many) as (inner, j):
                value = substitute(fours, {_FOUR: j})
                self.fill(inner, self.tile_a, place + j * 4, wide(value))
            if dims.modulo(extent, 4) == 0:
                return
            first = dims.dim_max(stop * 4, first)
        if first == 0 and isinstance(last, int) and last <= _FEW:
            for c in range(last):
                self.fill(scope, self.tile_a, place + c, substitute(a, {"k": c}))
            return
        with scope.loop("one", first, last, extent=extent) as (inner, one):
            self.fill(inner, self.tile_a, place + one, substitute(a, {"k": one}))

    def fill_b(self, scope: Scope, start: Dim, k0: Dim, k1: Dim) -> None:
        """Pack one panel of b: [k - k0][column]; behind the last column it repeats that one."""
        width, n = self.columns, self.problem.n
        b = unclamped(self.problem.b)
        fours = self.in_fours(b, "n", n)
        if fours is None:
            self.fill_ones(scope, b, start, k0, k1)
            return
        whole = dims.modulo(n, width) == 0
        inside = None if whole else call("le", as_index(start + width), as_index(n))
        many, step = dims.floor_div(n, 4), width // 4
        with (
            scope.when(inside) as block,
            block.loop("k", k0, k1, extent=self.problem.k) as (body, k),
            body.loop("four", 0, step, extent=step) as (inner, q),
        ):
            j = inner.symbol("column", dims.floor_div(start, 4) + q, many)
            value = substitute(fours, {"k": k, _FOUR: j})
            self.fill(inner, self.tile_b, (k - k0) * width + q * 4, wide(value))
        if inside is not None:
            with scope.when(call("not", inside)) as block:
                self.fill_ones(block, b, start, k0, k1)

    def in_fours(self, expr: Expr, name: str, extent: Dim) -> Expr | None:
        """`expr` at four values of index `name` below `extent`, the symbol `_FOUR` times 4 and on.

        None where that takes loads of one element for each, so that it doesn't pay; one for all
        four is a word of packed weights.
        """
        steps = [stride(e.offset, name) for e in loads(expr)]
        if any(step not in (0, 1, None) for step in steps):
            return None
        extents = self.extents | {name: extent, _FOUR: dims.floor_div(extent, 4)}
        result = vectorise(expr, name, quad(symbol(_FOUR)), extents)
        gathers = [e for e in walk(result) if isinstance(e, Call) and e.op == "vec4"]
        single = any(_FOUR in free_symbols(load) for e in gathers for load in loads(e))
        return None if single else result

    def fill_ones(self, scope: Scope, b: Expr, start: Dim, k0: Dim, k1: Dim) -> None:
        """Pack a panel one element at a time; what is computed of a column is computed once."""
        width, n = self.columns, self.problem.n
        with scope.loop("one", 0, width, extent=width) as (body, c):
            at = start + c if dims.modulo(n, width) == 0 else dims.dim_min(start + c, n - 1)
            b = substitute(b, {"n": body.symbol("column", at, n)})
            with body.loop("k", k0, k1, extent=self.problem.k) as (inner, k):
                place = (k - k0) * width + c
                self.fill(inner, self.tile_b, place, substitute(b, {"k": k}))

    def fill(self, scope: Scope, tile: str, place: Dim, value: Expr) -> None:
        value = cast(self.inside(scope, value), self.acc)
        scope.store(tile, place, scope.share(value))
