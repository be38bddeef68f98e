"""Lowers a Map for CPUs: loops over the rows of a unit, fours of a row, and what is left of it."""

from __future__ import annotations

from webrt import dims
from webrt.dims import Dim
from webrt.kernel import loop
from webrt.kernel.axes import collapse_map
from webrt.kernel.expr import Expr, substitute
from webrt.kernel.expr import simplify as simplify_expr
from webrt.kernel.problem import Map
from webrt.lower.common import lane, quad, wide
from webrt.lower.cpu.common import Inside, hoist, kernel, refuse_f16, root_scope, vectorise
from webrt.lower.cpu.nest import Step, cut, steps, walk_unit
from webrt.lower.scope import Scope
from webrt.schedule.cpu.map import CpuMapSchedule


def lower(problem: Map, schedule: CpuMapSchedule, name: str) -> loop.Kernel:
    """The kernel of `problem` under `schedule`; raises CompileError for f16."""
    refuse_f16(problem, name)
    merged = collapse_map(problem)
    axes: tuple[Dim, ...] = merged.axes or (1,)
    units = cut(axes, schedule.elements, step=4 * schedule.unroll)
    scope = root_scope(problem)
    inside = Inside(merged)
    last = f"i{len(axes) - 1}"
    with walk_unit(scope, units) as (row, places, own):
        outer = {f"i{j}": place for j, place in enumerate(places)}
        exprs = [substitute(o.expr, outer) for o in merged.outputs]
        exprs = hoist(row, exprs, {last}, inside)
        offsets = [dims.substitute(o.offset, outer) for o in merged.outputs]
        for step in steps(row, own, axes[-1], schedule.unroll, schedule.width):
            _store(step, len(merged.operands), last, exprs, offsets, inside)
    return kernel(name, problem, units.units, scope)


def _store(
    step: Step, first: int, last: str, exprs: list[Expr], offsets: list[Dim], inside: Inside
) -> None:
    """Compute and store every output, the first one being binding `first`, at one step."""
    scope = step.scope
    places = [step.at + c for c in range(step.count)]
    values: list[Expr] = []
    if not places:
        values = [simplify_expr(substitute(e, {last: step.at}), scope.extents) for e in exprs]
    for place in places:
        values += [vectorise(e, last, quad(place), scope.extents) for e in exprs]
    values = scope.share_all([inside.keep(v, scope.extents) for v in values])
    if not places:
        for j, (offset, value) in enumerate(zip(offsets, values, strict=True)):
            at = dims.simplify(dims.substitute(offset, {last: step.at}), scope.extents)
            scope.store(first + j, at, value)
    for c, place in enumerate(places):
        for j, offset in enumerate(offsets):
            value = values[c * len(offsets) + j]
            store_four(scope, first + j, offset, last, place, value)


def store_four(scope: Scope, memory: int, offset: Dim, name: str, place: Dim, value: Expr) -> None:
    """Store a value of four lanes for index `name` from 4·place on."""
    at = [dims.simplify(dims.substitute(offset, {name: one}), scope.extents) for one in quad(place)]
    if all(o == at[0] + j for j, o in enumerate(at)):
        scope.store(memory, at[0], wide(value))
        return
    for j, one in enumerate(at):
        scope.store(memory, one, lane(value, j))
