"""Contractions in the form that their kernels like: the weight is `b`, stored as it is read.

Before:  a = w[k + 1280·m], b = x[256·(k % 5) + k // 5 + 256·n]     (a convolution, as lowered)
After:   a = x[k + 256·m],  b = w'[512·k + n]                       (w' is w, its axes permuted)
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.graph.ir import Array, Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Load
from webrt.kernel.problem import Contract, Problem, extents, map_expressions
from webrt.passes.layout import Digit, Inverse, digits, flat, invert
from webrt.passes.workbench import Workbench


def arrange_contractions(bench: Workbench) -> bool:
    """Put weights on the right, order the summed index as the activations lie, store weights so."""
    for key in bench.in_order():
        problem = bench.nodes[key].problem
        if not isinstance(problem, Contract):
            continue
        arranged = problem
        if _is_constant(bench, problem.a) and not _is_constant(bench, problem.b):
            arranged = _swapped(problem)
        weight = _weight(bench, arranged)
        if weight is not None and _permutable(bench, arranged, weight) is not None:
            arranged = _with_ordered_sum(arranged)
        if arranged != problem:
            bench.update(key, replace(bench.nodes[key], problem=arranged))
        _store_weight(bench, key)
    return False


def _is_constant(bench: Workbench, expr: Expr) -> bool:
    names = {load.memory for load in ex.loads(expr)}
    return bool(names) and all(bench.values[str(n)].data is not None for n in names)


def _swapped(problem: Contract) -> Contract:
    """(A·B)ᵀ = Bᵀ·Aᵀ: the same sums with rows and columns exchanged."""
    exchange: dict[str, Dim] = {"m": dims.symbol("n"), "n": dims.symbol("m")}
    changed = map_expressions(problem, lambda e: ex.substitute(e, exchange))
    assert isinstance(changed, Contract)
    outputs = tuple(replace(o, offset=dims.substitute(o.offset, exchange)) for o in changed.outputs)
    return replace(changed, m=problem.n, n=problem.m, a=changed.b, b=changed.a, outputs=outputs)


def _weight(bench: Workbench, problem: Contract) -> Load | None:
    """The load of `b`, if it is a constant that nothing else reads."""
    load = problem.b
    if not isinstance(load, Load) or not isinstance(load.memory, str):
        return None
    if bench.values[load.memory].data is None or len(bench.readers_of(load.memory)) != 1:
        return None
    everywhere = [e for e in _all_loads(problem) if e.memory == load.memory]
    return load if len(everywhere) == 1 else None


def _all_loads(problem: Problem) -> list[Load]:
    found: list[Load] = []

    def collect(expr: Expr) -> Expr:
        found.extend(ex.loads(expr))
        return expr

    map_expressions(problem, collect)
    return found


def _permutable(bench: Workbench, problem: Contract, load: Load) -> Inverse | None:
    """The inverse of a weight's offset over the indices in it, if that is the whole weight."""
    space = extents(problem)
    used = dims.free_symbols(load.offset)
    inverse = invert(load.offset, {n: e for n, e in space.items() if n in used})
    value = bench.values[str(load.memory)]
    return inverse if inverse and inverse.size == dims.product(value.shape) else None


def _with_ordered_sum(problem: Contract) -> Contract:
    """The summed index counted in the order in which `a` has its elements in memory."""
    loads = [e for e in ex.loads(problem.a) if "k" in dims.free_symbols(e.offset)]
    if len(loads) != 1:
        return problem
    parts = _digits_of_k(loads[0].offset, problem.k)
    if parts is None or len(parts) < 2:
        return problem
    ordered = sorted(parts, key=lambda d: -_integer(d.stride))
    value, rest = dims.symbol("k"), problem.k
    old: Dim = 0
    for digit in ordered:
        rest = dims.floor_div(rest, digit.extent)
        old = old + digit.place * ((value // rest) % digit.extent)
    space = extents(problem)
    reordered = map_expressions(
        problem, lambda e: ex.simplify(ex.substitute(ex.simplify(e, space), {"k": old}), space)
    )
    assert isinstance(reordered, Contract)
    return reordered


def _integer(dim: Dim) -> int:
    assert isinstance(dim, int)
    return dim


def _digits_of_k(offset: Dim, extent: Dim) -> list[Digit] | None:
    """The digits of k in an offset, if they are all of k and of known strides."""
    assert not isinstance(offset, int)
    moving: Dim = 0
    for atoms, coefficient in offset.terms:
        term: Dim = coefficient
        for atom in atoms:
            term = term * dims.atom_dim(atom)
        if "k" in dims.free_symbols(term):
            moving = moving + term
    found = digits(moving, {"k": extent})
    if found is None or not all(isinstance(d.stride, int) for d in found):
        return None
    place: Dim = 1
    for digit in sorted(found, key=lambda d: str(d.place)):
        place = place * digit.extent
    return found if place == extent else None


def _store_weight(bench: Workbench, key: int) -> None:
    """Permute a weight so that it is read in order, rows of columns."""
    node = bench.nodes[key]
    assert isinstance(node.problem, Contract)
    load = _weight(bench, node.problem)
    inverse = _permutable(bench, node.problem, load) if load else None
    if load is None or inverse is None:
        return
    space = extents(node.problem)
    order = sorted(inverse.indices, key=lambda n: ("kn".find(n), list(space).index(n)))
    own = {n: space[n] for n in order}  # batch first, columns last
    target = flat(own)
    if target == load.offset:
        return
    value = bench.values[str(load.memory)]
    assert value.data is not None
    stored = Value(value.name, value.dtype, value.shape, _permuted(value.data, inverse, tuple(own)))
    name = bench.name_of(stored)
    change = partial(_renamed, old=load, new=replace(load, memory=name, offset=target))
    problem = map_expressions(node.problem, lambda e: ex.rewrite(e, change))
    bench.update(key, replace(node, problem=problem))


def _renamed(expr: Expr, old: Load, new: Load) -> Expr | None:
    return new if expr == old else None


def _permuted(data: Array, inverse: Inverse, order: tuple[str, ...]) -> Array:
    """The elements in row-major order of the indices."""
    shape = [_integer(d.extent) for d in reversed(inverse.digits)]
    axes: list[int] = []
    for index in order:
        mine = [j for j, d in enumerate(reversed(inverse.digits)) if d.index == index]
        places = {j: _integer(inverse.digits[len(shape) - 1 - j].place) for j in mine}
        axes += sorted(mine, key=lambda j: -places[j])
    return np.ascontiguousarray(data.reshape(shape).transpose(axes)).reshape(data.shape)
