"""Windows that reach over an edge: their loops end there, instead of a guard at every element.

Before:  for r = 0 to 5:                       sum += select(0 <= i + r - 2 < w, x[clamped], 0) · …
After:   for r = max(2 - i, 0) to min(w + 2 - i, 5):                   sum += x[i + r - 2] · …

A term that is dropped adds what the pass starts from (0 to a sum, -∞ to a maximum), so it may as
well not be looked at. So do convolutions of single channels, and pools.
"""

from __future__ import annotations

from dataclasses import replace

from webrt import dims
from webrt.dims import Dim
from webrt.kernel.axes import stride
from webrt.kernel.expr import Call, Const, Expr, Index, Value, as_dim, call, simplify
from webrt.kernel.problem import Pass, Reduce, extents
from webrt.lower.cpu.guards import unclamped
from webrt.lower.reduce import neutral

Edges = dict[str, tuple[Dim, Dim]]
"""By the name of an index, its first place and the one behind its last."""
Bounds = dict[int, tuple[Dim, Dim]]
"""The same for a row, by the number of a reduced axis."""


def cut_windows(problem: Reduce, lanes: frozenset[str]) -> tuple[Reduce, Bounds]:
    """The problem without guards that the bounds hold. No bound depends on the indices `lanes`,
    and none is of them: four values of each are computed at once.
    """
    if len(problem.passes) != 1 or any(o.each for o in problem.outputs):
        return problem, {}
    (one,) = problem.passes
    start = neutral(one.combine, one.expr.dtype)
    whole: Edges = {f"r{j}": (0, extent) for j, extent in enumerate(problem.reduced)}
    edges = dict(whole)

    def cut(expr: Expr) -> Expr:
        """The term, of which a factor is guarded, perhaps."""
        if not isinstance(expr, Call):
            return expr
        if expr.op == "mul" and one.combine == "sum":
            return call("mul", *(cut(a) for a in expr.args))
        if expr.op != "select" or expr.args[2] != start:
            return expr
        rest = cut_edges(expr.args[0], edges, lanes)
        return expr.args[1] if rest is None else call("select", rest, *expr.args[1:])

    expr = cut(unclamped(one.expr))
    bounds = {int(name[1:]): pair for name, pair in edges.items() if pair != whole[name]}
    if not bounds:
        return problem, {}
    changed = simplify(expr, extents(problem))
    return replace(problem, passes=(Pass(one.combine, changed),)), bounds


def cut_edges(condition: Expr, edges: Edges, lanes: frozenset[str]) -> Expr | None:
    """Narrow `edges` by what a condition says of their indices; what is left of it, if anything."""
    if isinstance(condition, Call) and condition.op == "and":
        left, right = (cut_edges(a, edges, lanes) for a in condition.args)
        return call("and", left, right) if left and right else left or right
    found = _edge(condition, edges, lanes)
    if found is None:
        return condition
    name, bound, is_lower = found
    first, last = edges[name]
    if is_lower:
        edges[name] = dims.dim_max(first, bound), last
    else:
        edges[name] = first, dims.dim_min(last, bound)
    return None


def _edge(condition: Expr, rows: Edges, lanes: frozenset[str]) -> tuple[str, Dim, bool] | None:
    """The index that a comparison bounds, by what, and whether from below.

    None for one that bounds several, or by what is looked up.
    """
    if not isinstance(condition, Call) or condition.op not in ("ge", "lt"):
        return None
    if not all(isinstance(a, Index | Const) and a.dtype.is_integer for a in condition.args):
        return None
    left, right = (as_dim(a) for a in condition.args)
    if any(isinstance(a, Value) for dim in (left, right) for a in dims.atoms_of(dim)):
        return None
    names = [name for name in rows if name in dims.free_symbols(left)]
    if len(names) != 1 or names[0] in lanes or rows.keys() & dims.free_symbols(right):
        return None
    (name,) = names
    step = stride(left, name)
    rest = right - dims.substitute(left, {name: 0})  # step · r >= rest, or step · r < rest
    if not isinstance(step, int) or step < 1 or not lanes.isdisjoint(dims.free_symbols(rest)):
        return None
    if step > 1:  # divisions are of what isn't negative
        rest = dims.ceil_div(dims.dim_max(rest, 0), step)
    return name, rest, condition.op == "ge"
