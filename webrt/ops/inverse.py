"""The inverse of matrices, by Gauss and Jordan: one pivot a turn, all matrices at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from webrt import dims
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.flow import Slices, repeat, unrolled
from webrt.ops.recurrent import SHORT
from webrt.ops.site import Site, hold_equal, shape_text


@composite("Inverse", domain="com.microsoft")
def inverse(site: Site, make: Make) -> tuple[Value, ...]:
    """Of each matrix. What has no inverse gives infinities and what is no number.

    No rows are swapped: each turn takes the row of the largest element among those that no turn
    has taken. What is left of the matrix then is a permutation, which puts the rows in order.
    """
    shape = site.ranked(0, 2, 64)
    size = shape[-1]
    hold_equal(site, site.shape_error("square matrices", shape_text(shape)), size, shape[-2])
    many = dims.product(shape[:-2])
    x = make.reshape(make.cast(site.input(0), DType.F32), many, size, size)
    places = make.range(size)
    unit = make("Equal", make.reshape(places, size, 1), make.reshape(places, 1, size))
    eye = make("Expand", make.cast(unit, DType.F32), make.integers(many, size, size))
    zeros = make("Expand", make.constant(np.zeros((), np.float32)), make.integers(many, size))
    states = [make("Concat", x, eye, axis=2), zeros]
    if isinstance(size, int) and size <= SHORT:
        (made, _), _ = unrolled(make, size, states, [Slices(unit)], _turn)
    else:
        (made, _), _ = repeat(make, size, states, [Slices(unit)], _turn)
    left, right = make.part(made, 2, 0, size), make.part(made, 2, size, size * 2)
    ordered = make("MatMul", make.transpose(left, 0, 2, 1), right)
    return (make.cast(make.reshape(ordered, *shape), site.input(0).dtype),)


def _turn(
    make: Make, now: Sequence[Value], parts: Sequence[Value]
) -> tuple[Sequence[Value], Sequence[Value]]:
    """One column [N, 2·N] cleared but for its pivot; `taken` tells which rows pivots have had."""
    whole, taken = now
    (here,) = parts  # which column it is
    many, size, _ = whole.shape
    left, zero = make.part(whole, 2, 0, size), make.number(0, whole)
    wanted = make.reshape(here, 1, 1, size)
    column = make("ReduceSum", make("Where", wanted, left, zero), make.integers(2), keepdims=1)
    free = make("Equal", taken, zero)
    magnitude = make("Abs", make.reshape(column, many, size))
    found = make("ArgMax", make("Where", free, magnitude, make.number(-1, whole)), axis=1)
    row = make("Equal", make.reshape(make.range(size), 1, size), found)
    chosen = make.reshape(row, many, size, 1)
    line = make("ReduceSum", make("Where", chosen, whole, zero), make.integers(1), keepdims=1)
    own = make.part(line, 2, 0, size)
    pivot = make("ReduceSum", make("Where", wanted, own, zero), make.integers(2), keepdims=1)
    line = make("Div", line, pivot)
    cleared = make("Sub", whole, make("Mul", column, line))
    return [make("Where", chosen, line, cleared), make("Add", taken, make.cast(row, DType.F32))], []
