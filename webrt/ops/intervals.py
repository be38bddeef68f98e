"""Interval arithmetic on integers: of dims here, of expressions in `passes/integers.py`."""

from __future__ import annotations

from collections.abc import Callable

from webrt import dims
from webrt.dims import Atom, Dim, Operation, Symbol

Interval = tuple[int, int]

SYMBOL: Interval = (1, dims.MAX_SYMBOL)
"""What a dynamic dim of a model may be."""

LONGEST = 1 << 28
"""Elements of a row or a list that is put in order: more don't fit a device's buffer."""


def times(a: Interval, b: Interval) -> Interval:
    corners = [x * y for x in a for y in b]
    return min(corners), max(corners)


def quotient(a: Interval, b: Interval) -> Interval:
    """Of `a // b`, rounding down, for a positive `b`."""
    low, high = max(b[0], 1), max(b[1], 1)
    corners = [x // y for x in a for y in (low, high)]
    return min(corners), max(corners)


def remainder(a: Interval, b: Interval) -> Interval:
    """Of `a % b`, never negative, for a positive `b`."""
    top = max(b[1], 1) - 1
    return (0, min(top, a[1])) if a[0] >= 0 else (0, top)


def of_dim(dim: Dim, of_atom: Callable[[Atom], Interval | None]) -> Interval:
    """The interval of a dim; `of_atom` gives that of symbols and of atoms that dims don't know."""
    if isinstance(dim, int):
        return dim, dim
    low = high = 0
    for atoms, coefficient in dim.terms:
        term = (coefficient, coefficient)
        for atom in atoms:
            term = times(term, _of_atom(atom, of_atom))
        low, high = low + term[0], high + term[1]
    return low, high


def _of_atom(atom: Atom, of_atom: Callable[[Atom], Interval | None]) -> Interval:
    found = of_atom(atom)
    if found is not None:
        return found
    if not isinstance(atom, Operation):
        return SYMBOL
    left, right = of_dim(atom.left, of_atom), of_dim(atom.right, of_atom)
    match atom.op:
        case "//":
            return quotient(left, right)
        case "%":
            return remainder(left, right)
        case "min":
            return min(left[0], right[0]), min(left[1], right[1])
    return max(left[0], right[0]), max(left[1], right[1])


def of_size(dim: Dim) -> Interval:
    """The interval of a dim over model symbols only."""
    return of_dim(dim, lambda atom: SYMBOL if isinstance(atom, Symbol) else None)


def most_of(length: Dim) -> int:
    """What a row's or a list's length, over model symbols only, is at most."""
    return length if isinstance(length, int) else min(of_size(length)[1], LONGEST)
