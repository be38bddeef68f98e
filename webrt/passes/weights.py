"""Weights are stored in the order in which the kernel that reads them walks through them.

Before:  sum over r of x[…] * w[9*i1 + r]          After:  … * w'[144*r + i1], w' is w permuted
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
from webrt.kernel.problem import Contract, Problem, Reduce, expressions, extents, map_expressions
from webrt.passes.layout import Inverse, flat, invert
from webrt.passes.workbench import Workbench

WINDOW = 64
"""Elements of a row up to which four rows at a time are better than four elements of one."""


def store_windows(bench: Workbench) -> bool:
    """Store the weights of every window (a depthwise convolution's): its taps outermost."""
    for key in bench.in_order():
        problem = bench.nodes[key].problem
        if not isinstance(problem, Reduce):
            continue
        taps = dims.product(problem.reduced)
        if isinstance(taps, int) and taps <= WINDOW:
            for one in problem.passes:
                for load in ex.loads(one.expr):
                    _store(bench, key, load, "ri")
    return False


def store_matrix(bench: Workbench, key: int) -> None:
    """Store the weight `b` of a Contract in rows of columns."""
    problem = bench.nodes[key].problem
    if isinstance(problem, Contract) and isinstance(problem.b, Load):
        _store(bench, key, problem.b, "bkn")


def permutation(bench: Workbench, problem: Problem, load: Expr) -> Inverse | None:
    """The inverse of a weight's offset over the indices in it, if that is the whole weight.

    None where it is no weight, or one that is read in another place too.
    """
    if not isinstance(load, Load) or not isinstance(load.memory, str):
        return None
    value = bench.values[load.memory]
    if value.data is None or len(bench.readers_of(load.memory)) != 1:
        return None
    reads = [e for x in expressions(problem) for e in ex.loads(x) if e.memory == load.memory]
    if len(reads) != 1:
        return None
    used = dims.free_symbols(load.offset)
    own = {n: e for n, e in extents(problem).items() if n in used}
    inverse = invert(load.offset, own)
    return inverse if inverse and inverse.size == dims.product(value.shape) else None


def _store(bench: Workbench, key: int, load: Load, order: str) -> None:
    """Permute a weight: its indices from the outermost in, by their first letters in `order`."""
    node = bench.nodes[key]
    inverse = permutation(bench, node.problem, load)
    if inverse is None:
        return
    space = extents(node.problem)
    names = sorted(inverse.indices, key=lambda n: (order.find(n[0]), list(space).index(n)))
    own = {n: space[n] for n in names}
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
    shape = [integer(d.extent) for d in reversed(inverse.digits)]
    axes: list[int] = []
    for index in order:
        mine = [j for j, d in enumerate(reversed(inverse.digits)) if d.index == index]
        places = {j: integer(inverse.digits[len(shape) - 1 - j].place) for j in mine}
        axes += sorted(mine, key=lambda j: -places[j])
    return np.ascontiguousarray(data.reshape(shape).transpose(axes)).reshape(data.shape)


def integer(dim: Dim) -> int:
    """A dim that is known to be a literal."""
    assert isinstance(dim, int)
    return dim
