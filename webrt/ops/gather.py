"""Operators that look elements up by index, and those that make indices."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, call
from webrt.ops.emit import Emitter, Operands, flat, spread
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, Undecided, hold_shape, shape_text


def row_index(
    emit: Emitter,
    operands: Operands,
    indices: Value,
    at: Dim,
    extent: Dim,
    held: Dim | None = None,
) -> Dim:
    """The index at flat offset `at` of `indices`, made 0 … extent - 1 where that isn't proven.

    `held`: what all of `indices` is held to, where not all of it indexes a dim of `extent`.
    """
    found = operands.load(indices, at)
    if isinstance(found, Const):
        number = int(found.value)
        return extent + number if number < 0 else number
    if isinstance(found, ex.Index):
        space = {s: dims.MAX_SYMBOL for s in dims.free_symbols(found.dim) if not s.startswith("s")}
        if dims.is_nonnegative(found.dim, space):
            return found.dim
    emit.limit(indices, extent if held is None else held)
    low, high = emit.interval(indices)
    if low < 0:
        shifted = call("add", found, ex.as_index(extent))
        found = ex.select(call("lt", found, ex.i32(0)), shifted, found)
    if not isinstance(extent, int) or low < -extent or high >= extent:
        if low < 0:
            found = call("max", found, ex.i32(0))
        found = call("min", found, ex.as_index(extent - 1))
    return ex.as_dim(found)


@operator("Gather", Attr("axis", 0))
class Gather:
    """Slices along one axis."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        data, indices = site.input(0), site.input(1)
        axis = site.axis(site.integer("axis"), len(site.ranked(0, 1, 64)))
        shape = (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])
        extent = data.shape[axis]
        for element in site.known(1) or ():
            if not isinstance(element, int) or not isinstance(extent, int):
                continue
            if not -extent <= element < extent:
                raise site.shape_error(f"indices in {-extent} … {extent - 1}", str(element))
        return (Inferred(data.dtype, shape),)

    @staticmethod
    def reference(site: Site, data: Tensor, indices: Tensor) -> tuple[Tensor, ...]:
        return (np.take(data, indices.astype(np.int64), site.integer("axis")),)

    @staticmethod
    def symbolic(site: Site, data: Tensor, indices: Tensor) -> tuple[Tensor, ...]:
        if not all(isinstance(i, int) for i in indices.reshape(-1)):
            raise Undecided
        return (np.take(data, indices.astype(np.int64), site.integer("axis")),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        data, indices = site.input(0), site.input(1)
        axis = site.axis(site.integer("axis"), len(data.shape))
        rank = len(indices.shape)

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            place = spread(at[axis : axis + rank], indices.shape)
            row = row_index(emit, operands, indices, place, data.shape[axis])
            return operands.at(data, [*at[:axis], row, *at[axis + rank :]])

        emit.map(body)


@operator("GatherElements", Attr("axis", 0), since=11)
class GatherElements:
    """One element for each index."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        data, indices = site.input(0), site.input(1)
        if len(data.shape) != len(indices.shape):
            raise site.shape_error(f"{len(data.shape)} dims of indices", shape_text(indices.shape))
        site.axis(site.integer("axis"), len(data.shape))
        return (Inferred(data.dtype, indices.shape),)

    @staticmethod
    def reference(site: Site, data: Tensor, indices: Tensor) -> tuple[Tensor, ...]:
        axis = site.axis(site.integer("axis"), data.ndim)
        wanted = np.where(indices < 0, indices + data.shape[axis], indices)
        own = list(np.meshgrid(*map(np.arange, indices.shape), indexing="ij", sparse=True))
        own[axis] = wanted
        return (data[tuple(own)],)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        data, indices = site.input(0), site.input(1)
        axis = site.axis(site.integer("axis"), len(data.shape))

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            row = row_index(emit, operands, indices, flat(at, indices.shape), data.shape[axis])
            return operands.at(data, [*at[:axis], row, *at[axis + 1 :]])

        emit.map(body)


@operator("GatherND", Attr("batch_dims", 0, since=12), since=11)
class GatherND:
    """The last axis of the indices is a multi-index."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        data, indices = site.input(0), site.input(1)
        width, batch = _gather_nd(site)
        return (Inferred(data.dtype, (*indices.shape[:-1], *data.shape[batch + width :])),)

    @staticmethod
    def reference(site: Site, data: Tensor, indices: Tensor) -> tuple[Tensor, ...]:
        batch = site.attributes.get("batch_dims", 0)
        assert isinstance(batch, int)
        width = indices.shape[-1]
        lead = np.meshgrid(
            *(np.arange(d) for d in indices.shape[:batch]), indexing="ij", sparse=True
        )
        extra = indices.ndim - 1 - batch
        places = [g.reshape(g.shape + (1,) * extra) for g in lead]
        return (data[(*places, *(indices[..., j] for j in range(width)))],)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        data, indices = site.input(0), site.input(1)
        width, batch = _gather_nd(site)
        lead = len(indices.shape) - 1
        held = widest(data.shape[batch : batch + width])

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            place = list(at[:batch])
            for j in range(width):
                offset = spread((*at[:lead], j), indices.shape) if width > 1 else spread(
                    (*at[:lead], 0), indices.shape
                )  # fmt: skip
                extent = data.shape[batch + j]
                place.append(row_index(emit, operands, indices, offset, extent, held))
            return operands.at(data, [*place, *at[lead:]])

        emit.map(body)


def widest(shape: tuple[Dim, ...]) -> Dim:
    """What indices of several dims at once are held to: a symbolic dim where there is one."""
    literal = [d for d in shape if isinstance(d, int)]
    return max(literal) if len(literal) == len(shape) else next(
        d for d in shape if not isinstance(d, int)
    )  # fmt: skip


def _gather_nd(site: Site) -> tuple[int, int]:
    """(width of a multi-index, batch dims)."""
    width, batch = site.ranked(1, 1, 64)[-1], site.attributes.get("batch_dims", 0)
    assert isinstance(batch, int)
    if not 0 <= batch < len(site.input(1).shape):
        raise site.shape_error(f"batch_dims below {len(site.input(1).shape)}", str(batch))
    if not isinstance(width, int):
        raise site.unsupported(f"a last dim of indices of {width}")
    if width + batch > len(site.input(0).shape):
        raise site.shape_error(f"at most {len(site.input(0).shape) - batch} indices", str(width))
    return width, batch


@operator("ReverseSequence", Attr("batch_axis", 1), Attr("time_axis", 0), since=10)
class ReverseSequence:
    """The first elements of each sequence in reverse, as many as its length says."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        x = site.input(0)
        batch, time = _sequence_axes(site)
        if batch == time:
            raise site.shape_error("two axes", f"{batch} and {time}")
        hold_shape(site, 1, (x.shape[batch],))
        return (Inferred(x.dtype, x.shape),)

    @staticmethod
    def reference(site: Site, x: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        batch, time = _sequence_axes(site)
        result = x.copy()
        moved, source = (np.moveaxis(a, (batch, time), (0, 1)) for a in (result, x))
        for j, length in enumerate(lengths):
            moved[j, : int(length)] = source[j, : int(length)][::-1]
        return (result,)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x, lengths = site.input(0), site.input(1)
        batch, time = _sequence_axes(site)

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            step = ex.as_index(at[time])
            length = call("min", operands.load(lengths, at[batch]), ex.as_index(x.shape[time]))
            back = call("sub", call("sub", length, ex.i32(1)), step)
            place = ex.as_dim(ex.select(call("lt", step, length), back, step))
            return operands.at(x, (*at[:time], place, *at[time + 1 :]))

        emit.map(body)


def _sequence_axes(site: Site) -> tuple[int, int]:
    rank = len(site.input(0).shape)
    return site.axis(site.integer("batch_axis"), rank), site.axis(site.integer("time_axis"), rank)


def _depth(site: Site) -> Dim:
    """The depth of OneHot, which may come as a float."""
    value = site.optional(1)
    if value is not None and value.data is not None:
        return int(value.data.reshape(-1)[0])
    return site.scalar(1, "depth")


@operator("OneHot", Attr("axis", -1), since=9)
class OneHot:
    """on where the index is here, else off."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        depth = _depth(site)
        shape = list(site.input(0).shape)
        shape.insert(site.axis(site.integer("axis"), len(shape) + 1), depth)
        return (Inferred(site.input(2).dtype, tuple(shape)),)

    @staticmethod
    def reference(site: Site, indices: Tensor, depth: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        count = int(depth.reshape(-1)[0])
        axis = site.axis(site.integer("axis"), indices.ndim + 1)
        whole = np.expand_dims(indices.astype(np.int64), axis)
        places = np.arange(count).reshape([-1 if j == axis else 1 for j in range(indices.ndim + 1)])
        return (np.where((whole == places) | (whole + count == places), values[1], values[0]),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        indices = site.input(0)
        depth = _depth(site)
        axis = site.axis(site.integer("axis"), len(indices.shape) + 1)

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            wanted = ex.cast(operands.at(indices, (*at[:axis], *at[axis + 1 :])), DType.I32)
            here = call("eq", wanted, ex.as_index(at[axis]))
            wrapped = call("eq", wanted, ex.as_index(at[axis] - depth))
            off, on = (operands.load(site.input(2), j) for j in (0, 1))
            return ex.select(call("or", here, wrapped), on, off)

        emit.map(body)
