"""Contractions in the form that their kernels like: the weight is `b`, stored as it is read.

Before:  a = w[k + 1280·m], b = x[256·(k % 5) + k // 5 + 256·n]     (a convolution, as lowered)
After:   a = x[k + 256·m],  b = w'[512·k + n]                       (w' is w, its axes permuted)
"""

from __future__ import annotations

from dataclasses import replace

from webrt import dims
from webrt.dims import Dim
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr
from webrt.kernel.problem import Contract, extents, map_expressions
from webrt.passes.layout import Digit, digits
from webrt.passes.weights import integer, permutation, store_matrix
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
        if permutation(bench, arranged, arranged.b) is not None:
            arranged = _with_ordered_sum(arranged)
        if arranged != problem:
            bench.update(key, replace(bench.nodes[key], problem=arranged))
        store_matrix(bench, key)
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


def _with_ordered_sum(problem: Contract) -> Contract:
    """The summed index counted in the order in which `a` has its elements in memory."""
    loads = [e for e in ex.loads(problem.a) if "k" in dims.free_symbols(e.offset)]
    if len(loads) != 1:
        return problem
    parts = _digits_of_k(loads[0].offset, problem.k)
    if parts is None or len(parts) < 2:
        return problem
    ordered = sorted(parts, key=lambda d: -integer(d.stride))
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
