"""Lowers a Map: one loop nest over elements, or over groups of four of them."""

from __future__ import annotations

from collections.abc import Sequence

from webrt import dims
from webrt.dims import Dim
from webrt.kernel import loop
from webrt.kernel.axes import collapse_map
from webrt.kernel.expr import Expr, substitute
from webrt.kernel.expr import simplify as simplify_expr
from webrt.kernel.problem import Map
from webrt.lower.common import (
    below,
    fold_grid,
    is_aligned,
    kernel,
    lane,
    quad,
    root_scope,
    vectorise,
    wide,
)
from webrt.lower.scope import Scope
from webrt.schedule.map import MapSchedule


def lower(problem: Map, schedule: MapSchedule, name: str = "main") -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    merged = collapse_map(problem)
    axes: tuple[Dim, ...] = merged.axes or (1,)
    if schedule.width == 4 and not is_aligned(axes[-1]):
        raise ValueError(f"the innermost extent {axes[-1]} is no multiple of 4")
    units = (*axes[:-1], dims.floor_div(axes[-1], schedule.width))
    scope = root_scope(problem)
    lane0 = dims.symbol("lane0")
    if schedule.flat:
        blocks = dims.ceil_div(dims.product(units), schedule.lanes * schedule.items)
        grid = fold_grid([blocks])
        (block,) = grid.index
        outer: tuple[Dim, ...] = ()
        row = dims.product(units)
    else:
        row = units[-1]
        grid = fold_grid([*units[:-1], dims.ceil_div(row, schedule.lanes * schedule.items)])
        *rows, block = grid.index
        outer = tuple(scope.symbol(f"axis{j}", d, axes[j]) for j, d in enumerate(rows))
    first = block * (schedule.lanes * schedule.items) + lane0
    whole = row % (schedule.lanes * schedule.items) == 0

    def point(scope: Scope, number: Dim) -> None:
        number = scope.symbol("number", number, row)
        guards = [None if whole and grid.guard is None else below(number, row, {})]
        if not schedule.flat and len(units) > 1:
            guards.append(grid.guard)
        with scope.when(*guards) as inner:
            places = decode_named(inner, number, units) if schedule.flat else (*outer, number)
            _element(inner, merged, schedule.width, places, len(problem.operands))

    if schedule.items == 1:
        point(scope, first)
    else:
        with scope.loop("item", 0, schedule.items) as (inner, item):
            point(inner, first + item * schedule.lanes)
    return kernel(name, problem, (schedule.lanes, 1, 1), grid.size, scope)


def decode_named(scope: Scope, number: Dim, extents: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The named indices that `number` stands for in a row-major space: one division an axis."""
    result: list[Dim] = []
    rest = number
    for position in range(len(extents) - 1, 0, -1):
        extent = extents[position]
        above = scope.symbol("rest", rest // extent, dims.product(extents[:position]))
        result.append(scope.symbol(f"axis{position}", rest - above * extent, extent))
        rest = above
    return (rest, *reversed(result))


def _element(
    scope: Scope, problem: Map, width: int, places: tuple[Dim, ...], operands: int
) -> None:
    """Compute and store every output at one point, or at four of the innermost index."""
    last = len(places) - 1
    outer: dict[str, Dim] = {f"i{j}": place for j, place in enumerate(places)}
    if width == 4:
        del outer[f"i{last}"]
    values = []
    for output in problem.outputs:
        expr = substitute(output.expr, outer)
        if width == 4:
            values.append(vectorise(expr, f"i{last}", quad(places[last]), scope.extents))
        else:
            values.append(simplify_expr(expr, scope.extents))
    values = scope.share_all(values)
    for j, (output, value) in enumerate(zip(problem.outputs, values, strict=True)):
        offset = dims.substitute(output.offset, outer)
        if width == 1:
            scope.store(operands + j, dims.simplify(offset, scope.extents), value)
        else:
            store_quad(scope, operands + j, offset, f"i{last}", quad(places[last]), value)


def store_quad(
    scope: Scope, memory: int, offset: Dim, name: str, lanes: Sequence[Dim], value: Expr
) -> None:
    """Store a value for index `name` = lanes[0] … lanes[3]: at once where those are neighbours."""
    offsets = [dims.simplify(dims.substitute(offset, {name: one}), scope.extents) for one in lanes]
    if is_aligned(offsets[0]) and all(o == offsets[0] + j for j, o in enumerate(offsets)):
        scope.store(memory, offsets[0], wide(value))
        return
    for j, one in enumerate(offsets):
        scope.store(memory, one, lane(value, j))
