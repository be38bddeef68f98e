"""Pooling as reductions over a window: maxima with their places, means, norms, and back again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, Ref, call, f32
from webrt.kernel.problem import Output, Pass, Reduce
from webrt.ops.conv import WINDOW_ATTRIBUTES, Window, digits, padded_load, window_of, windows
from webrt.ops.emit import I32_LOW, Emitter, Operands, flat, indices
from webrt.ops.reduce import Rows, lower_rows
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, hold_shape, shape_text
from webrt.ops.transposed import Tiling, covering


def _window(site: Site) -> Window:
    return window_of(site, site.integers("kernel_shape"), site.input(0).shape[2:])


def _pooled(site: Site) -> tuple[Dim, ...]:
    x = site.input(0)
    return (*x.shape[:2], *_window(site).output(x.shape[2:]))


@operator(
    "MaxPool",
    *WINDOW_ATTRIBUTES,
    Attr("ceil_mode", 0, since=10),
    Attr("dilations", None, since=10),
    Attr("storage_order", 0, since=8),
)
class MaxPool:
    """The largest of a window and, as the second output, its place in the flattened input."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape = _pooled(site)
        return (Inferred(site.input(0).dtype, shape), Inferred(DType.I64, shape))[: site.outputs]

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        window = _fixed(site, x)
        taps = windows(x, window, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
        rank = len(window.kernel)
        rows = taps.reshape(*taps.shape[: 2 + rank], -1)
        if site.outputs == 1:
            return (rows.max(axis=-1),)
        spots = np.arange(x[0, 0].size).reshape(1, 1, *x.shape[2:])
        if site.attributes.get("storage_order", 0):
            spots = spots.reshape(x.shape[:1:-1]).transpose()[None, None]
        places = windows(spots, window, -1, rows.shape[2:-1])
        places = np.broadcast_to(places.reshape(1, 1, *rows.shape[2:]), rows.shape)
        best = np.where(places >= 0, rows, rows.min(initial=0) - 1).argmax(axis=-1)[..., None]
        found = np.take_along_axis(places, best, -1)[..., 0]
        planes = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *(1,) * rank)
        return rows.max(axis=-1), found + planes * x[0, 0].size

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x, output = site.input(0), emit.outputs[0]
        window, pixels = _window(site), x.shape[2:]
        at, place = _spot(window, output.shape)
        operands = emit.operands()
        element = _padded(operands, site, at, place, window, None)
        passes = [Pass("max", element)]
        stored = [emit.stored(output, flat(at, output.shape), Ref("p0", element.dtype))]
        if site.outputs > 1:
            passes.append(Pass("min", _first(element, place, pixels, window)))
            stored.append(_place(site, emit, at))
        problem = Reduce(
            output.shape, window.kernel, operands.declared(), tuple(passes), tuple(stored)
        )
        emit.problem(problem, operands, emit.outputs[: site.outputs])


def _first(element: Expr, place: Sequence[Dim], pixels: Sequence[Dim], window: Window) -> Expr:
    """The flat place of a pixel that is the maximum; of others the last place that there is."""
    last = ex.as_index(dims.product(tuple(pixels)) - 1)
    here = call("eq", element, Ref("p0", element.dtype))
    if window.padded:
        valid = padded_load(
            lambda _: ex.boolean(True), place, pixels, window, ex.boolean(False)
        )  # fmt: skip
        here = call("and", here, valid)
    own = call("min", call("max", ex.as_index(flat(place, pixels)), ex.i32(0)), last)
    return ex.select(here, own, last)


def _place(site: Site, emit: Emitter, at: tuple[Dim, ...]) -> Output:
    """The flat index of the maximum, its pixels counted by rows or by columns."""
    x, result = site.input(0), emit.outputs[1]
    pixels = x.shape[2:]
    found: Expr = Ref("p1", DType.I32)
    if site.attributes.get("storage_order", 0):
        by_columns = reversed(digits(ex.as_dim(found), pixels))
        found = ex.as_index(flat(tuple(by_columns), tuple(reversed(pixels))))
    plane = (at[0] * x.shape[1] + at[1]) * dims.product(pixels)
    return emit.stored(result, flat(at, result.shape), call("add", ex.as_index(plane), found))


