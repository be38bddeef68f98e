"""Bijections between an iteration space and the flat elements of a tensor, and their inverses.

A flat offset such as `(m // s1)*(s1*64) + k` is read as digits in a mixed radix: each digit is an
index or a part of one (`i`, `i // c`, `i % c`, `(i // a) % b`) with an extent and a stride.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim, Operation, Symbol


@dataclass(frozen=True, slots=True)
class Digit:
    """`(index // place) % extent` of an index, times `stride` in the flat offset."""

    index: str
    place: Dim
    extent: Dim
    stride: Dim


def row_major(extents: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The strides of a contiguous tensor."""
    strides: list[Dim] = []
    step: Dim = 1
    for extent in reversed(extents):
        strides.append(step)
        step = step * extent
    return tuple(reversed(strides))


def flat(space: Mapping[str, Dim]) -> Dim:
    """The row-major offset of a point of an iteration space (index name -> extent)."""
    strides = row_major(tuple(space.values()))
    total: Dim = 0
    for name, stride in zip(space, strides, strict=True):
        total = total + dims.symbol(name) * stride
    return total


def exact_quotient(dim: Dim, divisor: Dim) -> Dim | None:
    """`dim / divisor` where it is proven to be whole."""
    quotient = dims.floor_div(dim, divisor)
    return quotient if quotient * divisor == dim else None


def _digit(atom: dims.Atom, extents: Mapping[str, Dim]) -> tuple[str, Dim, Dim] | None:
    """(index, place, extent) of an atom that is a digit of an index."""
    match atom:
        case Symbol(name) if name in extents:
            return name, 1, extents[name]
        case Operation("//", left, right):
            inner = _lone(left, extents)
            whole = exact_quotient(inner[2], right) if inner else None
            return (inner[0], inner[1] * right, whole) if inner and whole is not None else None
        case Operation("%", left, right):
            inner = _lone(left, extents)
            whole = exact_quotient(inner[2], right) if inner else None
            return (inner[0], inner[1], right) if inner and whole is not None else None
    return None


def _lone(dim: Dim, extents: Mapping[str, Dim]) -> tuple[str, Dim, Dim] | None:
    """The digit that `dim` is, if it is one alone."""
    if isinstance(dim, int) or len(dim.terms) != 1:
        return None
    atoms, coefficient = dim.terms[0]
    return _digit(atoms[0], extents) if len(atoms) == 1 and coefficient == 1 else None


def _depends(atom: dims.Atom, extents: Mapping[str, Dim]) -> bool:
    if isinstance(atom, Symbol):
        return atom.name in extents
    if not isinstance(atom, Operation):
        return True  # a loaded value: never a digit
    return any(_depends(a, extents) for part in atom.parts() for a in dims.atoms_of(part))


def digits(offset: Dim, extents: Mapping[str, Dim]) -> list[Digit] | None:
    """The digits of a flat offset, or None where it is no sum of digits."""
    strides: dict[dims.Atom, Dim] = {}
    terms = () if isinstance(offset, int) else offset.terms
    if isinstance(offset, int) and offset != 0:
        return None
    for atoms, coefficient in terms:
        moving = [a for a in atoms if _depends(a, extents)]
        if len(moving) != 1:
            return None
        stride: Dim = coefficient
        for atom in atoms:
            if atom is not moving[0]:
                stride = stride * dims.atom_dim(atom)
        strides[moving[0]] = strides.get(moving[0], 0) + stride
    found: list[Digit] = []
    for atom, stride in strides.items():
        digit = _digit(atom, extents)
        if digit is None:
            return None
        found.append(Digit(*digit, stride))
    return found


def _complete(found: list[Digit], extents: Mapping[str, Dim]) -> bool:
    """Whether the digits of every index make up the whole index."""
    for name, extent in extents.items():
        place: Dim = 1
        mine = [d for d in found if d.index == name]
        while mine:
            step = next((d for d in mine if d.place == place), None)
            if step is None:
                return False
            mine.remove(step)
            place = place * step.extent
        if place != extent:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Inverse:
    """Digits in order of rising stride: a bijection onto 0 … size - 1."""

    digits: tuple[Digit, ...]
    indices: tuple[str, ...]
    size: Dim

    def at(self, offset: Dim, space: Mapping[str, Dim]) -> dict[str, Dim]:
        """The indices whose element lies at `offset`, simplified over the offset's own space."""
        result: dict[str, Dim] = {name: 0 for name in self.indices}
        for digit in self.digits:
            value = dims.simplify(dims.floor_div(offset, digit.stride), space)
            if digit.stride * digit.extent != self.size:
                value = dims.simplify(dims.modulo(value, digit.extent), space)
            result[digit.index] = result[digit.index] + digit.place * value
        return {name: dims.simplify(value, space) for name, value in result.items()}


def invert(offset: Dim, extents: Mapping[str, Dim]) -> Inverse | None:
    """The inverse of a flat offset over an iteration space; None where it isn't seen to be one."""
    found = digits(offset, extents)
    if found is None:
        return None
    found = [d for d in found if d.extent != 1]
    moving = {name: extent for name, extent in extents.items() if extent != 1}
    if not _complete(found, moving):
        return None
    ordered: list[Digit] = []
    step: Dim = 1
    while found:
        digit = next((d for d in found if d.stride == step), None)
        if digit is None:
            return None
        found.remove(digit)
        ordered.append(digit)
        step = step * digit.extent
    return Inverse(tuple(ordered), tuple(extents), step)
