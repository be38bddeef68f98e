"""Symbolic integers: the dims of a model, and the index arithmetic of its kernels.

A `Dim` is an int or a `Symbolic`: a polynomial with integer coefficients over atoms, kept in a
normal form, so that equal polynomials are equal objects. An atom is a symbol (a dynamic dim of the
model `s0`, or an index of an iteration space `i0`, `m`, `k`), a floor division, a modulo, a minimum
or a maximum; `kernel/expr.py` adds one more, a value that is loaded from memory.

Symbols of a model are at least 1 and at most `MAX_SYMBOL`; an index runs from 0 to its extent - 1.
"""

from __future__ import annotations

import ast
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Union

MAX_SYMBOL = 1 << 20
"""The largest value that a dynamic dim may be bound to: integer ranges are proven with it."""

Json = Union[int, str, list["Json"]]


class Atom(ABC):
    """An indivisible factor of a monomial. Subclasses are frozen dataclasses."""

    __slots__ = ()

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def evaluate(self, bindings: Mapping[str, int]) -> int: ...

    @abstractmethod
    def rebuild(self, change: Callable[[Dim], Dim]) -> Dim:
        """The atom with every Dim in it changed."""

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

    def rebuild(self, change: Callable[[Dim], Dim]) -> Dim:
        return Symbolic((((self,), 1),))

    def parts(self) -> tuple[Dim, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Operation(Atom):
    """`left op right` with op one of `//`, `%` (both floor, as in Python), `min`, `max`."""

    op: str
    left: Dim
    right: Dim

    def __str__(self) -> str:
        if self.op in ("min", "max"):
            return f"{self.op}({self.left}, {self.right})"
        right = _bracket(self.right)
        right = f"({right})" if "*" in right and not right.startswith("(") else right
        return f"({_bracket(self.left)} {self.op} {right})"

    def evaluate(self, bindings: Mapping[str, int]) -> int:
        result = _OPERATIONS[self.op](evaluate(self.left, bindings), evaluate(self.right, bindings))
        assert isinstance(result, int)
        return result

    def rebuild(self, change: Callable[[Dim], Dim]) -> Dim:
        return _OPERATIONS[self.op](change(self.left), change(self.right))

    def parts(self) -> tuple[Dim, ...]:
        return (self.left, self.right)


Monomial = tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Symbolic:
    """A polynomial that is no constant: sorted pairs of (sorted atoms, nonzero coefficient)."""

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: Dim) -> Dim:
        return self if other == 0 else _sum([*self.terms, *_terms(other)])

    def __mul__(self, other: Dim) -> Dim:
        if isinstance(other, int):
            if other in (0, 1):
                return self if other else 0
            return Symbolic(tuple((atoms, c * other) for atoms, c in self.terms))
        return _sum(
            [
                (tuple(sorted(a + b, key=str)), x * y)
                for a, x in self.terms
                for b, y in _terms(other)
            ]
        )

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


def symbol(name: str) -> Symbolic:
    """The Dim that is one symbol."""
    return Symbolic((((Symbol(name),), 1),))


def atom_dim(atom: Atom) -> Symbolic:
    """The Dim that is one atom."""
    return Symbolic((((atom,), 1),))


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    if isinstance(dim, int):
        return (((), dim),) if dim else ()
    return dim.terms


def _sum(terms: list[tuple[Monomial, int]]) -> Dim:
    total: dict[Monomial, int] = {}
    for atoms, coefficient in terms:
        total[atoms] = total.get(atoms, 0) + coefficient
    kept = {atoms: c for atoms, c in total.items() if c}
    if not kept:
        return 0
    if len(kept) == 1 and () in kept:
        return kept[()]
    kept = _fold_div_mod(kept)
    if len(kept) == 1 and () in kept:
        return kept[()]
    order = sorted(kept.items(), key=lambda t: (not t[0], [str(a) for a in t[0]]))
    return Symbolic(tuple(order)) if order else 0


def _fold_div_mod(total: dict[Monomial, int]) -> dict[Monomial, int]:
    """Apply c·d·(x // d) + c·(x % d) = c·x wherever both terms are present."""
    for atoms, coefficient in list(total.items()):
        for position, atom in enumerate(atoms):
            if not (isinstance(atom, Operation) and atom.op == "%") or atoms not in total:
                continue
            quotient = Operation("//", atom.left, atom.right)
            rest = atoms[:position] + atoms[position + 1 :]
            wanted = _product([((*rest, quotient), coefficient)], _terms(atom.right))
            if all(total.get(a) == c for a, c in wanted):
                for a, _ in [*wanted, (atoms, coefficient)]:
                    total.pop(a)
                merged = _product([(rest, coefficient)], _terms(atom.left))
                folded = _sum([*total.items(), *merged])
                return dict(_terms(folded))
    return total


def _product(
    left: list[tuple[Monomial, int]], right: tuple[tuple[Monomial, int], ...]
) -> list[tuple[Monomial, int]]:
    return [(tuple(sorted(a + b, key=str)), x * y) for a, x in left for b, y in right]


