"""Axes that are walked together become one, so that equal kernels look equal and index less.

Before:  y[i0*64 + i1] = f(x[i0*64 + i1]) over (s0, 64)      After:  y[i0] = f(x[i0]) over (64*s0)
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from webrt import dims
from webrt.dims import Dim
from webrt.kernel import expr as ex
from webrt.kernel.problem import Fold, Map, Problem, Reduce, expressions, extents, map_expressions
from webrt.passes.costs import divisions
from webrt.passes.workbench import Workbench


def collapse_axes(bench: Workbench) -> bool:
    """Merge the axes of Maps, Folds and Reduces, and reduced axes, where that is free."""
    changed = False
    for key in bench.in_order():
        node = bench.nodes[key]
        problem = collapse(node.problem)
        if problem != node.problem:
            bench.update(key, replace(node, problem=problem))
            changed = True
    return changed


@lru_cache(256)  # steps repeat until nothing changes
def collapse(problem: Problem) -> Problem:
    """The problem over as few axes as possible."""
    match problem:
        case Map(axes=axes) | Fold(axes=axes):
            return _collapse_group(problem, "i", axes)
        case Reduce():
            problem = _collapse_group(problem, "i", problem.axes)
            assert isinstance(problem, Reduce)
            return _collapse_group(problem, "r", problem.reduced)
    return problem


def _collapse_group(problem: Problem, prefix: str, axes: tuple[Dim, ...]) -> Problem:
    j = 0
    while j < len(axes):
        if axes[j] == 1 and len(axes) > 1:
            problem, axes = _without_axis(problem, prefix, axes, j)
            continue
        if j + 1 < len(axes):
            merged = _merge_pair(problem, prefix, axes, j)
            if merged is not None:
                problem, axes = merged
                continue
        j += 1
    return problem


def _without_axis(
    problem: Problem, prefix: str, axes: tuple[Dim, ...], j: int
) -> tuple[Problem, tuple[Dim, ...]]:
    mapping: dict[str, Dim] = {f"{prefix}{j}": 0}
    mapping |= {f"{prefix}{p}": dims.symbol(f"{prefix}{p - 1}") for p in range(j + 1, len(axes))}
    rest = axes[:j] + axes[j + 1 :]
    return _changed(problem, prefix, rest, mapping), rest


def _merge_pair(
    problem: Problem, prefix: str, axes: tuple[Dim, ...], j: int
) -> tuple[Problem, tuple[Dim, ...]] | None:
    inner = axes[j + 1]
    joined = dims.symbol(f"{prefix}{j}")
    mapping: dict[str, Dim] = {f"{prefix}{j}": joined // inner, f"{prefix}{j + 1}": joined % inner}
    mapping |= {f"{prefix}{p}": dims.symbol(f"{prefix}{p - 1}") for p in range(j + 2, len(axes))}
    rest = (*axes[:j], axes[j] * inner, *axes[j + 2 :])
    merged = _changed(problem, prefix, rest, mapping)
    return (merged, rest) if _divisions(merged) <= _divisions(problem) else None


def _changed(
    problem: Problem, prefix: str, axes: tuple[Dim, ...], mapping: dict[str, Dim]
) -> Problem:
    if isinstance(problem, Map | Fold):
        problem = replace(problem, axes=axes)
    elif isinstance(problem, Reduce):
        problem = replace(problem, axes=axes) if prefix == "i" else replace(problem, reduced=axes)
    space = extents(problem)
    problem = map_expressions(problem, lambda e: ex.simplify(ex.substitute(e, mapping), space))
    outputs = tuple(
        replace(o, offset=dims.simplify(dims.substitute(o.offset, mapping), space))
        for o in problem.outputs
    )
    return replace(problem, outputs=outputs)


def _divisions(problem: Problem) -> int:
    stored = sum(divisions(o.offset) for o in problem.outputs)
    every = (e for root in expressions(problem) for e in ex.walk(root))
    return stored + sum(divisions(d) for e in every for d in ex.own_dims(e))
