"""What stands in a dim, and dims with other things in the place of their atoms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from webrt.dims.algebra import (
    Atom,
    Dim,
    Monomial,
    Symbol,
    Symbolic,
    atom_dim,
    split_literal,
    sum_terms,
    terms_of,
)


def lone_symbol(dim: Dim) -> str | None:
    """The name of the symbol that `dim` is, or None where it is something else."""
    if isinstance(dim, Symbolic) and len(dim.terms) == 1:
        atoms, coefficient = dim.terms[0]
        if coefficient == 1 and len(atoms) == 1 and isinstance(atoms[0], Symbol):
            return atoms[0].name
    return None


def scaled_symbol(dim: Dim) -> tuple[str, int, int] | None:
    """(name, factor, less) where `dim` is a positive multiple of a symbol, or one less than it."""
    if not isinstance(dim, Symbolic):
        return None
    whole, literal = split_literal(dim)
    if len(whole.terms) == 1 and literal in (0, -1):
        atoms, coefficient = whole.terms[0]
        single = coefficient == 1 or (coefficient > 1 and not literal)
        if single and len(atoms) == 1 and isinstance(atoms[0], Symbol):
            return atoms[0].name, coefficient, -literal
    return None


def rebuild(dim: Dim, atom_change: Callable[[Atom], Dim | None]) -> Dim:
    """Replace atoms bottom up; `atom_change` returns None for one whose parts are to be visited."""

    def rebuilt(atom: Atom) -> Dim | None:
        changed = atom_change(atom)
        return atom.rebuild(visit) if changed is None else changed

    def visit(part: Dim) -> Dim:
        return replace_atoms(part, rebuilt)

    return visit(dim)


def replace_atoms(dim: Dim, replacement: Callable[[Atom], Dim | None]) -> Dim:
    """`dim` with what stands for each atom of its own; None is the atom itself."""
    if isinstance(dim, int):
        return dim
    terms: list[tuple[Monomial, int]] = []
    same = True
    for term in dim.terms:
        atoms, coefficient = term
        factors = [replacement(atom) for atom in atoms]
        if factors.count(None) == len(factors):
            terms.append(term)
            continue
        same = False
        product: Dim = coefficient
        for atom, factor in zip(atoms, factors, strict=True):
            product = product * (atom_dim(atom) if factor is None else factor)
        terms += terms_of(product)
    return dim if same else sum_terms(terms)


def substitute(dim: Dim, mapping: Mapping[str, Dim]) -> Dim:
    """Replace symbols by dims, everywhere in `dim`."""

    def replacement(atom: Atom) -> Dim | None:
        return mapping.get(atom.name) if isinstance(atom, Symbol) else atom.rebuild(visit)

    def visit(part: Dim) -> Dim:
        kept = isinstance(part, int) or part.names.isdisjoint(mapping)
        return part if kept else replace_atoms(part, replacement)

    return visit(dim)


def atoms_of(dim: Dim) -> Iterator[Atom]:
    """Every atom in `dim`, the nested ones included."""
    for monomial, _ in terms_of(dim):
        for atom in monomial:
            yield atom
            for part in atom.parts():
                yield from atoms_of(part)
