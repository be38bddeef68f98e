"""Loads that a `select` guards go without the clamps that the guard makes needless.

A convolution reads `select(0 <= x < w, image[min(max(x, 0), w - 1)], 0)`: the clamps keep the load
inside where its value is dropped. Without them neighbours in x are neighbours in memory; what may
then lie outside, `keep_inside` keeps in place.
"""

from __future__ import annotations

from collections.abc import Iterator

from webrt import dims
from webrt.dims import Dim
from webrt.kernel.expr import Call, Const, Expr, Index, as_dim, map_dims

_Fact = tuple[str, Dim, Dim]
"""`("max", x, 0)`: that maximum is x; `("min", x, w - 1)`: so is that minimum."""


def unclamped(expr: Expr) -> Expr:
    """`expr` with the same value, of which loads whose value is dropped may lie anywhere."""
    if not isinstance(expr, Call):
        return expr
    args = tuple(unclamped(a) for a in expr.args)
    if expr.op == "select":
        facts = frozenset(_facts(args[0]))
        args = (args[0], map_dims(args[1], lambda d: _without(d, facts)), args[2])
    return Call(expr.op, args, expr.dtype, expr.lanes)


def _facts(condition: Expr) -> Iterator[_Fact]:
    """What a condition says about indices."""
    if not isinstance(condition, Call):
        return
    if condition.op == "and":
        for arg in condition.args:
            yield from _facts(arg)
    elif condition.op in ("ge", "lt") and all(
        isinstance(a, Index) or (isinstance(a, Const) and a.dtype.is_integer)
        for a in condition.args
    ):
        left, right = (as_dim(a) for a in condition.args)
        yield ("max", left, right) if condition.op == "ge" else ("min", left, right - 1)


def _without(dim: Dim, facts: frozenset[_Fact]) -> Dim:
    """`dim` without the minima and maxima that `facts` decide."""

    def change(atom: dims.Atom) -> Dim | None:
        if not isinstance(atom, dims.Operation):
            return dims.atom_dim(atom)
        left, right = dims.rebuild(atom.left, change), dims.rebuild(atom.right, change)
        for one, other in ((left, right), (right, left)):
            if (atom.op, one, other) in facts:
                return one
        return dims.atom_dim(dims.Operation(atom.op, left, right))

    return dims.rebuild(dim, change)
