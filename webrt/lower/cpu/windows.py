"""Windows that reach over an edge: their loops end there, instead of a guard at every element.

Before:  for r = 0 to 5:                       sum += select(0 <= i + r - 2 < w, x[clamped], 0) · …
After:   for r = max(2 - i, 0) to min(w + 2 - i, 5):                   sum += x[i + r - 2] · …

A term that is dropped adds what the pass starts from (0 to a sum, -∞ to a maximum), so it may as
well not be looked at. So do convolutions of single channels, and pools.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from webrt import dims
from webrt.dims import Dim
from webrt.kernel.axes import stride
from webrt.kernel.expr import Call, Const, Expr, Index, Value, as_dim, call, simplify
from webrt.kernel.problem import Pass, Reduce, extents
from webrt.lower.cpu.guards import unclamped
from webrt.lower.reduce import neutral

Bounds = dict[int, tuple[Dim, Dim]]
"""By the number of a reduced axis, its first place and the one behind its last, for a row."""


def cut_windows(problem: Reduce, lanes: frozenset[str]) -> tuple[Reduce, Bounds]:
    """The problem without guards that the bounds hold. No bound depends on the indices `lanes`,
    and none is of them: four values of each are computed at once.
    """
    if len(problem.passes) != 1 or any(o.each for o in problem.outputs):
        return problem, {}
    (one,) = problem.passes
    start = neutral(one.combine, one.expr.dtype)
    lower: dict[str, list[Dim]] = {}
    upper: dict[str, list[Dim]] = {}
    rows = {f"r{j}": extent for j, extent in enumerate(problem.reduced)}

    def held(condition: Expr) -> Expr | None:
        """What is left of a condition, None where bounds hold all of it."""
        if isinstance(condition, Call) and condition.op == "and":
            left, right = (held(a) for a in condition.args)
            return call("and", left, right) if left and right else left or right
        found = edge(condition, rows, lanes)
        if found is None:
            return condition
        name, bound, is_lower = found
        (lower if is_lower else upper).setdefault(name, []).append(bound)
        return None

    def cut(expr: Expr) -> Expr:
        """The term, of which a factor is guarded, perhaps."""
        if not isinstance(expr, Call):
            return expr
        if expr.op == "mul" and one.combine == "sum":
            return call("mul", *(cut(a) for a in expr.args))
        if expr.op != "select" or expr.args[2] != start:
            return expr
        rest = held(expr.args[0])
        return expr.args[1] if rest is None else call("select", rest, *expr.args[1:])

    expr = cut(unclamped(one.expr))
    if not lower and not upper:
        return problem, {}
    bounds: Bounds = {}
    for j, extent in enumerate(problem.reduced):
        first: Dim = 0
        for bound in lower.get(f"r{j}", []):
            first = dims.dim_max(first, bound)
        last = extent
        for bound in upper.get(f"r{j}", []):
            last = dims.dim_min(last, bound)
        if (first, last) != (0, extent):
            bounds[j] = first, last
    changed = simplify(expr, extents(problem))
    return replace(problem, passes=(Pass(one.combine, changed),)), bounds


def edge(
    condition: Expr, rows: Mapping[str, Dim], lanes: frozenset[str]
) -> tuple[str, Dim, bool] | None:
    """The reduced index that a comparison bounds, by what, and whether from below.

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
