"""Lowers a Fold: a loop at every point, or at four points that go round together."""

from __future__ import annotations

from collections.abc import Callable

from webrt import dims
from webrt.dims import Dim
from webrt.kernel import loop
from webrt.kernel.axes import collapse_fold
from webrt.kernel.expr import Expr, Ref, as_dim, as_index, call, i32, rewrite, substitute
from webrt.kernel.expr import simplify as simplify_expr
from webrt.kernel.problem import Fold
from webrt.lower.common import (
    below,
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
from webrt.schedule.fold import FoldSchedule, together


def lower(problem: Fold, schedule: FoldSchedule, name: str = "main") -> loop.Kernel:
    """The kernel of `problem` under `schedule`."""
    merged = collapse_fold(problem)
    axes: tuple[Dim, ...] = merged.axes or (1,)
    if schedule.width == 4 and not (together(merged) and is_aligned(axes[-1])):
        raise ValueError(f"the points of {axes} don't go round in fours")
    units = (*axes[:-1], dims.floor_div(axes[-1], schedule.width))
    count = dims.product(units)
    scope = root_scope(problem)
    grid = fold_grid([dims.ceil_div(count, schedule.lanes)])
    (block,) = grid.index
    number = scope.symbol("number", block * schedule.lanes + dims.symbol("lane0"), count)
    exact = count % schedule.lanes == 0 and grid.guard is None
    with scope.when(None if exact else below(number, count, {})) as inner:
        places = decode_named(inner, number, units)
        _point(inner, merged, schedule.width, places, len(problem.operands))
    return kernel(name, problem, (schedule.lanes, 1, 1), grid.size, scope)


def _point(scope: Scope, problem: Fold, width: int, places: tuple[Dim, ...], operands: int) -> None:
    last = f"i{len(places) - 1}"
    outer: dict[str, Dim] = {f"i{j}": place for j, place in enumerate(places)}
    lanes = quad(outer.pop(last)) if width == 4 else None

    def at(inner: Scope, expr: Expr) -> Expr:
        expr = substitute(expr, outer)
        if lanes is not None:
            return vectorise(expr, last, lanes, inner.extents)
        return simplify_expr(expr, inner.extents)

    start, stop = bounds(
        scope, problem, lambda e: simplify_expr(substitute(e, outer), scope.extents)
    )
    first = at(scope, problem.first)
    acc = scope.var("acc", wide(first) if lanes else first)
    with scope.loop("t", start, stop, extent=problem.limit) as (inner, turn):
        step = at(inner, substitute(with_acc(problem.step, acc), {"t": turn}))
        inner.assign(acc, inner.share_all([wide(step) if lanes else step])[0])
    values = scope.share_all([at(scope, with_acc(o.expr, acc)) for o in problem.outputs])
    for j, (output, value) in enumerate(zip(problem.outputs, values, strict=True)):
        offset = dims.substitute(output.offset, outer)
        if lanes is None:
            scope.store(operands + j, dims.simplify(offset, scope.extents), value)
        else:
            store_quad(scope, operands + j, offset, last, lanes, value)


def with_acc(expr: Expr, acc: Ref) -> Expr:
    """`expr` with the register for `acc`, in indices too."""
    return rewrite(expr, lambda e: acc if isinstance(e, Ref) and e.name == "acc" else None)


def bounds(scope: Scope, problem: Fold, at: Callable[[Expr], Expr]) -> tuple[Dim, Dim]:
    """Where the loop starts and stops, within 0 and the limit, named in `scope`."""
    start, stop = as_dim(problem.start), as_dim(problem.stop)
    if not isinstance(start, int):
        held = at(call("max", problem.start, i32(0)))
        start = as_dim(scope.let("start", held))
    if stop != problem.limit:
        held = at(call("min", problem.stop, as_index(problem.limit)))
        stop = as_dim(scope.let("stop", held))
    return start, stop