def _divide_exactly(dim: Dim, divisor: Dim) -> tuple[Dim, Dim]:
    """Split `dim` into (quotient, rest) with dim = quotient·divisor + rest, term by term.

    A term that a divisor of one term doesn't divide goes to the rest, as does the remainder
    (0 <= r < divisor) of an integer coefficient.
    """
    parts = _terms(divisor)
    if len(parts) != 1:
        return _divide_by_sum(dim, divisor)
    divisor_atoms, divisor_coefficient = parts[0]
    quotient: list[tuple[Monomial, int]] = []
    rest: list[tuple[Monomial, int]] = []
    for atoms, coefficient in _terms(dim):
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
    return _sum(quotient), _sum(rest)


def _divide_by_sum(dim: Dim, divisor: Dim) -> tuple[Dim, Dim]:
    """`_divide_exactly` by several terms: take out multiples while that leaves fewer terms."""
    lead, lead_coefficient = max(_terms(divisor), key=lambda t: len(t[0]))
    quotient: Dim = 0
    for atoms, coefficient in _terms(dim):
        if coefficient % lead_coefficient or any(atoms.count(a) < lead.count(a) for a in lead):
            continue
        left = list(atoms)
        for atom in lead:
            left.remove(atom)
        factor = _sum([(tuple(left), coefficient // lead_coefficient)])
        rest = dim - factor * divisor
        if len(_terms(rest)) < len(_terms(dim)):
            quotient, dim = quotient + factor, rest
    return quotient, dim


def floor_div(left: Dim, right: Dim) -> Dim:
    """`left // right`, rounding down; `right` must be positive."""
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    if right == 1 or left == 0:
        return left
    quotient, rest = _divide_exactly(left, right)
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
    _, rest = _divide_exactly(left, right)
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


_OPERATIONS: dict[str, Callable[[Dim, Dim], Dim]] = {
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


def rebuild(dim: Dim, atom_change: Callable[[Atom], Dim | None]) -> Dim:
    """Replace atoms bottom up; `atom_change` returns None for one whose parts are to be visited."""
    if isinstance(dim, int):
        return dim
    result: Dim = 0
    for atoms, coefficient in dim.terms:
        factor: Dim = coefficient
        for atom in atoms:
            changed = atom_change(atom)
            if changed is None:
                changed = atom.rebuild(lambda part: rebuild(part, atom_change))
            factor = factor * changed
        result = result + factor
    return result


def substitute(dim: Dim, mapping: Mapping[str, Dim]) -> Dim:
    """Replace symbols by dims, everywhere in `dim`."""
    if not mapping:
        return dim
    return rebuild(dim, lambda a: mapping.get(a.name) if isinstance(a, Symbol) else None)


def atoms_of(dim: Dim) -> Iterator[Atom]:
    """Every atom in `dim`, the nested ones included."""
    for monomial, _ in _terms(dim):
        for atom in monomial:
            yield atom
            for part in atom.parts():
                yield from atoms_of(part)


def free_symbols(dim: Dim) -> set[str]:
    """Names of all symbols in `dim`."""
    return {a.name for a in atoms_of(dim) if isinstance(a, Symbol)}


def _bracket(dim: Dim) -> str:
    text = str(dim)
    return f"({text})" if " " in text and not isinstance(dim, int) else text


def upper_bound(dim: Dim, extents: Mapping[str, Dim]) -> Dim | None:
    """The largest value of `dim` while each index stays below its extent; None if unknown."""
    result: Dim = 0
    for atoms, coefficient in _terms(dim):
        bounded: Dim = coefficient
        for atom in atoms:
            if isinstance(atom, Symbol):
                extent = extents.get(atom.name)
                if extent is None:
                    bounded = bounded * symbol(atom.name)
                elif coefficient < 0:
                    bounded = 0
                else:
                    bounded = bounded * (extent - 1)
            elif isinstance(atom, Operation) and is_nonnegative(atom.left, extents):
                if coefficient < 0:
                    bounded = 0
                    continue
                if atom.op == "%":
                    bounded = bounded * (atom.right - 1)
                elif atom.op == "//" and isinstance(atom.right, int):
                    top = upper_bound(atom.left, extents)
                    if top is None:
                        return None
                    bounded = bounded * floor_div(top, atom.right)
                else:
                    return None
            else:
                return None
        result = result + bounded
    return result


def is_nonnegative(dim: Dim, extents: Mapping[str, Dim]) -> bool:
    """Whether `dim` is proven to be >= 0; symbols without an extent are taken as >= 1."""
    if isinstance(dim, int):
        return dim >= 0
    shifted: Dim = 0
    for atoms, coefficient in dim.terms:
        factor: Dim = coefficient
        for atom in atoms:
            if isinstance(atom, Symbol):
                base = 0 if atom.name in extents else 1
                factor = factor * (symbol(atom.name) + base)
            elif isinstance(atom, Operation) and (any if atom.op == "max" else all)(
                is_nonnegative(part, extents) for part in atom.parts()
            ):
                factor = factor * atom_dim(atom)
            else:
                return False
        shifted = shifted + factor
    return all(coefficient >= 0 for _, coefficient in _terms(shifted))


def is_below(dim: Dim, limit: Dim, extents: Mapping[str, Dim]) -> bool:
    """Whether `0 <= dim < limit` is proven."""
    if not is_nonnegative(dim, extents):
        return False
    if isinstance(dim, Symbolic) and len(dim.terms) == 1 and len(dim.terms[0][0]) == 1:
        atom, coefficient = dim.terms[0][0][0], dim.terms[0][1]
        if isinstance(atom, Operation) and atom.op in ("min", "max") and coefficient == 1:
            fits = [is_at_most(part, limit - 1, extents) for part in atom.parts()]
            return any(fits) if atom.op == "min" else all(fits)
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
    for atoms, coefficient in _terms(top):
        if not all(isinstance(a, Symbol) for a in atoms):
            return False
        largest += coefficient * (MAX_SYMBOL ** len(atoms) if coefficient > 0 else 1)
    return largest <= 0


def simplify(dim: Dim, extents: Mapping[str, Dim]) -> Dim:
    """Remove operations that the extents of the indices make needless."""
    if isinstance(dim, int):
        return dim

    def change(atom: Atom) -> Dim | None:
        if not isinstance(atom, Operation):
            return None
        left, right = simplify(atom.left, extents), simplify(atom.right, extents)
        if atom.op in ("min", "max"):
            for less, more in ((left, right), (right, left)):
                if is_at_most(less, more, extents):
                    return less if atom.op == "min" else more
            return _OPERATIONS[atom.op](left, right)
        quotient, rest = _divide_exactly(left, right)
        if is_below(rest, right, extents):
            return quotient if atom.op == "//" else rest
        nested = _nested_quotient(atom.op, left, right) or _split_by_gcd(
            atom.op, left, right, extents
        )
        if nested is not None:
            return simplify(nested, extents)
        return _OPERATIONS[atom.op](left, right)

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
        big, small = _divide_exactly(left, g)
        if big != 0 and is_below(small, g, extents):
            divisor, _ = _divide_exactly(right, g)
            return floor_div(big, divisor) if op == "//" else modulo(big, divisor) * g + small
    return None


def _common_factors(left: Dim, right: Dim) -> Iterator[Dim]:
    """Single terms other than 1 that divide `right` and perhaps a part of `left`."""
    content = math.gcd(*(c for _, c in _terms(right)))
    numbers = sorted({math.gcd(c, content) for _, c in _terms(left)}, reverse=True)
    atoms = _terms(right)[0][0] if len(_terms(right)) == 1 else ()
    for count in range(len(atoms), -1, -1):
        for chosen in dict.fromkeys(itertools.combinations(atoms, count)):
            for number in numbers:
                if chosen or number != 1:
                    yield _sum([(chosen, number)])


def parse(text: str) -> Dim:
    """The inverse of `str`; raises ValueError for anything else than dims arithmetic."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"not a dim: {text!r}") from error
    return _from_ast(tree.body)


def _from_ast(node: ast.expr) -> Dim:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.Name(id=name):
            return symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_from_ast(operand)
        case ast.BinOp(left=left, op=operator, right=right):
            a, b = _from_ast(left), _from_ast(right)
            match operator:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.FloorDiv():
                    return floor_div(a, b)
                case ast.Mod():
                    return modulo(a, b)
        case ast.Call(func=ast.Name(id=("min" | "max") as name), args=[left, right]):
            return _OPERATIONS[name](_from_ast(left), _from_ast(right))
    raise ValueError(f"not a dim: {ast.unparse(node)!r}")


def to_json(dim: Dim) -> Json:
    """Prefix form: an int, a symbol's name, or `[op, operand, …]` with op of `+ * // % min max`."""
    if isinstance(dim, int):
        return dim
    terms: list[Json] = []
    for atoms, coefficient in dim.terms:
        factors: list[Json] = [] if coefficient == 1 and atoms else [coefficient]
        for atom in atoms:
            if isinstance(atom, Symbol):
                factors.append(atom.name)
            elif isinstance(atom, Operation):
                factors.append([atom.op, to_json(atom.left), to_json(atom.right)])
            else:
                raise ValueError(f"{atom} has no JSON form")
        terms.append(factors[0] if len(factors) == 1 else ["*", *factors])
    return terms[0] if len(terms) == 1 else ["+", *terms]


def from_json(data: object) -> Dim:
    """The inverse of `to_json`; raises ValueError for malformed data."""
    if isinstance(data, int) and not isinstance(data, bool):
        return data
    if isinstance(data, str):
        if not data.isidentifier():
            raise ValueError(f"not a symbol: {data!r}")
        return symbol(data)
    if isinstance(data, list) and len(data) >= 3 and isinstance(data[0], str):
        operands = [from_json(part) for part in data[1:]]
        if data[0] in ("+", "*"):
            result = operands[0]
            for operand in operands[1:]:
                result = result + operand if data[0] == "+" else result * operand
            return result
        if data[0] in _OPERATIONS and len(operands) == 2:
            return _OPERATIONS[data[0]](operands[0], operands[1])
    raise ValueError(f"not a dim: {data!r}")
