"""Axes of an iteration space that need no index of their own are merged or dropped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr
from webrt.kernel.problem import Fold, Map, Pass, Reduce


@lru_cache(maxsize=64)
def collapse_map(problem: Map) -> Map:
    """The same Map over as few axes as its index arithmetic allows, as they lie in its output."""
    exprs = [e for o in problem.outputs for e in (o.expr, ex.Index(o.offset))]
    axes, exprs = _in_order(problem.axes, exprs, problem.outputs[0].offset)
    axes, changed = _collapse("i", axes, exprs, {})
    pairs = zip(changed[::2], changed[1::2], strict=True)
    outputs = tuple(
        replace(output, expr=expr, offset=ex.as_dim(offset))
        for output, (expr, offset) in zip(problem.outputs, pairs, strict=True)
    )
    return replace(problem, axes=axes, outputs=outputs)


@lru_cache(maxsize=64)
def collapse_reduce(problem: Reduce) -> Reduce:
    """The same Reduce over as few axes and reduced axes as its index arithmetic allows.

    Its axes are in the order in which they lie in its output.
    """
    exprs: list[Expr] = [e for o in problem.outputs for e in (o.expr, ex.Index(o.offset))]
    exprs += [p.expr for p in problem.passes]
    axes, exprs = _in_order(problem.axes, exprs, problem.outputs[0].offset)
    rows = {f"i{j}": extent for j, extent in enumerate(axes)}
    reduced, exprs = _collapse("r", problem.reduced, exprs, rows)
    row = {f"r{j}": extent for j, extent in enumerate(reduced)}  # their names are new
    axes, exprs = _collapse("i", axes, exprs, row)
    count = len(problem.outputs)
    outputs = tuple(
        replace(output, expr=exprs[2 * j], offset=ex.as_dim(exprs[2 * j + 1]))
        for j, output in enumerate(problem.outputs)
    )
    passes = tuple(
        Pass(one.combine, expr)
        for one, expr in zip(problem.passes, exprs[2 * count :], strict=True)
    )
    return replace(problem, axes=axes, reduced=reduced, passes=passes, outputs=outputs)


@lru_cache(maxsize=64)
def collapse_fold(problem: Fold) -> Fold:
    """The same Fold over as few axes as its index arithmetic allows, as they lie in its output."""
    exprs: list[Expr] = [e for o in problem.outputs for e in (o.expr, ex.Index(o.offset))]
    exprs += [problem.start, problem.stop, problem.first, problem.step]
    axes, exprs = _in_order(problem.axes, exprs, problem.outputs[0].offset)
    axes, exprs = _collapse("i", axes, exprs, {"t": problem.limit})
    outputs = tuple(
        replace(output, expr=exprs[2 * j], offset=ex.as_dim(exprs[2 * j + 1]))
        for j, output in enumerate(problem.outputs)
    )
    start, stop, first, step = exprs[-4:]
    return Fold(axes, problem.limit, problem.operands, start, stop, first, step, outputs)


def _in_order(
    axes: tuple[Dim, ...], exprs: list[Expr], offset: Dim
) -> tuple[tuple[Dim, ...], list[Expr]]:
    """The axes as they lie in the output at `offset`, so that neighbouring lanes store neighbours.

    Strides are compared with every symbol of the model at 64.
    """
    strides = []
    for j in range(len(axes)):
        index = symbol(f"i{j}")
        stride = dims.substitute(offset, {f"i{j}": index + 1}) - offset
        names = dims.free_symbols(stride)
        if any(isinstance(a, ex.Value) for a in dims.atoms_of(stride)) or any(
            name[0] == "i" for name in names
        ):
            return axes, exprs
        strides.append(dims.evaluate(stride, dict.fromkeys(names, 64)))
    order = sorted(range(len(axes)), key=lambda j: -strides[j])
    if order == list(range(len(axes))):
        return axes, exprs
    moved: dict[str, Dim] = {f"i{old}": symbol(f"i{new}") for new, old in enumerate(order)}
    return tuple(axes[j] for j in order), [ex.substitute(e, moved) for e in exprs]


def _collapse(
    prefix: str, axes: Sequence[Dim], exprs: list[Expr], others: Mapping[str, Dim]
) -> tuple[tuple[Dim, ...], list[Expr]]:
    """Merge neighbours among the indices `prefix`0, `prefix`1 … of `exprs`, innermost first."""
    units: dict[str, Dim] = {f"{prefix}{j}": 0 for j, extent in enumerate(axes) if extent == 1}
    exprs = [ex.substitute(e, units) for e in exprs]
    kept = [(f"{prefix}{j}", extent) for j, extent in enumerate(axes) if extent != 1]
    space = dict(kept) | dict(others)
    exprs = [ex.simplify(e, space) for e in exprs]
    position = len(kept) - 2
    while position >= 0:
        (outer, many), (inner, few) = kept[position : position + 2]
        name = f"{outer}_{inner}"
        merged = symbol(name)
        space = dict([*kept[:position], (name, many * few), *kept[position + 2 :]]) | dict(others)
        mapping: dict[str, Dim] = {outer: merged // few, inner: merged % few}
        changed = [ex.simplify(ex.substitute(e, mapping), space) for e in exprs]
        if _divisions(changed) <= _divisions(exprs):
            exprs = changed
            kept[position : position + 2] = [(name, many * few)]
        position -= 1
    final: dict[str, Dim] = {name: symbol(f"{prefix}{j}") for j, (name, _) in enumerate(kept)}
    return tuple(extent for _, extent in kept), [ex.substitute(e, final) for e in exprs]


def _divisions(exprs: Sequence[Expr]) -> int:
    """How many different divisions and modulos stand in `exprs`."""
    found = {
        atom
        for root in exprs
        for e in ex.parts(root)
        for dim in ex.own_dims(e)
        for atom in dims.atoms_of(dim)
        if isinstance(atom, dims.Operation)
    }
    return len(found)


def stride(dim: Dim, name: str) -> Dim | None:
    """By how much `dim` grows with index `name`, or None where that isn't always the same."""
    if isinstance(dim, int):
        return 0
    found: Dim = 0
    for atoms, coefficient in dim.terms:
        rest: Dim = coefficient
        count = 0
        for atom in atoms:
            if not isinstance(atom, dims.Symbol):
                if name in dims.free_symbols(dims.atom_dim(atom)):
                    return None
                rest = rest * dims.atom_dim(atom)
            elif atom.name == name:
                count += 1
            else:
                rest = rest * dims.atom_dim(atom)
        if count > 1:
            return None
        if count:
            found = found + rest
    return found


def last_digit(expr: Expr, name: str, extent: Dim) -> int | None:
    """The radix of an index that `expr` takes apart everywhere: what it is divided by, at least.

    None where there is no such literal below the index's `extent`, or none that divides it.
    """
    if not isinstance(extent, int):
        return None
    radix = 0
    for e in ex.walk(expr):
        for dim in ex.own_dims(e):
            for atom in dims.atoms_of(dim):
                if isinstance(atom, dims.Operation) and dims.lone_symbol(atom.left) == name:
                    if atom.op not in ("//", "%") or not isinstance(atom.right, int):
                        return None
                    radix = math.gcd(radix, atom.right)
    return radix if 1 < radix < extent and extent % radix == 0 else None
