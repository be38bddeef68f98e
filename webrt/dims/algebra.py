"""Symbolic integers in normal form: atoms, polynomials, their arithmetic, evaluation.

A `Dim` is an int or a `Symbolic`: a polynomial with integer coefficients over atoms, kept in a
normal form, so that equal polynomials are equal objects. An atom is a symbol (a dynamic dim of the
model `s0`, or an index of an iteration space `i0`, `m`, `k`), a floor division, a modulo, a minimum
or a maximum; `kernel/expr.py` adds one more, a value that is loaded from memory.

Symbols of a model are at least 1 and at most `MAX_SYMBOL`; an index runs from 0 to its extent - 1.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

MAX_SYMBOL = 1 << 20
"""The largest value that a dynamic dim may be bound to: integer ranges are proven with it."""


class Atom:
    """An indivisible factor of a monomial. Subclasses are frozen dataclasses.

    No ABC: `isinstance` of one takes ten times as long, and lowering asks it without end.
    """

    __slots__ = ()

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def evaluate(self, bindings: Mapping[str, int]) -> int: ...

    @abstractmethod
    def rebuild(self, change: Callable[[Dim], Dim]) -> Dim | None:
        """The atom with every Dim in it changed; None where none changes."""

    @abstractmethod
    def parts(self) -> tuple[Dim, ...]:
        """The Dims inside the atom."""


@dataclass(frozen=True, slots=True)
class Symbol(Atom):
    name: str

    def __str__(self) -> str:
        return self.name

    def evaluate(self, bindings: Mapping[str, int]) -> int:
        return bindings[self.name]

    def rebuild(self, change: Callable[[Dim], Dim]) -> None:
        return None

    def parts(self) -> tuple[Dim, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Operation(Atom):
    """`left op right` with op one of `//`, `%` (both floor, as in Python), `min`, `max`."""

    op: str
    left: Dim
    right: Dim
    _hash: int = field(init=False, repr=False, compare=False)
    _text: str | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.op, self.left, self.right)))
        object.__setattr__(self, "_text", None)

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        if self._text is None:  # terms are sorted by it, so it is asked for often
            object.__setattr__(self, "_text", self._print())
        assert self._text is not None
        return self._text

    def _print(self) -> str:
        if self.op in ("min", "max"):
            return f"{self.op}({self.left}, {self.right})"
        right = _bracket(self.right)
        right = f"({right})" if "*" in right and not right.startswith("(") else right
        return f"({_bracket(self.left)} {self.op} {right})"

    def evaluate(self, bindings: Mapping[str, int]) -> int:
        result = OPERATIONS[self.op](evaluate(self.left, bindings), evaluate(self.right, bindings))
        assert isinstance(result, int)
        return result

    def rebuild(self, change: Callable[[Dim], Dim]) -> Dim | None:
        left, right = change(self.left), change(self.right)
        if left is self.left and right is self.right:
            return None
        return OPERATIONS[self.op](left, right)

    def parts(self) -> tuple[Dim, ...]:
        return (self.left, self.right)


Monomial = tuple[Atom, ...]


class _Kept:
    """What is worked out of a polynomial when it is first asked for: passes ask again and again."""

    __slots__ = ("_compound", "_hash", "_names")
    _hash: int
    _compound: tuple[Atom, ...]
    _names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Symbolic(_Kept):
    """A polynomial that is no constant: sorted pairs of (sorted atoms, nonzero coefficient)."""

    terms: tuple[tuple[Monomial, int], ...]

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            object.__setattr__(self, "_hash", hash(self.terms))
            return self._hash

    @property
    def compound(self) -> tuple[Atom, ...]:
        """The atoms of its monomials that are no symbols, in order."""
        try:
            return self._compound
        except AttributeError:
            found = [a for atoms, _ in self.terms for a in atoms if not isinstance(a, Symbol)]
            object.__setattr__(self, "_compound", tuple(found))
            return self._compound

    @property
    def names(self) -> frozenset[str]:
        """The symbols anywhere in it."""
        try:
            return self._names
        except AttributeError:
            found = {a.name for atoms, _ in self.terms for a in atoms if isinstance(a, Symbol)}
            inside = [free_symbols(part) for atom in self.compound for part in atom.parts()]
            object.__setattr__(self, "_names", frozenset(found.union(*inside)))
            return self._names

    def __add__(self, other: Dim) -> Dim:
        if not isinstance(other, int):
            return sum_terms([*self.terms, *other.terms])
        if other == 0:
            return self
        atoms, coefficient = self.terms[-1]
        if atoms:
            return Symbolic((*self.terms, ((), other)))
        rest = self.terms[:-1]
        return Symbolic((*rest, ((), coefficient + other)) if coefficient + other else rest)

    def __mul__(self, other: Dim) -> Dim:
        if isinstance(other, int):
            if other in (0, 1):
                return self if other else 0
            return Symbolic(tuple((atoms, c * other) for atoms, c in self.terms))
        return sum_terms(multiply_terms(self.terms, terms_of(other)))

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1

    def __rsub__(self, other: Dim) -> Dim:
        return self * -1 + other

    def __floordiv__(self, other: Dim) -> Dim:
        return floor_div(self, other)

    def __rfloordiv__(self, other: Dim) -> Dim:
        return floor_div(other, self)

    def __mod__(self, other: Dim) -> Dim:
        return modulo(self, other)

    def __rmod__(self, other: Dim) -> Dim:
        return modulo(other, self)

    def __str__(self) -> str:
        text = ""
        for atoms, coefficient in self.terms:
            factors = [str(a) for a in atoms]
            if abs(coefficient) != 1 or not atoms:
                factors.insert(0, str(abs(coefficient)))
            sign = (
                ("-" if coefficient < 0 else "")
                if not text
                else " - "
                if coefficient < 0
                else " + "
            )
            text += sign + "*".join(factors)
        return text

    def __repr__(self) -> str:
        return f"<{self}>"


Dim = Union[int, Symbolic]


@functools.lru_cache(1 << 10)
def symbol(name: str) -> Symbolic:
    """The Dim that is one symbol."""
    return Symbolic((((Symbol(name),), 1),))


def atom_dim(atom: Atom) -> Symbolic:
    """The Dim that is one atom."""
    return Symbolic((((atom,), 1),))


def terms_of(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    if isinstance(dim, int):
        return (((), dim),) if dim else ()
    return dim.terms


def split_literal(dim: Symbolic) -> tuple[Symbolic, int]:
    """`dim` without its literal term, and that term."""
    atoms, coefficient = dim.terms[-1]  # a literal is last
    return (dim, 0) if atoms else (Symbolic(dim.terms[:-1]), coefficient)


def total(parts: Iterable[Dim]) -> Dim:
    """The sum of many dims, brought to its normal form once."""
    return sum_terms([term for part in parts for term in terms_of(part)])


def sum_terms(terms: Sequence[tuple[Monomial, int]]) -> Dim:
    if len(terms) == 1:
        ((atoms, coefficient),) = terms
        return Symbolic(((atoms, coefficient),)) if atoms and coefficient else coefficient
    total: dict[Monomial, int] = {}
    remainders = False
    for atoms, coefficient in terms:
        if atoms in total:
            total[atoms] += coefficient
        else:
            total[atoms] = coefficient
            for atom in atoms:
                remainders |= isinstance(atom, Operation) and atom.op == "%"
    if 0 in total.values():
        total = {atoms: c for atoms, c in total.items() if c}
    if remainders:
        total = _fold_div_mod(total)
    if len(total) > 1:
        return Symbolic(tuple(sorted(total.items(), key=_order)))
    if not total or () in total:
        return total.get((), 0)
    return Symbolic(tuple(total.items()))


def _order(term: tuple[Monomial, int]) -> tuple[bool, list[str]]:
    """Terms go by the names of their atoms, a literal is last."""
    return not term[0], [a.name if isinstance(a, Symbol) else str(a) for a in term[0]]


def _fold_div_mod(total: dict[Monomial, int]) -> dict[Monomial, int]:
    """Apply c·d·(x // d) + c·(x % d) = c·x wherever both terms are present."""
    for atoms, coefficient in list(total.items()):
        for position, atom in enumerate(atoms):
            if not (isinstance(atom, Operation) and atom.op == "%") or atoms not in total:
                continue
            quotient = Operation("//", atom.left, atom.right)
            rest = atoms[:position] + atoms[position + 1 :]
            whole = tuple(sorted((*rest, quotient), key=str))
            wanted = multiply_terms([(whole, coefficient)], terms_of(atom.right))
            if all(total.get(a) == c for a, c in wanted):
                for a, _ in [*wanted, (atoms, coefficient)]:
                    total.pop(a)
                merged = multiply_terms([(rest, coefficient)], terms_of(atom.left))
                folded = sum_terms([*total.items(), *merged])
                return dict(terms_of(folded))
    return total


def multiply_terms(
    left: Iterable[tuple[Monomial, int]], right: tuple[tuple[Monomial, int], ...]
) -> list[tuple[Monomial, int]]:
    """Every term by every other; the atoms of each are sorted."""
    return [
        (tuple(sorted(a + b, key=str)) if a and b else a or b, x * y)
        for a, x in left
        for b, y in right
    ]


def divide_exactly(dim: Dim, divisor: Dim) -> tuple[Dim, Dim]:
    """Split `dim` into (quotient, rest) with dim = quotient·divisor + rest, term by term.

    A term that a divisor of one term doesn't divide goes to the rest, as does the remainder
    (0 <= r < divisor) of an integer coefficient.
    """
    parts = terms_of(divisor)
    if len(parts) != 1:
        return _divide_by_sum(dim, divisor)
    divisor_atoms, divisor_coefficient = parts[0]
    quotient: list[tuple[Monomial, int]] = []
    rest: list[tuple[Monomial, int]] = []
    for atoms, coefficient in terms_of(dim):
        left = list(atoms)
        for atom in divisor_atoms:
            if atom not in left:
                break
            left.remove(atom)
        else:
            whole, remainder = divmod(coefficient, divisor_coefficient)
            if remainder and (divisor_atoms or atoms):
                whole, remainder = 0, coefficient
            quotient.append((tuple(left), whole))
            rest.append((atoms, remainder))
            continue
        rest.append((atoms, coefficient))
    return sum_terms(quotient), sum_terms(rest)


def _divide_by_sum(dim: Dim, divisor: Dim) -> tuple[Dim, Dim]:
    """`divide_exactly` by several terms: take out multiples while that leaves fewer terms."""
    lead, lead_coefficient = max(terms_of(divisor), key=lambda t: len(t[0]))
    quotient: Dim = 0
    for atoms, coefficient in terms_of(dim):
        if coefficient % lead_coefficient or any(atoms.count(a) < lead.count(a) for a in lead):
            continue
        left = list(atoms)
        for atom in lead:
            left.remove(atom)
        factor = sum_terms([(tuple(left), coefficient // lead_coefficient)])
        rest = dim - factor * divisor
        if len(terms_of(rest)) < len(terms_of(dim)):
            quotient, dim = quotient + factor, rest
    return quotient, dim


def floor_div(left: Dim, right: Dim) -> Dim:
    """`left // right`, rounding down; `right` must be positive."""
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    if right == 1 or left == 0:
        return left
    quotient, rest = divide_exactly(left, right)
    if rest == 0:
        return quotient
    if quotient != 0:
        return quotient + floor_div(rest, right)
    return atom_dim(Operation("//", left, right))


def modulo(left: Dim, right: Dim) -> Dim:
    """`left % right`, never negative; `right` must be positive."""
    if isinstance(left, int) and isinstance(right, int):
        return left % right
    if right == 1 or left == 0:
        return 0
    _, rest = divide_exactly(left, right)
    if rest != left:
        return modulo(rest, right)
    return atom_dim(Operation("%", left, right))


def ceil_div(left: Dim, right: Dim) -> Dim:
    """`left / right` rounded up."""
    if isinstance(left, int) and isinstance(right, int):
        return -(-left // right)
    return floor_div(left + right - 1, right)


def dim_min(left: Dim, right: Dim) -> Dim:
    if isinstance(left, int) and isinstance(right, int):
        return min(left, right)
    return left if left == right else atom_dim(Operation("min", left, right))


def dim_max(left: Dim, right: Dim) -> Dim:
    if isinstance(left, int) and isinstance(right, int):
        return max(left, right)
    return left if left == right else atom_dim(Operation("max", left, right))


OPERATIONS: dict[str, Callable[[Dim, Dim], Dim]] = {
    "//": floor_div,
    "%": modulo,
    "min": dim_min,
    "max": dim_max,
}


def product(dims: tuple[Dim, ...]) -> Dim:
    """The product of dims, 1 for none: the number of elements of a shape."""
    result: Dim = 1
    for dim in dims:
        result = result * dim
    return result


def evaluate(dim: Dim, bindings: Mapping[str, int]) -> int:
    """The integer that `dim` is under `bindings`; raises KeyError for an unbound symbol."""
    if isinstance(dim, int):
        return dim
    total = 0
    for atoms, coefficient in dim.terms:
        for atom in atoms:
            coefficient *= atom.evaluate(bindings)
        total += coefficient
    return total


def free_symbols(dim: Dim) -> frozenset[str]:
    """Names of all symbols in `dim`."""
    return frozenset() if isinstance(dim, int) else dim.names


def _bracket(dim: Dim) -> str:
    text = str(dim)
    return f"({text})" if " " in text and not isinstance(dim, int) else text
