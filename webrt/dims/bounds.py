"""What is known of a dim from the extents of its indices, and what that makes needless."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping

from webrt.dims.algebra import (
    MAX_SYMBOL,
    OPERATIONS,
    Atom,
    Dim,
    Operation,
    Symbol,
    Symbolic,
    atom_dim,
    divide_exactly,
    floor_div,
    modulo,
    sum_terms,
    terms_of,
)
from webrt.dims.parts import rebuild

_MOST_PARTS = 64  # quotients of a sum that are tried as common factors


def upper_bound(dim: Dim, extents: Mapping[str, Dim]) -> Dim | None:
    """The largest value of `dim` while each index stays below its extent; None if unknown."""
    result: Dim = 0
    for moving, factor in _by_moving_atoms(dim, extents).items():
        if not moving:
            result = result + factor
            continue
        largest = _largest(moving, extents)
        if largest is None:
            return None
        if is_nonnegative(factor, {}):
            result = result + factor * largest
        elif not is_nonnegative(-factor, {}):
            positive = sum_terms([(atoms, c) for atoms, c in terms_of(factor) if c > 0])
            result = result + positive * largest
    return result


def _by_moving_atoms(dim: Dim, extents: Mapping[str, Dim]) -> dict[tuple[Atom, ...], Dim]:
    """The coefficients, polynomials of the model's symbols, of what depends on indices."""
    groups: dict[tuple[Atom, ...], Dim] = {}
    for atoms, coefficient in terms_of(dim):
        fixed = tuple(a for a in atoms if isinstance(a, Symbol) and a.name not in extents)
        moving = tuple(a for a in atoms if not (isinstance(a, Symbol) and a.name not in extents))
        groups[moving] = groups.get(moving, 0) + sum_terms([(fixed, coefficient)])
    return groups


def _largest(atoms: tuple[Atom, ...], extents: Mapping[str, Dim]) -> Dim | None:
    """The largest product of atoms that are indices or non-negative operations on them."""
    result: Dim = 1
    for atom in atoms:
        if isinstance(atom, Symbol):
            result = result * (extents[atom.name] - 1)
            continue
        if not isinstance(atom, Operation) or not all(
            is_nonnegative(part, extents) for part in atom.parts()
        ):
            return None
        if atom.op == "%":
            result = result * (atom.right - 1)
            continue
        if atom.op == "min":
            tops = [t for part in atom.parts() if (t := upper_bound(part, extents)) is not None]
            if not tops:
                return None
            result = result * min(tops, key=lambda t: not isinstance(t, int))
            continue
        top = upper_bound(atom.left, extents) if atom.op == "//" else None
        if top is None or not isinstance(atom.right, int):
            return None
        result = result * floor_div(top, atom.right)
    return result


def is_nonnegative(dim: Dim, extents: Mapping[str, Dim]) -> bool:
    """Whether `dim` is proven to be >= 0; the model's symbols are taken as >= 1.

    A name that is neither theirs nor an index's may stand for a loaded value, of any sign.
    """
    if isinstance(dim, int):
        return dim >= 0
    shifted: Dim = 0
    for atoms, coefficient in dim.terms:
        factor: Dim = coefficient
        for atom in atoms:
            if isinstance(atom, Symbol) and atom.name in extents:
                factor = factor * atom_dim(atom)
            elif isinstance(atom, Symbol) and _is_models(atom.name):
                factor = factor * (atom_dim(atom) + 1)
            elif isinstance(atom, Operation) and (any if atom.op == "max" else all)(
                is_nonnegative(part, extents) for part in atom.parts()
            ):
                factor = factor * (atom_dim(atom) + _least(atom, extents))
            else:
                return False
        shifted = shifted + factor
    least = 0
    for atoms, coefficient in terms_of(shifted):
        if not atoms:
            least += coefficient
        elif coefficient < 0:
            remainders = all(isinstance(a, Operation) and a.op == "%" for a in atoms)
            most = _largest(atoms, extents) if remainders else None
            if not isinstance(most, int):
                return False
            least += coefficient * most
    return least >= 0


def _least(atom: Operation, extents: Mapping[str, Dim]) -> int:
    """What a quotient is at least whose parts aren't negative: an image halved has a row still."""
    if atom.op != "//" or not isinstance(atom.right, int):
        return 0
    total = 0
    for atoms, coefficient in terms_of(atom.left):
        part = coefficient
        for a in atoms:
            if isinstance(a, Operation):
                part *= _least(a, extents)
            elif not isinstance(a, Symbol) or a.name in extents or not _is_models(a.name):
                part = min(part, 0)
        if part < 0 and atoms:
            return 0
        total += part
    return max(total, 0) // atom.right


