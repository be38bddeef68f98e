"""DeformConv: a convolution whose taps lie where an input says, as columns and a contraction."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Ref, call
from webrt.kernel.problem import Contract, Map
from webrt.ops.conv import Window, digits, window_of
from webrt.ops.emit import Emitter, flat, indices
from webrt.ops.registry import Attr, operator
from webrt.ops.sampling import linear_taps, mix
from webrt.ops.site import Inferred, Site, Tensor, hold_equal, hold_shape, shape_text

M, N, K = dims.symbol("m"), dims.symbol("n"), dims.symbol("k")


def _window(site: Site) -> Window:
    x, weight = site.input(0), site.input(1)
    kernel = tuple(d for d in weight.shape[2:] if isinstance(d, int))
    if len(x.shape) < 3 or len(kernel) != len(x.shape) - 2:
        found = f"{shape_text(x.shape)} and {shape_text(weight.shape)}"
        raise site.shape_error("input and weight of one rank with a literal kernel", found)
    return window_of(site, kernel, x.shape[2:])


@operator(
    "DeformConv",
    *(Attr(n) for n in ("dilations", "kernel_shape", "pads", "strides")),
    Attr("group", 1),
    Attr("offset_group", 1),
    since=19,
)
class DeformConv:
    """Offsets are [n, groups × taps × axes, out…], the mask is [n, groups × taps, out…]."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        x, weight = site.input(0), site.input(1)
        window = _window(site)
        out = window.output(x.shape[2:])
        group, parts = site.positive("group"), site.positive("offset_group")
        channels = weight.shape[1] * group
        found = f"{shape_text(x.shape)} and {shape_text(weight.shape)}"
        error = site.shape_error(f"input channels in {group} and {parts} groups", found)
        if channels % parts != 0:
            raise error
        hold_equal(site, error, x.shape[1], channels)
        taps = dims.product(weight.shape[2:])
        for position, wide in ((2, taps * len(window.kernel)), (4, taps)):
            if site.optional(position) is not None:
                hold_shape(site, position, (x.shape[0], wide * parts, *out))
        return (Inferred(x.dtype, (x.shape[0], weight.shape[0], *out)),)

    @staticmethod
    def reference(
        site: Site,
        x: Tensor,
        weight: Tensor,
        offset: Tensor,
        bias: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        columns = _reference_columns(site, x, offset, mask)
        group = site.positive("group")
        n, out = x.shape[0], offset.shape[2:]
        parts = columns.reshape(n, group, weight[0].size, -1)
        filters = weight.reshape(group, weight.shape[0] // group, -1)
        result = np.einsum("ngkp,gmk->ngmp", parts, filters, optimize=True)
        result = result.reshape(n, weight.shape[0], *out).astype(x.dtype)
        return (result if bias is None else result + bias.reshape(1, -1, *(1,) * len(out)),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x, weight, output = site.input(0), site.input(1), emit.outputs[0]
        points = dims.product(output.shape[2:])
        taps = dims.product(weight.shape[2:])
        columns = emit.temporary("columns", x.dtype, (x.shape[0], x.shape[1] * taps, points))
        _columns(site, emit, columns)
        group = site.positive("group")
        batch = tuple(d for d in (x.shape[0], group) if d != 1)
        names = iter(dims.symbol(f"b{j}") for j in range(len(batch)))
        sample: Dim = 0 if x.shape[0] == 1 else next(names)
        part: Dim = 0 if group == 1 else next(names)
        size, filters = weight.shape[1] * taps, dims.floor_div(weight.shape[0], group)
        operands = emit.operands()
        row = part * filters + M
        a = operands.load(weight, row * size + K)
        b = operands.load(columns, ((sample * group + part) * size + K) * points + N)
        result: Expr = Ref("acc", a.dtype)
        bias = site.optional(3)
        if bias is not None:
            result = call("add", result, operands.load(bias, row))
        stored = emit.stored(output, (sample * weight.shape[0] + row) * points + N, result)
        problem = Contract(batch, filters, points, size, operands.declared(), a, b, (stored,))
        emit.problem(problem, operands, [output])


def _columns(site: Site, emit: Emitter, columns: Value) -> None:
    """Sample every tap of every output pixel: [n, channels × taps, points]."""
    x, offset, mask = site.input(0), site.input(2), site.optional(4)
    window = _window(site)
    rank, out = len(window.kernel), emit.outputs[0].shape[2:]
    taps = int(np.prod(window.kernel, dtype=int))
    per_part = dims.floor_div(x.shape[1], site.positive("offset_group"))
    at = indices(4)
    operands = emit.operands()
    shape = (x.shape[0], x.shape[1], taps, dims.product(out))
    spot, tap = digits(at[3], out), digits(at[2], window.kernel)
    group = dims.floor_div(at[1], per_part)
    axes = []
    for axis, start in enumerate(window.place(spot, tap)):
        moved = operands.at(offset, (at[0], (group * taps + at[2]) * rank + axis, *spot))
        point = call("add", ex.cast(ex.as_index(start), DType.F32), moved)
        axes.append(linear_taps(point, x.shape[2 + axis]))
    element = mix(axes, lambda place: operands.at(x, (at[0], at[1], *place)))
    if mask is not None:
        element = call("mul", element, operands.at(mask, (at[0], group * taps + at[2], *spot)))
    stored = emit.stored(columns, flat(at, shape), element)
    emit.problem(Map(shape, operands.declared(), (stored,)), operands, [columns])


def _reference_columns(site: Site, x: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
    """[n, channels, taps, points]."""
    window = _window(site)
    rank, parts = len(window.kernel), site.positive("offset_group")
    n, channels, out = x.shape[0], x.shape[1], offset.shape[2:]
    moved = offset.reshape(n, parts, -1, rank, *out)
    total: Tensor = np.zeros((n, parts, channels // parts, moved.shape[2], *out), np.float64)
    spots = np.meshgrid(*map(np.arange, out), indexing="ij")
    images = x.reshape(n, parts, channels // parts, *x.shape[2:])
    tap_places = np.stack([g.reshape(-1) for g in np.indices(window.kernel)], axis=1)
    for number, tap in enumerate(tap_places):
        points = []
        for axis in range(rank):
            start = spots[axis] * window.strides[axis] - dims.evaluate(window.before[axis], {})
            start = start + tap[axis] * window.dilations[axis]
            points.append(start + moved[:, :, number, axis])
        for corner in np.ndindex(*(2,) * rank):
            weight: Tensor = np.ones_like(points[0])
            places = []
            for axis, bit in enumerate(corner):
                low = np.floor(points[axis])
                place, share = low + bit, points[axis] - low
                fits = (place >= 0) & (place < x.shape[2 + axis])
                weight = weight * (share if bit else 1 - share) * fits
                places.append(np.clip(place, 0, x.shape[2 + axis] - 1).astype(np.int64))
            own = np.ix_(np.arange(n), np.arange(parts))
            lead = [g.reshape(*g.shape, *(1,) * rank) for g in own]
            picked = images[(lead[0], lead[1], slice(None), *places)]
            total[:, :, :, number] += np.moveaxis(picked, -1, 2) * weight[:, :, None]
    if mask is not None:
        total *= mask.reshape(n, parts, 1, -1, *out)
    return total
