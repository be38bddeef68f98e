"""Lowers a Reduce: passes over a row, one after another, by one lane or by several that meet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.axes import collapse_reduce
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
    lanes_of,
    rewrite,
    substitute,
    walk,
)
from webrt.kernel.expr import simplify as simplify_expr
from webrt.kernel.problem import Output, Pass, Reduce
from webrt.lower.common import (
    Quad,
    fold_grid,
    is_aligned,
    kernel,
    quad,
    root_scope,
    vectorise,
    wide,
)
from webrt.lower.map import decode_named, store_quad
from webrt.lower.scope import Scope
from webrt.schedule.reduce import ReduceSchedule, reads_neighbours

COMBINE = {"sum": "add", "prod": "mul", "max": "max", "min": "min"}


def lower(problem: Reduce, schedule: ReduceSchedule, name: str = "main") -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    merged = collapse_reduce(problem)
    if schedule.width == 4 and not (merged.reduced and is_aligned(merged.reduced[-1])):
        raise ValueError(f"the rows of {merged.reduced} are no multiple of 4")
    if schedule.across and not (merged.axes and is_aligned(merged.axes[-1])):
        raise ValueError(f"rows over {merged.axes} don't go in fours")
    return _Lowering(merged, schedule).kernel(problem, name)


@dataclass(frozen=True, slots=True)
class Group:
    """Passes that need no result of each other: one loop over the row computes all of them."""

    passes: tuple[tuple[int, Pass], ...]


def groups(passes: tuple[Pass, ...]) -> list[Group]:
    """The passes in loops, one after another."""
    found: list[list[tuple[int, Pass]]] = []
    for j, one in enumerate(passes):
        used = {e.name for e in walk(one.expr) if isinstance(e, Ref)}
        if found and not used & {f"p{k}" for k, _ in found[-1]}:
            found[-1].append((j, one))
        else:
            found.append([(j, one)])
    return [Group(tuple(g)) for g in found]


class _Lowering:
    """One kernel under construction; `results` maps pass names to their registers.

    With a schedule that goes `across`, the index `last` of the rows stays in expressions until they
    are computed at its four values `four`.
    """

    def __init__(self, problem: Reduce, schedule: ReduceSchedule) -> None:
        self.problem = problem
        self.schedule = schedule
        self.scope = root_scope(problem)
        self.shared: list[loop.Shared] = []
        self.results: dict[str, Expr] = {}
        self.outer: dict[str, Dim] = {}
        self.last = f"i{len(problem.axes) - 1}" if schedule.across else ""
        self.four: Quad = (0, 0, 0, 0)
        self.lanes = 4 if schedule.across or schedule.width == 4 else 1
        # Neighbouring lanes read neighbours: in a row where its elements are, else across rows.
        along = schedule.lanes > 1 and reads_neighbours(problem)
        self.lane, self.own = map(dims.symbol, ("lane0", "lane1") if along else ("lane1", "lane0"))
        size = (schedule.lanes, schedule.rows)
        self.workgroup = (*(size if along else size[::-1]), 1)

    def kernel(self, problem: Reduce, name: str) -> loop.Kernel:
        schedule, scope = self.schedule, self.scope
        axes = self.problem.axes or (1,)
        if schedule.across:
            axes = (*axes[:-1], dims.floor_div(axes[-1], 4))
        rows = dims.product(axes)
        grid = fold_grid([dims.ceil_div(rows, schedule.rows)])
        row = scope.symbol("row", grid.index[0] * schedule.rows + self.own, rows)
        exact = grid.guard is None and rows % schedule.rows == 0
        inside = None if exact else call("lt", as_index(row), as_index(rows))
        if schedule.lanes == 1:
            with scope.when(inside) as body:
                self._row(body, row, axes, None)
        else:  # every lane meets the barriers: a surplus row repeats the last one, storing nothing
            if inside is not None:
                row = scope.symbol("safe", dims.dim_min(row, rows - 1), rows)
            self._row(scope, row, axes, inside)
        return kernel(name, problem, self.workgroup, grid.size, scope, tuple(self.shared))

    def _row(self, scope: Scope, row: Dim, axes: tuple[Dim, ...], inside: Expr | None) -> None:
        """All passes over one row, and its outputs; stores happen where `inside` holds."""
        self.outer = {f"i{j}": place for j, place in enumerate(decode_named(scope, row, axes))}
        if self.schedule.across:
            self.four = quad(self.outer.pop(self.last))
        for group in groups(self.problem.passes):
            self._reduce(scope, group)
        first = len(self.problem.operands)
        outputs = [(first + j, o) for j, o in enumerate(self.problem.outputs)]
        each = [(j, o) for j, o in outputs if o.each]
        once = [(j, o) for j, o in outputs if not o.each]
        with scope.when(inside) as stores:
            if each:
                exprs = self._hoist(stores, [o.expr for _, o in each])
                with self._elements(stores) as (inner, places):
                    self._store_each(inner, places, each, exprs)
        if once:
            only = None
            if self.schedule.lanes > 1:
                only = call("eq", as_index(self.lane), as_index(0))
            with scope.when(inside, only) as stores:
                values = [self._simple(self._bound(o.expr), stores) for _, o in once]
                for (j, output), value in zip(once, stores.share_all(values), strict=True):
                    self._store(stores, j, dims.substitute(output.offset, self.outer), value)

    def _bound(self, expr: Expr) -> Expr:
        """`expr` at this row, with the results of earlier passes."""
        expr = substitute(expr, self.outer)
        return rewrite(expr, lambda e: self.results.get(e.name) if isinstance(e, Ref) else None)

    def _simple(self, expr: Expr, scope: Scope) -> Expr:
        """`expr` of this row simplified, or at four rows."""
        if self.schedule.across:
            return vectorise(expr, self.last, self.four, scope.extents)
        return simplify_expr(expr, scope.extents)

    def _store(self, scope: Scope, memory: int, offset: Dim, value: Expr) -> None:
        if self.schedule.across:
            store_quad(scope, memory, offset, self.last, self.four, value)
        else:
            scope.store(memory, dims.simplify(offset, scope.extents), value)

    def _hoist(self, scope: Scope, exprs: list[Expr]) -> list[Expr]:
        """`exprs` at this row, with what is the same for all of its elements named in `scope`."""
        known: dict[Expr, Expr] = {}
        inner = {f"r{j}" for j in range(len(self.problem.reduced))}

        def visit(e: Expr) -> Expr:
            if e in known or not isinstance(e, Call):
                return known.get(e, e)
            if not inner & free_symbols(e) and any(
                isinstance(part, Ref | Load) for part in walk(e)
            ):
                known[e] = scope.let("fixed", self._simple(e, scope))
                return known[e]
            return Call(e.op, tuple(visit(a) for a in e.args), e.dtype, e.lanes)

        return [visit(self._bound(e)) for e in exprs]

    # Loops over the row

    @contextmanager
    def _elements(self, scope: Scope) -> Iterator[tuple[Scope, dict[str, Dim]]]:
        """The loop over this lane's elements of the row: gives its body and the reduced indices.

        With width 4 the last index counts groups of four.
        """
        schedule = self.schedule
        reduced = self.problem.reduced or (1,)
        units = (*reduced[:-1], dims.floor_div(reduced[-1], schedule.width))
        if schedule.lanes == 1:
            with self._nest(scope, units, ()) as result:
                yield result
            return
        count = dims.product(units)
        with scope.loop("e", self.lane, count, schedule.lanes, count) as (inner, number):
            places = decode_named(inner, number, units)
            yield inner, {f"r{j}": place for j, place in enumerate(places)}

    @contextmanager
    def _nest(
        self, scope: Scope, units: tuple[Dim, ...], done: tuple[Dim, ...]
    ) -> Iterator[tuple[Scope, dict[str, Dim]]]:
        if len(done) == len(units):
            yield scope, {f"r{j}": place for j, place in enumerate(done)}
            return
        with (
            scope.loop("e", 0, units[len(done)]) as (inner, place),
            self._nest(inner, units, (*done, place)) as result,
        ):
            yield result

    def _values(self, scope: Scope, places: dict[str, Dim], exprs: list[Expr]) -> list[Expr]:
        """`exprs` of this row at the reduced indices `places`, of four lanes with width 4."""
        last = f"r{len(places) - 1}"
        if self.schedule.width == 1:
            bound = [substitute(e, places) for e in exprs]
            return scope.share_all([self._simple(e, scope) for e in bound])
        rest = {name: place for name, place in places.items() if name != last}
        lanes = quad(places[last])
        bound = [substitute(e, rest) for e in exprs]
        return scope.share_all([vectorise(e, last, lanes, scope.extents) for e in bound])

    def _store_each(
        self,
        scope: Scope,
        places: dict[str, Dim],
        outputs: list[tuple[int, Output]],
        exprs: list[Expr],
    ) -> None:
        values = self._values(scope, places, exprs)
        last = f"r{len(places) - 1}"
        for (j, output), value in zip(outputs, values, strict=True):
            offset = dims.substitute(output.offset, self.outer)
            if self.schedule.width == 1:
                self._store(scope, j, dims.substitute(offset, places), value)
                continue
            rest = {name: place for name, place in places.items() if name != last}
            offset = dims.substitute(offset, rest)
            store_quad(scope, j, offset, last, quad(places[last]), value)

    # Reduction

    def _reduce(self, scope: Scope, group: Group) -> None:
        """One loop over the row for all passes of the group, then their results in all lanes."""
        registers = []
        for j, one in group.passes:
            first = neutral(one.combine, _accumulated(one.expr.dtype))
            start = wide(first) if self.lanes == 4 else first
            registers.append(scope.var(f"sum{j}" if one.combine == "sum" else f"acc{j}", start))
        exprs = self._hoist(scope, [one.expr for _, one in group.passes])
        with self._elements(scope) as (inner, places):
            values = self._values(inner, places, exprs)
            for (_, one), register, value in zip(group.passes, registers, values, strict=True):
                value = cast(value, register.dtype)
                value = wide(value) if register.lanes == 4 else value
                inner.assign(register, call(COMBINE[one.combine], register, value))
        parts: list[Expr] = [
            register if self.schedule.across else across_lanes(COMBINE[one.combine], register)
            for (_, one), register in zip(group.passes, registers, strict=True)
        ]
        if self.schedule.lanes > 1:
            parts = self._meet(scope, group, parts)
        for (j, one), part in zip(group.passes, parts, strict=True):
            self.results[f"p{j}"] = scope.let(f"p{j}", cast(part, one.expr.dtype))

    def _meet(self, scope: Scope, group: Group, parts: list[Expr]) -> list[Expr]:
        """Combine the lanes' parts of a row in workgroup memory, in one or two rounds.

        A barrier costs more than a few loads of workgroup memory: up to 16 lanes, every lane adds
        all parts up; above, the first lanes combine some parts each before.
        """
        lanes = self.schedule.lanes
        base = self.own * lanes if self.schedule.rows > 1 else 0
        slots = []
        for (j, _), part in zip(group.passes, parts, strict=True):
            name = f"parts{j}"
            self.shared.append(loop.Shared(name, part.dtype, 1, lanes * self.schedule.rows))
            scope.store(name, base + self.lane, part)
            slots.append(name)
        scope.barrier()
        left = lanes
        if lanes > 16:
            left = 1 << (lanes.bit_length() - 1) // 2
            with scope.when(call("lt", as_index(self.lane), as_index(left))) as some:
                for (_, one), slot, part in zip(group.passes, slots, parts, strict=True):
                    total = self._gather(
                        some, one, slot, base + self.lane, left, lanes // left, part.dtype
                    )
                    some.store(slot, base + self.lane, total)
            scope.barrier()
        return [
            self._gather(scope, one, slot, base, 1, left, part.dtype)
            for (_, one), slot, part in zip(group.passes, slots, parts, strict=True)
        ]

    def _gather(
        self, scope: Scope, one: Pass, slot: str, base: Dim, step: int, count: int, dtype: DType
    ) -> Expr:
        """slot[base] combined with slot[base + step] … of `count` in all."""
        total: Expr = Load(slot, base, dtype)
        for position in range(1, count):
            part = Load(slot, base + position * step, dtype)
            total = call(COMBINE[one.combine], total, part)
        return total


def _accumulated(dtype: DType) -> DType:
    """f16 is summed in f32."""
    return DType.F32 if dtype is DType.F16 else dtype


def neutral(combine: str, dtype: DType) -> Const:
    """What `combine` starts from."""
    if combine in ("sum", "prod"):
        value: float = 0 if combine == "sum" else 1
    elif dtype.is_float:
        value = -math.inf if combine == "max" else math.inf
    elif dtype is DType.I32:
        value = -(1 << 31) if combine == "max" else (1 << 31) - 1
    else:
        value = 0 if combine == "max" else (1 << 32) - 1
    return Const(float(value) if dtype.is_float else int(value), dtype)


def across_lanes(op: str, register: Ref) -> Expr:
    """The four lanes of a register combined."""
    if lanes_of(register) == 1:
        return register
    if op == "add":
        return call("sum4", register)
    one, two, three, four = (call(f"lane{j}", register) for j in range(4))
    return Call(op, (call(op, one, two), call(op, three, four)), register.dtype)