def _is_models(name: str) -> bool:
    """`s0`, `s1` …: a symbol of the model."""
    return name[0] == "s" and name[1:].isdecimal()


def is_below(dim: Dim, limit: Dim, extents: Mapping[str, Dim]) -> bool:
    """Whether `0 <= dim < limit` is proven."""
    if not is_nonnegative(dim, extents):
        return False
    if isinstance(dim, Symbolic) and len(dim.terms) == 1 and len(dim.terms[0][0]) == 1:
        atom, coefficient = dim.terms[0][0][0], dim.terms[0][1]
        if isinstance(atom, Operation) and atom.op in ("min", "max") and coefficient == 1:
            fits = [is_at_most(part, limit - 1, extents) for part in atom.parts()]
            return any(fits) if atom.op == "min" else all(fits)
        if isinstance(atom, Operation) and atom.op == "//" and coefficient == 1:
            return is_below(atom.left, limit * atom.right, extents)
    top = upper_bound(dim, extents)
    return top is not None and is_nonnegative(limit - 1 - top, {})


def is_at_most(left: Dim, right: Dim, extents: Mapping[str, Dim]) -> bool:
    """Whether `left <= right` is proven, for all values of indices and symbols."""
    top = upper_bound(left - right, extents)
    if top is None:
        return False
    if is_nonnegative(-top, {}):
        return True
    largest = 0
    for atoms, coefficient in terms_of(top):
        if not all(isinstance(a, Symbol) and _is_models(a.name) for a in atoms):
            return False
        largest += coefficient * (MAX_SYMBOL ** len(atoms) if coefficient > 0 else 1)
    return largest <= 0


def simplify(dim: Dim, extents: Mapping[str, Dim]) -> Dim:
    """Remove operations that the extents of the indices make needless."""
    if isinstance(dim, int) or not dim.compound:
        return dim
    return _simplified(dim, tuple(extents.items()))


@functools.lru_cache(maxsize=1 << 14)
def _simplified(dim: Symbolic, known: tuple[tuple[str, Dim], ...]) -> Dim:
    """`simplify`; passes ask the same again and again, a picture's rows and columns most of all."""
    extents = dict(known)

    def change(atom: Atom) -> Dim | None:
        if not isinstance(atom, Operation):
            return None
        left, right = simplify(atom.left, extents), simplify(atom.right, extents)
        if atom.op in ("min", "max"):
            for less, more in ((left, right), (right, left)):
                if is_at_most(less, more, extents):
                    return less if atom.op == "min" else more
            return OPERATIONS[atom.op](left, right)
        quotient, rest = divide_exactly(left, right)
        if is_below(rest, right, extents):
            return quotient if atom.op == "//" else rest
        nested = _nested_quotient(atom.op, left, right) or _split_by_gcd(
            atom.op, left, right, extents
        )
        if nested is not None:
            return simplify(nested, extents)
        return OPERATIONS[atom.op](left, right)

    return rebuild(dim, change)


def _nested_quotient(op: str, left: Dim, right: Dim) -> Dim | None:
    """(x // a) // b = x // (a·b)."""
    if op == "//" and isinstance(left, Symbolic) and len(left.terms) == 1:
        (atoms, coefficient) = left.terms[0]
        if coefficient == 1 and len(atoms) == 1:
            inner = atoms[0]
            if isinstance(inner, Operation) and inner.op == "//":
                return floor_div(inner.left, inner.right * right)
    return None


def _split_by_gcd(op: str, left: Dim, right: Dim, extents: Mapping[str, Dim]) -> Dim | None:
    """(g·x + c) // (g·d) = x // d and (g·x + c) % (g·d) = g·(x % d) + c, where 0 <= c < g."""
    for g in _common_factors(left, right):
        big, small = divide_exactly(left, g)
        if big != 0 and is_below(small, g, extents):
            divisor, _ = divide_exactly(right, g)
            return floor_div(big, divisor) if op == "//" else modulo(big, divisor) * g + small
    return None


def _common_factors(left: Dim, right: Dim) -> Iterator[Dim]:
    """Terms (and sums, other than 1) that divide `right` and perhaps a part of `left`."""
    content = math.gcd(*(c for _, c in terms_of(right)))
    if len(terms_of(right)) > 1:
        for number in range(2, min(content, _MOST_PARTS) + 1):
            if content % number == 0:
                yield floor_div(right, number)
    numbers = sorted({math.gcd(c, content) for _, c in terms_of(left)}, reverse=True)
    atoms = terms_of(right)[0][0] if len(terms_of(right)) == 1 else ()
    for count in range(len(atoms), -1, -1):
        for chosen in dict.fromkeys(itertools.combinations(atoms, count)):
            for number in numbers:
                if chosen or number != 1:
                    yield sum_terms([(chosen, number)])
