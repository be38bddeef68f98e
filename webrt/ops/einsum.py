"""Einsum, the whole grammar: each step a Map, a Reduce, or a contraction of two operands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel.expr import Expr, Ref, call
from webrt.kernel.problem import Contract, Map, Pass, Reduce
from webrt.ops.conv import digits
from webrt.ops.emit import Emitter, Operands, flat, indices
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, hold_equal, same_dim, shape_text

_TERM = re.compile(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*")
_TYPICAL = 64


@dataclass(frozen=True, slots=True)
class Equation:
    """The labels of every operand's axes and of the result's; an ellipsis's are `0`, `1` …"""

    operands: tuple[tuple[str, ...], ...]
    result: tuple[str, ...]
    extents: dict[str, Dim]


def parse(site: Site) -> Equation:
    """The equation of a node. Raises ShapeError where it is none, or doesn't fit the operands."""
    text = site.text("equation").replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if not all(_TERM.fullmatch(t) for t in (*terms, right)):
        raise site.shape_error("an equation like ij,jk->ik", repr(text))
    if len(terms) != len(site.inputs):
        raise site.shape_error(f"{len(terms)} operands for {text!r}", str(len(site.inputs)))
    ellipses = [_ellipsis(site, t, site.input(j).shape) for j, t in enumerate(terms)]
    most = max(ellipses)
    operands = tuple(_labels(t, n, most) for t, n in zip(terms, ellipses, strict=True))
    extents: dict[str, Dim] = {}
    for number, labels in enumerate(operands):
        for label, extent in zip(labels, site.input(number).shape, strict=True):
            extents[label] = _joined(site, label, extents.get(label, 1), extent)
    if arrow:
        result = _labels(right, most if "..." in right else 0, most)
        if len(set(result)) != len(result) or not set(result) <= extents.keys():
            raise site.shape_error("labels of operands, each once, in the result", repr(right))
    else:
        letters = [label for labels in operands for label in labels]
        once = sorted(n for n in set(letters) if n.isalpha() and letters.count(n) == 1)
        result = (*map(str, range(most)), *once)
    return Equation(operands, result, extents)


def _ellipsis(site: Site, term: str, shape: tuple[Dim, ...]) -> int:
    """How many axes an operand's ellipsis stands for."""
    named = len(term.replace("...", ""))
    found = len(shape) - named
    if found < 0 or (found and "..." not in term):
        raise site.shape_error(f"an operand {term!r}", shape_text(shape))
    return found


def _labels(term: str, count: int, most: int) -> tuple[str, ...]:
    before, dots, after = term.partition("...")
    middle = map(str, range(most - count, most)) if dots else ()
    return (*before, *middle, *after)


def _joined(site: Site, label: str, known: Dim, extent: Dim) -> Dim:
    """The extent of a label; 1 broadcasts."""
    if known == 1 or same_dim(known, extent) is True:
        return extent if known == 1 else known
    if extent == 1:
        return known
    error = site.shape_error(f"{label!r} of one length", f"{known} and {extent}")
    hold_equal(site, error, known, extent)
    return known


@operator("Einsum", Attr("equation"), since=12)
class Einsum:
    """Operands are contracted in pairs, the cheapest first."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        equation = parse(site)
        shape = tuple(equation.extents[label] for label in equation.result)
        return (Inferred(site.input(0).dtype, shape),)

    @staticmethod
    def reference(site: Site, *arrays: Tensor) -> tuple[Tensor, ...]:
        found = np.einsum(site.text("equation").replace(" ", ""), *arrays, optimize=True)
        return (np.asarray(found, arrays[0].dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        equation = parse(site)
        left = [Term(site.input(j), labels) for j, labels in enumerate(equation.operands)]
        number = 0
        while len(left) > 2:
            one, two = _cheapest(left, equation)
            rest = [t for t in left if t is not one and t is not two]
            needed = {label for t in rest for label in t.labels} | set(equation.result)
            kept = tuple(dict.fromkeys(n for n in (*one.labels, *two.labels) if n in needed))
            shape = tuple(equation.extents[label] for label in kept)
            made = emit.temporary(f"product{number}", one.value.dtype, shape)
            _contract(emit, (one, two), Term(made, kept), equation)
            left, number = [*rest, Term(made, kept)], number + 1
        result = Term(emit.outputs[0], equation.result)
        if len(left) == 2:
            _contract(emit, (left[0], left[1]), result, equation)
        else:
            _sum(emit, left[0], result, equation)


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A tensor and the labels of its axes, some of them perhaps the same."""

    value: Value
    labels: tuple[str, ...]

    def at(self, operands: Operands, place: dict[str, Dim]) -> Expr:
        """The element where each label has its place; an axis of 1 is broadcast."""
        shape = self.value.shape
        spots = zip(shape, self.labels, strict=True)
        at = [0 if extent == 1 else place[label] for extent, label in spots]
        return operands.load(self.value, flat(at, shape))


