"""Operators that move elements: transpose, slice, concat, expand and their kin, all Maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr
from webrt.ops.emit import I32_HIGH, Emitter, Operands
from webrt.ops.registry import Attr, operator
from webrt.ops.site import (
    Inferred,
    Site,
    Tensor,
    Undecided,
    broadcast,
    compare,
    hold_equal,
    hold_shape,
    literals,
    shape_text,
)


def _permutation(site: Site, rank: int) -> tuple[int, ...]:
    if "perm" not in site.attributes:
        return tuple(reversed(range(rank)))
    perm = site.integers("perm")
    if sorted(perm) != list(range(rank)):
        raise site.shape_error(f"a permutation of {rank} axes", str(perm))
    return perm


@operator("Transpose", Attr("perm"))
class Transpose:
    """Axes in another order."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape = site.input(0).shape
        permuted = tuple(shape[p] for p in _permutation(site, len(shape)))
        return (Inferred(site.input(0).dtype, permuted),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        return (np.transpose(x, _permutation(site, x.ndim)).copy(),)

    symbolic = reference

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        value = site.input(0)
        perm = _permutation(site, len(value.shape))

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            return operands.at(value, [at[perm.index(j)] for j in range(len(perm))])

        emit.map(body)


@operator("Expand", since=8)
class Expand:
    """Broadcast to a shape."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape, target = site.input(0).shape, list(site.needed(1, "its shape"))
        for j in range(1, min(len(shape), len(target)) + 1):
            here, wanted = shape[-j], target[-j]
            if isinstance(here, int) and here > 1 and not isinstance(wanted, int):
                site.assume(dims.dim_max(wanted, here), here)  # it is 1, or the same
                target[-j] = 1
        return (Inferred(site.input(0).dtype, broadcast(site, shape, tuple(target))),)

    @staticmethod
    def reference(site: Site, x: Tensor, shape: Tensor) -> tuple[Tensor, ...]:
        target = np.broadcast_shapes(x.shape, literals(shape))
        return (np.broadcast_to(x, target).copy(),)

    symbolic = reference

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        emit.map(lambda operands, at: operands.at(site.input(0), at))


@operator("Concat", Attr("axis"))
class Concat:
    """Nested selects; the offset of an input that isn't selected stays in range."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shapes = [site.input(j).shape for j in range(len(site.inputs))]
        axis = site.axis(site.integer("axis"), len(shapes[0]))
        total: Dim = 0
        for position, shape in enumerate(shapes):
            hold_shape(site, position, shapes[0], axis)
            total = total + shape[axis]
        result = (*shapes[0][:axis], total, *shapes[0][axis + 1 :])
        return (Inferred(site.input(0).dtype, result),)

    @staticmethod
    def reference(site: Site, *arrays: Tensor) -> tuple[Tensor, ...]:
        return (np.concatenate(arrays, site.integer("axis")),)

    symbolic = reference

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        values = [site.input(j) for j in range(len(site.inputs))]
        axis = site.axis(site.integer("axis"), len(values[0].shape))
        parts = [v for v in values if v.shape[axis] != 0]
        emit.map(lambda operands, at: _concatenated(operands, parts, axis, at))


def _concatenated(
    operands: Operands, parts: Sequence[Value], axis: int, at: tuple[Dim, ...]
) -> Expr:
    starts: list[Dim] = [0]
    for part in parts:
        starts.append(starts[-1] + part.shape[axis])
    result: Expr | None = None
    for position in reversed(range(len(parts))):
        extent = parts[position].shape[axis]
        inside = at[axis] - starts[position]
        if extent == 1:
            inside = 0
        elif len(parts) > 1:
            if position:
                inside = dims.dim_max(inside, 0)
            if position < len(parts) - 1:
                inside = dims.dim_min(inside, extent - 1)
        element = operands.at(parts[position], [*at[:axis], inside, *at[axis + 1 :]])
        if result is None:
            result = element
            continue
        here = ex.call("lt", ex.as_index(at[axis]), ex.as_index(starts[position + 1]))
        result = ex.select(here, element, result)
    assert result is not None
    return result


def _slice_plan(site: Site, shape: tuple[Dim, ...]) -> list[tuple[Dim, Dim, int]]:
    """(first index, count, step) of each axis."""
    rank = len(shape)
    if site.version < 10:
        starts: Sequence[Dim] = site.integers("starts")
        ends: Sequence[Dim] = site.integers("ends")
        axes: Sequence[Dim] = (
            site.integers("axes") if "axes" in site.attributes else range(len(starts))
        )
        steps: Sequence[Dim] = [1] * len(starts)
    else:
        starts, ends = site.needed(1, "starts"), site.needed(2, "ends")
        axes = range(len(starts)) if site.optional(3) is None else site.needed(3, "axes")
        steps = [1] * len(starts) if site.optional(4) is None else site.needed(4, "steps")
    if not len(starts) == len(ends) == len(axes) == len(steps):
        found = f"{len(starts)}, {len(ends)}, {len(axes)}, {len(steps)}"
        raise site.shape_error("as many starts as ends, axes and steps", found)
    plan: list[tuple[Dim, Dim, int]] = [(0, d, 1) for d in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if not isinstance(axis, int) or not isinstance(step, int) or step == 0:
            raise site.unsupported(f"axis {axis} or step {step} isn't a literal")
        place = site.axis(axis, rank)
        plan[place] = _slice_axis(shape[place], start, end, step)
    return plan


def _slice_axis(extent: Dim, start: Dim, end: Dim, step: int) -> tuple[Dim, Dim, int]:
    low, high = (0, extent) if step > 0 else (-1, extent - 1)
    first = _clamped(_from_end(start, extent), 0, high)
    last = _clamped(_from_end(end, extent), low, high)
    span = last - first if step > 0 else first - last
    count = dims.ceil_div(span, abs(step))
    if compare(count, 0) in (0, -1):
        count = 0
    elif not isinstance(first, int) and last != high and not dims.is_nonnegative(count, {}):
        count = dims.dim_max(count, 0)  # both ends are anywhere: it may end before it begins
    return first, count, step


def _from_end(place: Dim, extent: Dim) -> Dim:
    """A negative place counts from the end; a symbolic one is taken as what it is proven to be."""
    return extent + place if compare(place, 0) == -1 else place


def _clamped(place: Dim, low: Dim, high: Dim) -> Dim:
    if place == high or _above(place, high):
        return high
    if compare(place, low) in (0, -1):
        return low
    above = place if _at_least(place, low) else dims.dim_max(place, low)
    return above if _at_least(high, above) else dims.dim_min(above, high)


def _above(place: Dim, high: Dim) -> bool:
    """INT_MAX, and beyond, means the end: no dim is that long."""
    return compare(place, high) == 1 or (isinstance(place, int) and place >= I32_HIGH)


def _at_least(left: Dim, right: Dim) -> bool:
    return dims.is_nonnegative(left - right, {})


@operator("Slice", *(Attr(n, until=9) for n in ("axes", "ends", "starts")))
class Slice:
    """Starts, ends, axes are attributes before opset 10, inputs since."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        plan = _slice_plan(site, site.input(0).shape)
        return (Inferred(site.input(0).dtype, tuple(count for _, count, _ in plan)),)

    @staticmethod
    def reference(site: Site, x: Tensor, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        if site.version < 10:
            starts, ends = site.integers("starts"), site.integers("ends")
            axes: Sequence[int] = (
                site.integers("axes") if "axes" in site.attributes else range(len(starts))
            )
            steps: Sequence[int] = [1] * len(starts)
        else:
            given = [None if a is None else [int(d) for d in a.reshape(-1)] for a in inputs]
            given += [None] * (4 - len(given))
            assert given[0] is not None
            assert given[1] is not None
            starts, ends = tuple(given[0]), tuple(given[1])
            axes = given[2] if given[2] is not None else range(len(starts))
            steps = given[3] if given[3] is not None else [1] * len(starts)
        cut = [slice(None)] * x.ndim
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            begin = -x.shape[axis] if start < -x.shape[axis] and step > 0 else start
            stop = None if step < 0 and end < -x.shape[axis] else end
            cut[axis] = slice(begin, stop, step)
        return (x[tuple(cut)],)

    @staticmethod
    def symbolic(site: Site, x: Tensor, *_: Tensor | None) -> tuple[Tensor, ...]:
        places = []
        for first, count, step in _slice_plan(site, x.shape):
            if not isinstance(first, int) or not isinstance(count, int):
                raise Undecided
            places.append([first + step * j for j in range(count)])
        return (x[np.ix_(*places)],)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        plan = _slice_plan(site, site.input(0).shape)

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            place = [f + a * s for a, (f, _, s) in zip(at, plan, strict=True)]
            return operands.at(site.input(0), place)

        emit.map(body)


def _split_sizes(site: Site, extent: Dim) -> list[Dim]:
    if "split" in site.attributes:
        return list(site.integers("split"))
    if site.optional(1) is not None:
        return list(site.needed(1, "split"))
    count = site.outputs
    size = dims.ceil_div(extent, count) if site.version >= 18 else dims.floor_div(extent, count)
    if not isinstance(extent, int):
        return [size] * (count - 1) + [extent - size * (count - 1)]
    return [dims.dim_max(dims.dim_min(size, extent - size * j), 0) for j in range(count)]


@operator(
    "Split", Attr("axis", 0), Attr("split", None, until=12), Attr("num_outputs", None, since=18)
)
class Split:
    """Sizes are an attribute before opset 13, an input since; else equal parts."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        value = site.input(0)
        axis = site.axis(site.integer("axis"), len(site.ranked(0, 1, 64)))
        sizes = _split_sizes(site, value.shape[axis])
        total: Dim = 0
        for size in sizes:
            total = total + size
        found = f"{shape_text(tuple(sizes))} for {site.outputs} outputs"
        error = site.shape_error(f"parts of {value.shape[axis]}", found)
        if len(sizes) != site.outputs:
            raise error
        hold_equal(site, error, total, value.shape[axis])
        before, after = value.shape[:axis], value.shape[axis + 1 :]
        return tuple(Inferred(value.dtype, (*before, s, *after)) for s in sizes)

    @staticmethod
    def reference(site: Site, x: Tensor, split: Tensor | None = None) -> tuple[Tensor, ...]:
        axis = site.axis(site.integer("axis"), x.ndim)
        if split is None:
            sizes = [dims.evaluate(s, {}) for s in _split_sizes(site, x.shape[axis])]
        else:
            sizes = list(literals(split))
        return tuple(np.split(x, np.cumsum(sizes)[:-1], axis))

    symbolic = reference

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        value = site.input(0)
        axis = site.axis(site.integer("axis"), len(value.shape))
        start: Dim = 0
        for position, size in enumerate(_split_sizes(site, value.shape[axis])):
            if size != 0:
                emit.map(_part(value, axis, start), position)
            start = start + size


def _part(value: Value, axis: int, start: Dim) -> Callable[[Operands, tuple[Dim, ...]], Expr]:
    def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
        return operands.at(value, [*at[:axis], at[axis] + start, *at[axis + 1 :]])

    return body


@operator("Tile")
class Tile:
    """Copies side by side."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape, repeats = site.input(0).shape, site.needed(1, "repeats")
        if len(shape) != len(repeats):
            raise site.shape_error(f"{len(shape)} repeats", str(len(repeats)))
        tiled = tuple(d * r for d, r in zip(shape, repeats, strict=True))
        return (Inferred(site.input(0).dtype, tiled),)

    @staticmethod
    def reference(site: Site, x: Tensor, repeats: Tensor) -> tuple[Tensor, ...]:
        return (np.tile(x, literals(repeats)),)

    symbolic = reference

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        shape = site.input(0).shape

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            return operands.at(
                site.input(0), [dims.modulo(a, d) for a, d in zip(at, shape, strict=True)]
            )

        emit.map(body)
