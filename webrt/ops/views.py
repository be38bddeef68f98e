"""Operators that keep the elements in their order: reshapes, and what asks for a shape."""

from __future__ import annotations

import math

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.ops.emit import Emitter
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, compare, literals, same_dim, shape_text


class _View:
    """The common half: a view, for arrays of dims as well."""

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        emit.view(site.input(0))


def _onto(x: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    return (np.reshape(x, shape),)


def _exact_quotient(total: Dim, rest: Dim) -> Dim:
    """Total // rest, which has no remainder: common factors cancel."""
    quotient = dims.floor_div(total, rest)
    if isinstance(total, int) or isinstance(rest, int) or quotient * rest == total:
        return quotient
    if len(total.terms) != 1 or len(rest.terms) != 1:
        return quotient
    (above, upper), (below, lower) = total.terms[0], rest.terms[0]
    left = list(above)
    remaining = []
    for atom in below:
        if atom in left:
            left.remove(atom)
        else:
            remaining.append(atom)
    common = math.gcd(upper, lower)
    numerator = dims.product(tuple(dims.atom_dim(a) for a in left)) * (upper // common)
    denominator = dims.product(tuple(dims.atom_dim(a) for a in remaining)) * (lower // common)
    return dims.floor_div(numerator, denominator)


@operator("Reshape", Attr("allowzero", 0, since=14))
class Reshape(_View):
    """0 copies a dim, -1 takes what is left."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        source = site.input(0).shape
        target = list(site.needed(1, "its shape"))
        copy_zero = not site.attributes.get("allowzero", 0)
        for position, dim in enumerate(target):
            if dim == 0 and copy_zero:
                if position >= len(source):
                    raise site.shape_error(
                        f"at most {len(source)} dims to copy", shape_text(source)
                    )
                target[position] = source[position]
        if target.count(-1) > 1:
            raise site.shape_error("at most one -1", shape_text(tuple(target)))
        total = dims.product(source)
        if -1 in target:
            rest = dims.product(tuple(d for d in target if d != -1))
            if rest == 0 or (isinstance(total, int) and isinstance(rest, int) and total % rest):
                raise site.shape_error(
                    f"a divisor of {shape_text(source)}", shape_text(tuple(target))
                )
            target[target.index(-1)] = _exact_quotient(total, rest)
        shape = tuple(target)
        if compare(dims.product(shape), total) in (1, -1):
            raise site.shape_error(
                f"the {total} elements of {shape_text(source)}", shape_text(shape)
            )
        return (Inferred(site.input(0).dtype, shape),)

    @staticmethod
    def reference(site: Site, x: Tensor, shape: Tensor) -> tuple[Tensor, ...]:
        target = list(literals(shape))
        if not site.attributes.get("allowzero", 0):
            target = [x.shape[j] if d == 0 else d for j, d in enumerate(target)]
        return _onto(x, tuple(target))

    symbolic = reference


@operator("Identity")
class Identity(_View):
    """The front end replaces it by its input; it stays for graphs made by passes."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return (Inferred(site.input(0).dtype, site.input(0).shape),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        return (x,)

    symbolic = reference


@operator("Flatten", Attr("axis", 1))
class Flatten(_View):
    """Two dims: before the axis, and from it on."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape = site.input(0).shape
        axis = site.integer("axis")
        split = axis if axis == len(shape) else site.axis(axis, len(shape))
        pair = (dims.product(shape[:split]), dims.product(shape[split:]))
        return (Inferred(site.input(0).dtype, pair),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        axis = site.integer("axis")
        split = axis if axis >= 0 else axis + x.ndim
        return _onto(x, (int(np.prod(x.shape[:split], dtype=int)), -1) if x.size else (0, 0))

    symbolic = reference


def _squeezed(site: Site, shape: tuple[Dim, ...]) -> tuple[int, ...]:
    """The axes that Squeeze removes."""
    axes = site.axes(1)
    if axes is None:
        return tuple(j for j, d in enumerate(shape) if d == 1)
    return tuple(site.axis(a, len(shape)) for a in axes)


@operator("Squeeze", Attr("axes", None, until=12))
class Squeeze(_View):
    """Axes are an attribute before opset 13, an input since."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape = site.input(0).shape
        gone = _squeezed(site, shape)
        for axis in gone:
            if same_dim(shape[axis], 1) is None:
                site.assume(shape[axis], 1)
            elif shape[axis] != 1:
                raise site.shape_error(f"a dim of 1 at axis {axis}", shape_text(shape))
        kept = tuple(d for j, d in enumerate(shape) if j not in gone)
        return (Inferred(site.input(0).dtype, kept),)

    @staticmethod
    def reference(site: Site, x: Tensor, _: Tensor | None = None) -> tuple[Tensor, ...]:
        return (np.squeeze(x, _squeezed(site, x.shape)),)

    symbolic = reference


def _unsqueezed(site: Site, rank: int) -> tuple[int, ...]:
    axes = site.axes(1)
    if axes is None:
        raise site.shape_error("axes", "none")
    return tuple(sorted(site.axis(a, rank + len(axes)) for a in axes))


@operator("Unsqueeze", Attr("axes", None, until=12))
class Unsqueeze(_View):
    """Axes are an attribute before opset 13, an input since."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape = list(site.input(0).shape)
        axes = _unsqueezed(site, len(shape))
        if len(set(axes)) != len(axes):
            raise site.shape_error("distinct axes", str(axes))
        for axis in axes:
            shape.insert(axis, 1)
        return (Inferred(site.input(0).dtype, tuple(shape)),)

    @staticmethod
    def reference(site: Site, x: Tensor, _: Tensor | None = None) -> tuple[Tensor, ...]:
        return (np.expand_dims(x, _unsqueezed(site, x.ndim)),)

    symbolic = reference


def _span(site: Site) -> slice:
    """The axes that Shape is asked for."""
    start, end = site.attributes.get("start", 0), site.attributes.get("end")
    assert isinstance(start, int)
    assert end is None or isinstance(end, int)
    return slice(start, end)


@operator("Shape", Attr("start", 0, since=15), Attr("end", None, since=15))
class Shape:
    """The dims themselves: known up to symbols."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape = site.input(0).shape
        content = shape[_span(site)]
        return (Inferred(DType.I64, (len(content),), content),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        return (np.array(x.shape[_span(site)], np.int64),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        emit.map(lambda operands, at: operands.load(emit.outputs[0], at[0]))


@operator("Size")
class Size:
    """The number of elements."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return (Inferred(DType.I64, (), (dims.product(site.input(0).shape),)),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        return (np.array(x.size, np.int64),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        emit.map(lambda operands, at: operands.load(emit.outputs[0], 0))