def _cheapest(terms: Sequence[Term], equation: Equation) -> tuple[Term, Term]:
    """The pair whose labels span the smallest space."""

    def space(one: Term, two: Term) -> int:
        total = 1
        for label in {*one.labels, *two.labels}:
            extent = equation.extents[label]
            total *= extent if isinstance(extent, int) else _TYPICAL
        return total

    pairs = [(a, b) for j, a in enumerate(terms) for b in terms[j + 1 :]]
    return min(pairs, key=lambda pair: space(*pair))


def _sum(emit: Emitter, term: Term, result: Term, equation: Equation) -> None:
    """One operand: moved, its diagonal taken, summed over what the result lacks."""
    shape = tuple(equation.extents[label] for label in result.labels)
    gone = tuple(dict.fromkeys(n for n in term.labels if n not in result.labels))
    at = indices(len(shape))
    place = dict(zip(result.labels, at, strict=True))
    place |= {label: dims.symbol(f"r{j}") for j, label in enumerate(gone)}
    operands = emit.operands()
    element = term.at(operands, place)
    offset = flat(at, shape)
    if not gone:
        stored = emit.stored(result.value, offset, element)
        problem: Map | Reduce = Map(shape, operands.declared(), (stored,))
    else:
        stored = emit.stored(result.value, offset, Ref("p0", element.dtype))
        extents = tuple(equation.extents[label] for label in gone)
        passes = (Pass("sum", element),)
        problem = Reduce(shape, extents, operands.declared(), passes, (stored,))
    emit.problem(problem, operands, [result.value])


def _contract(emit: Emitter, terms: tuple[Term, Term], result: Term, equation: Equation) -> None:
    """Two operands: what both and the result have is the batch, what the result lacks is k."""
    one, two = terms
    left, right = (_real(term, equation) for term in terms)
    kept = result.labels
    batch = [n for n in kept if n in left and n in right]
    rows = [n for n in kept if n not in batch and n not in right]
    columns = [n for n in kept if n not in batch and n not in rows]
    summed = list(dict.fromkeys(n for n in (*one.labels, *two.labels) if n not in kept))
    if not (set(summed) & left & right):
        _multiply(emit, terms, result, equation, summed)
        return
    place: dict[str, Dim] = {n: dims.symbol(f"b{j}") for j, n in enumerate(batch)}
    sizes: list[Dim] = []
    for name, labels in (("m", rows), ("n", columns), ("k", summed)):
        extents = [equation.extents[n] for n in labels]
        sizes.append(dims.product(tuple(extents)))
        place |= dict(zip(labels, digits(dims.symbol(name), extents), strict=True))
    operands = emit.operands()
    a, b = one.at(operands, place), two.at(operands, place)
    shape = tuple(equation.extents[n] for n in kept)
    offset = flat([place[n] for n in kept], shape)
    stored = emit.stored(result.value, offset, Ref("acc", a.dtype))
    space = tuple(equation.extents[n] for n in batch)
    problem = Contract(
        space, sizes[0], sizes[1], sizes[2], operands.declared(), a, b, (stored,)
    )  # fmt: skip
    emit.problem(problem, operands, [result.value])


def _real(term: Term, equation: Equation) -> set[str]:
    """The labels along which an operand isn't broadcast."""
    pairs = zip(term.labels, term.value.shape, strict=True)
    return {n for n, extent in pairs if extent != 1 or equation.extents[n] == 1}


def _multiply(
    emit: Emitter,
    terms: tuple[Term, Term],
    result: Term,
    equation: Equation,
    summed: Sequence[str],
) -> None:
    """A product that shares no sum: elementwise, or sums of one operand beside the other."""
    shape = tuple(equation.extents[n] for n in result.labels)
    at = indices(len(shape))
    place = dict(zip(result.labels, at, strict=True))
    place |= {label: dims.symbol(f"r{j}") for j, label in enumerate(summed)}
    operands = emit.operands()
    one, two = (term.at(operands, place) for term in terms)
    element = call("and" if one.dtype is DType.BOOL else "mul", one, two)
    offset = flat(at, shape)
    if summed:
        stored = emit.stored(result.value, offset, Ref("p0", element.dtype))
        extents = tuple(equation.extents[n] for n in summed)
        passes = (Pass("sum", element),)
        problem: Map | Reduce = Reduce(shape, extents, operands.declared(), passes, (stored,))
    else:
        stored = emit.stored(result.value, offset, element)
        problem = Map(shape, operands.declared(), (stored,))
    emit.problem(problem, operands, [result.value])
