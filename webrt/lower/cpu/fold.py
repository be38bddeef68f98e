"""Lowers a Fold for CPUs: loops over the points of a unit, and one loop for fours of neighbours."""

from __future__ import annotations

from dataclasses import replace

from webrt import dims
from webrt.dims import Dim
from webrt.kernel import loop
from webrt.kernel.axes import collapse_fold
from webrt.kernel.expr import Expr, free_symbols, substitute
from webrt.kernel.expr import simplify as simplify_expr
from webrt.kernel.problem import Fold
from webrt.lower.common import quad, wide
from webrt.lower.cpu.common import Inside, kernel, refuse_f16, root_scope, vectorise
from webrt.lower.cpu.map import store_four
from webrt.lower.cpu.nest import Step, cut, steps, walk_unit
from webrt.lower.fold import bounds, with_acc
from webrt.lower.scope import Scope
from webrt.schedule.cpu.fold import CpuFoldSchedule
from webrt.schedule.fold import together


def lower(problem: Fold, schedule: CpuFoldSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`; raises CompileError for f16."""
    refuse_f16(problem, name)
    merged = collapse_fold(problem)
    merged = merged if merged.axes else replace(merged, axes=(1,))
    if schedule.width == 4 and not together(merged):
        raise ValueError(f"the points of {merged.axes} don't go round in fours")
    scope = root_scope(problem)
    units = cut(merged.axes, schedule.elements, step=4 * schedule.unroll)
    with walk_unit(scope, units) as (row, places, own):
        points = _Points(merged, places)
        points.enter(row)
        extent = merged.axes[-1]
        for step in steps(row, own, extent, schedule.unroll, schedule.width):
            points.lower(step)
    return kernel(name, problem, units.units, scope)


class _Points:
    """Points of one row; they have their bounds in common, or each its own."""

    def __init__(self, problem: Fold, places: tuple[Dim, ...]) -> None:
        self.problem = problem
        self.outer: dict[str, Dim] = {f"i{j}": place for j, place in enumerate(places)}
        self.last = f"i{len(problem.axes) - 1}"
        self.inside = Inside(problem)
        self.limits: tuple[Dim, Dim] | None = None

    def enter(self, row: Scope) -> None:
        """Name the row's bounds, where it has some."""
        if all(self.last not in free_symbols(e) for e in (self.problem.start, self.problem.stop)):
            self.limits = bounds(row, self.problem, lambda e: self._at(row, e, None))

    def lower(self, step: Step) -> None:
        """The loop of the points of one step, and what they store."""
        scope, problem = step.scope, self.problem
        places: list[Dim | None] = [step.at + c for c in range(step.count)] or [None]
        here = {} if step.count else {self.last: step.at}

        def at(inner: Scope, expr: Expr, place: Dim | None) -> Expr:
            return self._at(inner, substitute(expr, here), place)

        limits = self.limits or bounds(scope, problem, lambda e: at(scope, e, None))
        firsts = [at(scope, problem.first, place) for place in places]
        accs = [scope.var("acc", wide(e) if step.count else e) for e in firsts]
        with scope.loop("t", *limits, extent=problem.limit) as (inner, turn):
            made = [
                at(inner, substitute(with_acc(problem.step, acc), {"t": turn}), place)
                for acc, place in zip(accs, places, strict=True)
            ]
            for acc, value in zip(accs, inner.share_all(made), strict=True):
                inner.assign(acc, wide(value) if step.count else value)
        for acc, place in zip(accs, places, strict=True):
            values = [at(scope, with_acc(o.expr, acc), place) for o in problem.outputs]
            self._store(step, place, scope.share_all(values))

    def _store(self, step: Step, place: Dim | None, values: list[Expr]) -> None:
        scope, first = step.scope, len(self.problem.operands)
        for j, (output, value) in enumerate(zip(self.problem.outputs, values, strict=True)):
            offset = dims.substitute(output.offset, self.outer)
            if place is not None:
                store_four(scope, first + j, offset, self.last, quad(place), value)
            else:
                offset = dims.substitute(offset, {self.last: step.at})
                scope.store(first + j, dims.simplify(offset, scope.extents), value)

    def _at(self, scope: Scope, expr: Expr, place: Dim | None) -> Expr:
        """`expr` at this row, at the four at `place` or as it stands; its loads inside."""
        expr = substitute(expr, self.outer)
        if place is not None:
            expr = vectorise(expr, self.last, quad(place), scope.extents)
        else:
            expr = simplify_expr(expr, scope.extents)
        return self.inside.keep(expr, scope.extents)