def _fixed(site: Site, x: Tensor) -> Window:
    """The window for an array: its paddings are numbers."""
    value = site.input(0)
    inputs = (replace(value, shape=tuple(x.shape)), *site.inputs[1:])
    return _window(replace(site, inputs=inputs))


def _spot(window: Window, shape: tuple[Dim, ...]) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
    """(output index, pixel that tap r0 r1 … reads)."""
    at = indices(len(shape))
    tap = tuple(dims.symbol(f"r{j}") for j in range(len(window.kernel)))
    return at, window.place(at[2:], tap)


def _padded(
    operands: Operands,
    site: Site,
    at: tuple[Dim, ...],
    place: Sequence[Dim],
    window: Window,
    fill: float | None,
) -> Expr:
    """The pixel at `place`; outside of the image `fill`, or None: less than any pixel."""
    x = site.input(0)
    one = operands.load(x, 0)
    low = -math.inf if one.dtype.is_float else I32_LOW if one.dtype is DType.I32 else 0
    pad = Const(low if fill is None else fill, one.dtype)

    def load(inside: Sequence[Dim]) -> Expr:
        return operands.load(x, flat((*at[:2], *inside), x.shape))

    return padded_load(load, place, x.shape[2:], window, pad)


@operator(
    "AveragePool",
    *WINDOW_ATTRIBUTES,
    Attr("ceil_mode", 0, since=10),
    Attr("count_include_pad", 0),
    Attr("dilations", None, since=19),
)
class AveragePool:
    """The mean of a window; padding counts with `count_include_pad`, what lies beyond never."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return (Inferred(site.input(0).dtype, _pooled(site)),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        window = _fixed(site, x)
        axes = tuple(range(-len(window.kernel), 0))
        total = windows(x, window, 0).sum(axis=axes)
        ones: Tensor = np.ones((1, 1, *x.shape[2:]), np.float32)
        bare = window
        if site.integer("count_include_pad"):
            sides = zip(window.before, window.after, strict=True)
            pads = [(dims.evaluate(b, {}), dims.evaluate(a, {})) for b, a in sides]
            ones = np.pad(ones, [(0, 0), (0, 0), *pads], constant_values=1)
            bare = _unpadded(window)
        counts = windows(ones, bare, 0, total.shape[2:]).sum(axis=axes)
        return ((total / counts).astype(x.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        output, window = emit.outputs[0], _window(site)
        pixels = site.input(0).shape[2:]
        at, place = _spot(window, output.shape)
        operands = emit.operands()
        element = _padded(operands, site, at, place, window, 0.0)
        if site.integer("count_include_pad"):
            pixels = tuple(p + a for p, a in zip(pixels, window.after, strict=True))
            window = _unpadded(window)
        counted = padded_load(lambda _: f32(1), place, pixels, window, f32(0))
        passes = (Pass("sum", element), Pass("sum", counted))
        result = call("div", Ref("p0", element.dtype), Ref("p1", DType.F32))
        stored = emit.stored(output, flat(at, output.shape), result)
        space = _window(site).kernel
        problem = Reduce(output.shape, space, operands.declared(), passes, (stored,))
        emit.problem(problem, operands, [output])


def _unpadded(window: Window) -> Window:
    nothing = (0,) * len(window.kernel)
    return replace(window, before=nothing, after=nothing)


@operator(
    "LpPool",
    *WINDOW_ATTRIBUTES,
    Attr("ceil_mode", 0, since=18),
    Attr("dilations", None, since=18),
    Attr("p", 2),
)
class LpPool:
    """The p-norm of a window."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        site.positive("p")
        return (Inferred(site.input(0).dtype, _pooled(site)),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        window, p = _fixed(site, x), site.positive("p")
        axes = tuple(range(-len(window.kernel), 0))
        total = (np.abs(windows(x, window, 0)).astype(np.float64) ** p).sum(axis=axes)
        return ((total ** (1 / p)).astype(x.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        output, window = emit.outputs[0], _window(site)
        at, place = _spot(window, output.shape)
        operands = emit.operands()
        element = _powered(_padded(operands, site, at, place, window, 0.0), site.positive("p"))
        result = _rooted(Ref("p0", element.dtype), site.positive("p"))
        stored = emit.stored(output, flat(at, output.shape), result)
        passes = (Pass("sum", element),)
        problem = Reduce(output.shape, window.kernel, operands.declared(), passes, (stored,))
        emit.problem(problem, operands, [output])


def _powered(x: Expr, p: int) -> Expr:
    """|x| to the power p."""
    if p == 2:
        return call("mul", x, x)
    x = call("abs", x)
    return x if p == 1 else call("pow", x, f32(p))


def _rooted(total: Expr, p: int) -> Expr:
    if p == 1:
        return total
    if p == 2:
        return call("sqrt", total)
    root = call("pow", total, f32(1 / p))
    return ex.select(call("gt", total, f32(0)), root, f32(0))


def _global_pool(
    name: str,
    combine: str,
    reference: Callable[[Site, Tensor], Tensor],
    before: Callable[[Site, Expr], Expr],
    after: Callable[[Site, Expr, Rows], Expr],
    *attributes: Attr,
) -> None:
    """Register after(combine(before(x))) over all pixels."""

    class GlobalPool:
        @staticmethod
        def infer(site: Site) -> tuple[Inferred, ...]:
            x = site.input(0)
            if len(x.shape) < 2:
                raise site.shape_error("at least 2 dims", shape_text(x.shape))
            return (Inferred(x.dtype, (*x.shape[:2], *(1 for _ in x.shape[2:]))),)

        @staticmethod
        def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
            return (reference(site, x).astype(x.dtype),)

        @staticmethod
        def lower(site: Site, emit: Emitter) -> None:
            x = site.input(0)
            rows = Rows.over(x.shape, range(2, len(x.shape)))
            operands = emit.operands()
            element = before(site, operands.at(x, rows.place))
            result = after(site, Ref("p0", element.dtype), rows)
            lower_rows(emit, rows, operands, [Pass(combine, element)], [(0, result)])

    operator(name, *attributes)(GlobalPool)


def _pixels(x: Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


def _norm(site: Site, x: Tensor) -> Tensor:
    p = site.positive("p")
    total = np.sum(np.abs(x).astype(np.float64) ** p, axis=_pixels(x), keepdims=True)
    return np.asarray(total ** (1 / p))


_global_pool(
    "GlobalMaxPool", "max", lambda _, x: np.max(x, axis=_pixels(x), keepdims=True),
    lambda _, x: x, lambda _, total, rows: total,
)  # fmt: skip
_global_pool(
    "GlobalAveragePool", "sum", lambda _, x: np.mean(x, axis=_pixels(x), keepdims=True),
    lambda _, x: x, lambda _, total, rows: call("div", total, rows.count),
)  # fmt: skip
_global_pool(
    "GlobalLpPool", "sum", _norm, lambda site, x: _powered(x, site.positive("p")),
    lambda site, total, _: _rooted(total, site.positive("p")), Attr("p", 2),
)  # fmt: skip


# MaxUnpool


def _unpooled(site: Site) -> Tiling:
    """The windows of the MaxPool that is undone; `image` is what it pooled."""
    kernel = site.integers("kernel_shape")
    rank = len(kernel)
    strides = site.integers("strides") if "strides" in site.attributes else (1,) * rank
    pads = site.integers("pads") if "pads" in site.attributes else (0,) * (2 * rank)
    blocks = site.input(0).shape[2:]
    if not len(blocks) == len(strides) == rank or len(pads) != 2 * rank:
        raise site.shape_error(f"{rank} axes of pixels", shape_text(site.input(0).shape))
    if min((*kernel, *strides)) < 1:
        raise site.shape_error("kernel and strides of at least 1", f"{kernel}, {strides}")
    image = tuple(
        (n - 1) * strides[j] - pads[j] - pads[rank + j] + kernel[j] for j, n in enumerate(blocks)
    )
    return Tiling(kernel, strides, (1,) * rank, pads[:rank], blocks, image)


@operator("MaxUnpool", *(Attr(n) for n in ("kernel_shape", "pads", "strides")), since=9)
class MaxUnpool:
    """Puts maxima back to where MaxPool, with the same window, found them; the rest is 0.

    A place is looked for in the windows that cover it: indices are those of such a MaxPool.
    """

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        x = site.input(0)
        tiling = _unpooled(site)
        hold_shape(site, 1, x.shape)
        shape = (*x.shape[:2], *tiling.image)
        if site.optional(2) is not None:
            shape = site.needed(2, "its output shape")
            if len(shape) != len(x.shape):
                raise site.shape_error(f"{len(x.shape)} dims", shape_text(shape))
        return (Inferred(x.dtype, shape),)

    @staticmethod
    def reference(
        site: Site, x: Tensor, places: Tensor, shape: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        tiling = _unpooled(replace(site, inputs=(replace(site.input(0), shape=x.shape),)))
        image = tuple(dims.evaluate(d, {}) for d in tiling.image)
        found: Tensor = np.zeros(x.shape[0] * x.shape[1] * int(np.prod(image)), x.dtype)
        found[places.reshape(-1)] = x.reshape(-1)
        found = found.reshape(*x.shape[:2], *image)
        if shape is None:
            return (found,)
        result: Tensor = np.zeros(tuple(int(d) for d in shape), x.dtype)
        common = tuple(slice(0, min(a, b)) for a, b in zip(found.shape, result.shape, strict=True))
        result[common] = found[common]
        return (result,)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x, places, output = site.input(0), site.input(1), emit.outputs[0]
        tiling = _unpooled(site)
        winner = emit.temporary("winner", DType.I32, output.shape)
        at = indices(len(output.shape))
        operands = emit.operands()
        counts: list[int] = []
        blocks: list[Dim] = []
        pitch = (*x.shape[:2], *tiling.image)
        wanted = ex.as_index(flat(at, pitch))
        valid: list[Expr] = []
        for axis, pixel in enumerate(at[2:]):
            count, _, block, fits = covering(tiling, axis, pixel, dims.symbol(f"r{axis}"))
            counts.append(count)
            blocks.append(block)
            valid.append(fits)
        for place, extent, length in zip(at, pitch, output.shape, strict=True):
            if extent != length:
                valid.append(call("lt", ex.as_index(place), ex.as_index(extent)))
        inside = tuple(dims.dim_min(a, d - 1) for a, d in zip(at[:2], x.shape[:2], strict=True))
        source = flat((*inside, *blocks), x.shape)
        match = call("eq", operands.load(places, source), wanted)
        for fits in valid:
            match = call("and", match, fits)
        passes = (Pass("max", ex.select(match, ex.as_index(source), ex.i32(-1))),)
        stored = emit.stored(winner, flat(at, output.shape), Ref("p0", DType.I32))
        problem = Reduce(output.shape, tuple(counts), operands.declared(), passes, (stored,))
        emit.problem(problem, operands, [winner])

        def body(own: Operands, here: tuple[Dim, ...]) -> Expr:
            found = own.at(winner, here)
            element = own.load(x, ex.as_dim(call("max", found, ex.i32(0))))
            zero = Const(0.0 if element.dtype.is_float else 0, element.dtype)
            return ex.select(call("ge", found, ex.i32(0)), element, zero)

        emit.map(body)
