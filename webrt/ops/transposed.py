"""Windows that are added up: ConvTranspose and Col2Im.

A transposed convolution is a contraction to columns (output channels × taps, input pixels) and a
sum of the columns that fall on an output pixel. With strides of 1 it is a convolution with its
kernel turned, and where windows tile the output the columns are the output: one kernel each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Ref, call
from webrt.kernel.problem import Contract, Pass, Reduce
from webrt.ops.conv import digits
from webrt.ops.emit import Emitter, Operands, flat, indices
from webrt.ops.registry import Attr, operator
from webrt.ops.resample import clamped
from webrt.ops.sampling import both, inside
from webrt.ops.site import Inferred, Site, Tensor, hold_equal, shape_text

M, N, K = dims.symbol("m"), dims.symbol("n"), dims.symbol("k")


@dataclass(frozen=True, slots=True)
class Tiling:
    """Windows laid over an image: `blocks` of them on each axis, `before` lie before its start."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[Dim, ...]
    blocks: tuple[Dim, ...]
    image: tuple[Dim, ...]

    @property
    def taps(self) -> int:
        result = 1
        for size in self.kernel:
            result *= size
        return result

    @property
    def is_exact(self) -> bool:
        """Whether every pixel lies in exactly one window."""
        whole = tuple(b * k for b, k in zip(self.blocks, self.kernel, strict=True))
        plain = all(d == 1 for d in self.dilations) and all(b == 0 for b in self.before)
        return plain and self.kernel == self.strides and whole == self.image


def _attribute(site: Site, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    found = site.integers(name) if name in site.attributes else default
    if len(found) != len(default):
        raise site.shape_error(f"{len(default)} {name}", str(found))
    return found


def _steps(site: Site, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(strides, dilations)."""
    strides = _attribute(site, "strides", (1,) * rank)
    dilations = _attribute(site, "dilations", (1,) * rank)
    if min((*strides, *dilations), default=1) < 1:
        raise site.shape_error("strides and dilations of at least 1", f"{strides}, {dilations}")
    return strides, dilations


# ConvTranspose


def _transposed(site: Site) -> Tiling:
    """The windows of a transposed convolution: one an input pixel."""
    x, weight = site.input(0), site.input(1)
    rank = len(x.shape) - 2
    if rank < 1 or len(weight.shape) != len(x.shape):
        found = f"{shape_text(x.shape)} and {shape_text(weight.shape)}"
        raise site.shape_error("input and weight of one rank, at least 3", found)
    kernel = tuple(d for d in weight.shape[2:] if isinstance(d, int))
    if len(kernel) != rank:
        raise site.unsupported("its kernel has dynamic dims")
    strides, dilations = _steps(site, rank)
    extra = _attribute(site, "output_padding", (0,) * rank)
    pads = _attribute(site, "pads", (0,) * (2 * rank))
    mode = site.attributes.get("auto_pad", "NOTSET")
    given = site.integers("output_shape")[-rank:] if "output_shape" in site.attributes else None
    before: list[Dim] = []
    image: list[Dim] = []
    for axis in range(rank):
        natural = (x.shape[2 + axis] - 1) * strides[axis] + (
            (kernel[axis] - 1) * dilations[axis] + 1 + extra[axis]
        )
        if given is None and mode in ("NOTSET", "VALID"):
            ends = (0, 0) if mode == "VALID" else (pads[axis], pads[rank + axis])
            before.append(ends[0])
            image.append(natural - ends[0] - ends[1])
            continue
        wanted = x.shape[2 + axis] * strides[axis] if given is None else given[axis]
        total = dims.dim_max(natural - wanted, 0)
        small = dims.floor_div(total, 2)
        before.append(small if mode == "SAME_UPPER" else total - small)
        image.append(wanted)
    return Tiling(kernel, strides, dilations, tuple(before), x.shape[2:], tuple(image))


@operator(
    "ConvTranspose",
    *(Attr(n) for n in ("dilations", "kernel_shape", "output_padding", "output_shape", "pads")),
    Attr("auto_pad", "NOTSET"),
    Attr("group", 1),
    Attr("strides"),
)
class ConvTranspose:
    """Every input pixel adds its window to the output."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        x, weight = site.input(0), site.input(1)
        tiling = _transposed(site)
        group = site.positive("group")
        found = f"{shape_text(x.shape)} and {shape_text(weight.shape)}"
        error = site.shape_error(f"equal input channels in {group} groups", found)
        if weight.shape[0] % group != 0:
            raise error
        hold_equal(site, error, x.shape[1], weight.shape[0])
        return (Inferred(x.dtype, (x.shape[0], weight.shape[1] * group, *tiling.image)),)

    @staticmethod
    def reference(
        site: Site, x: Tensor, weight: Tensor, bias: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        group, tiling = site.positive("group"), _bound(_transposed(site), x.shape[2:])
        parts = x.reshape(x.shape[0], group, x.shape[1] // group, -1)
        filters = weight.reshape(group, x.shape[1] // group, -1)
        columns = np.einsum("ngcp,gcm->ngmp", parts, filters, optimize=True)
        channels = weight.shape[1] * group
        columns = columns.reshape(x.shape[0], channels, *tiling.kernel, *x.shape[2:])
        result = added(columns, tiling)
        tail = (1,) * len(tiling.kernel)
        return (result if bias is None else result + bias.reshape(1, -1, *tail),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        tiling = _transposed(site)
        if all(s == 1 for s in tiling.strides):
            _as_convolution(site, emit, tiling)
        else:
            _by_columns(site, emit, tiling)


def _bound(tiling: Tiling, blocks: Sequence[int]) -> Tiling:
    """The tiling with numbers for the lengths that depend on the input's."""
    names = [dims.lone_symbol(b) for b in tiling.blocks]
    known = {n: size for n, size in zip(names, blocks, strict=True) if n is not None}
    before, image = (
        tuple(dims.evaluate(d, known) for d in side) for side in (tiling.before, tiling.image)
    )
    return Tiling(
        tiling.kernel, tiling.strides, tiling.dilations, before, tuple(blocks), image
    )  # fmt: skip


def added(columns: Tensor, tiling: Tiling) -> Tensor:
    """Columns [n, c, taps…, blocks…] added up to [n, c, image…]."""
    rank = len(tiling.kernel)
    image = [dims.evaluate(d, {}) for d in tiling.image]
    result: Tensor = np.zeros((*columns.shape[:2], *image), columns.dtype)
    for tap in np.ndindex(*tiling.kernel):
        into, taken = [slice(None)] * 2, [slice(None)] * 2
        for axis in range(rank):
            start = tap[axis] * tiling.dilations[axis] - dims.evaluate(tiling.before[axis], {})
            stride, count = tiling.strides[axis], columns.shape[2 + rank + axis]
            first = max(-(start // stride), 0)
            last = min(count, (image[axis] - 1 - start) // stride + 1)
            last = max(last, first)
            into.append(slice(start + first * stride, start + last * stride, stride))
            taken.append(slice(first, last))
        if all(s.stop > s.start for s in taken[2:]):
            spot = columns[(slice(None), slice(None), *tap)]
            result[tuple(into)] += spot[tuple(taken)]
    return result


def _batch(x: Value, group: int) -> tuple[tuple[Dim, ...], Dim, Dim]:
    """The batch of the contraction: (extents, sample, group)."""
    extents = tuple(d for d in (x.shape[0], group) if d != 1)
    names = iter(dims.symbol(f"b{j}") for j in range(len(extents)))
    sample: Dim = 0 if x.shape[0] == 1 else next(names)
    return extents, sample, 0 if group == 1 else next(names)


def _as_convolution(site: Site, emit: Emitter, tiling: Tiling) -> None:
    """M = output channels, n = output pixels, k = input channels × taps of the turned kernel."""
    x, weight, output = site.input(0), site.input(1), emit.outputs[0]
    group = site.positive("group")
    batch, sample, part = _batch(x, group)
    channels, filters = dims.floor_div(x.shape[1], group), weight.shape[1]
    operands = emit.operands()
    channel = part * channels + dims.floor_div(K, tiling.taps)
    tap = dims.modulo(K, tiling.taps)
    a = operands.load(weight, (channel * filters + M) * tiling.taps + tap)
    valid: Expr | None = None
    place: list[Dim] = []
    spots = zip(digits(N, tiling.image), digits(tap, tiling.kernel), strict=True)
    for axis, (at, t) in enumerate(spots):
        source = at + tiling.before[axis] - t * tiling.dilations[axis]
        valid = both(valid, inside(source, tiling.blocks[axis]))
        place.append(clamped(source, tiling.blocks[axis]))
    b = operands.load(x, flat((sample, channel, *place), x.shape))
    assert valid is not None
    b = ex.select(valid, b, ex.Const(0.0 if b.dtype.is_float else 0, b.dtype))
    points = dims.product(tiling.image)
    row = part * filters + M
    result = _biased(site, operands, row, Ref("acc", a.dtype))
    stored = emit.stored(output, (sample * output.shape[1] + row) * points + N, result)
    size = channels * tiling.taps
    problem = Contract(batch, filters, points, size, operands.declared(), a, b, (stored,))
    emit.problem(problem, operands, [output])


def _biased(site: Site, operands: Operands, channel: Dim, total: Expr) -> Expr:
    bias = site.optional(2)
    return total if bias is None else call("add", total, operands.load(bias, channel))


def _by_columns(site: Site, emit: Emitter, tiling: Tiling) -> None:
    """M = output channels × taps, n = input pixels, k = input channels."""
    x, weight, output = site.input(0), site.input(1), emit.outputs[0]
    group = site.positive("group")
    batch, sample, part = _batch(x, group)
    channels, filters = dims.floor_div(x.shape[1], group), weight.shape[1]
    rows, points = filters * tiling.taps, dims.product(tiling.blocks)
    operands = emit.operands()
    a = operands.load(weight, (part * channels + K) * rows + M)
    b = operands.load(x, (sample * x.shape[1] + part * channels + K) * points + N)
    result: Expr = Ref("acc", a.dtype)
    if tiling.is_exact:
        channel = part * filters + dims.floor_div(M, tiling.taps)
        tap = digits(dims.modulo(M, tiling.taps), tiling.kernel)
        block = digits(N, tiling.blocks)
        place = [q * s + t for q, s, t in zip(block, tiling.strides, tap, strict=True)]
        offset = flat((sample, channel, *place), output.shape)
        stored = emit.stored(output, offset, _biased(site, operands, channel, result))
        problem = Contract(batch, rows, points, channels, operands.declared(), a, b, (stored,))
        emit.problem(problem, operands, [output])
        return
    shape = (x.shape[0], weight.shape[1] * group, tiling.taps, points)
    columns = emit.temporary("columns", output.dtype, shape)
    offset = (sample * group * rows + part * rows + M) * points + N
    stored = emit.stored(columns, offset, result)
    problem = Contract(batch, rows, points, channels, operands.declared(), a, b, (stored,))
    emit.problem(problem, operands, [columns])
    _add_up(site, emit, columns, tiling, site.optional(2) is not None)


def _add_up(site: Site, emit: Emitter, columns: Value, tiling: Tiling, biased: bool) -> None:
    """The sum of the columns [n, c, taps…, blocks…] that fall on each pixel of [n, c, image…]."""
    output = emit.outputs[0]
    at = indices(len(output.shape))
    operands = emit.operands()
    counts: list[int] = []
    taps: list[Dim] = []
    blocks: list[Dim] = []
    valid: Expr | None = None
    for axis, pixel in enumerate(at[2:]):
        count, tap, block, fits = covering(tiling, axis, pixel, dims.symbol(f"r{axis}"))
        counts.append(count)
        taps.append(tap)
        blocks.append(block)
        valid = both(valid, fits)
    channel = at[0] * output.shape[1] + at[1]
    column = channel * tiling.taps + flat(taps, tiling.kernel)
    element = operands.load(columns, column * dims.product(tiling.blocks) + flat(
        blocks, tiling.blocks
    ))  # fmt: skip
    assert valid is not None
    element = ex.select(
        valid, element, ex.Const(0.0 if element.dtype.is_float else 0, element.dtype)
    )
    total: Expr = Ref("p0", element.dtype)
    total = _biased(site, operands, at[1], total) if biased else total
    stored = emit.stored(output, flat(at, output.shape), total)
    passes = (Pass("sum", element),)
    problem = Reduce(output.shape, tuple(counts), operands.declared(), passes, (stored,))
    emit.problem(problem, operands, [output])


def covering(tiling: Tiling, axis: int, pixel: Dim, r: Dim) -> tuple[int, Dim, Dim, Expr]:
    """(how many windows may cover a pixel, the tap of window r, its block, whether it does)."""
    kernel, stride, dilation = (
        side[axis] for side in (tiling.kernel, tiling.strides, tiling.dilations)
    )
    place = pixel + tiling.before[axis]
    blocks = tiling.blocks[axis]
    if dilation == 1:
        tap = dims.modulo(place, stride) + r * stride
        block = dims.floor_div(place, stride) - r
        fits = inside(block, blocks)
        if kernel % stride:
            fits = call("and", fits, call("lt", ex.as_index(tap), ex.i32(kernel)))
            tap = dims.dim_min(tap, kernel - 1)
        return -(-kernel // stride), tap, clamped(block, blocks), fits
    start = place - r * dilation
    fits = inside(start, blocks * stride)
    if stride > 1:
        on_grid = call("eq", ex.as_index(dims.modulo(start, stride)), ex.i32(0))
        fits = call("and", fits, on_grid)
    return kernel, r, clamped(dims.floor_div(start, stride), blocks), fits


# Col2Im


def _col2im(site: Site) -> Tiling:
    image, kernel = site.needed(1, "its image"), site.needed(2, "its block")
    sizes = tuple(d for d in kernel if isinstance(d, int))
    if len(sizes) != len(kernel) or len(image) != len(kernel):
        raise site.shape_error(f"{len(image)} literal dims of a block", shape_text(kernel))
    rank = len(sizes)
    strides, dilations = _steps(site, rank)
    pads = _attribute(site, "pads", (0,) * (2 * rank))
    blocks = tuple(
        dims.floor_div(d + pads[j] + pads[rank + j] - (k - 1) * dilations[j] - 1, strides[j]) + 1
        for j, (d, k) in enumerate(zip(image, sizes, strict=True))
    )
    return Tiling(sizes, strides, dilations, pads[:rank], blocks, image)


@operator("Col2Im", *(Attr(n) for n in ("dilations", "pads", "strides")), since=18)
class Col2Im:
    """Columns of blocks, added up to an image."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        n, rows, columns = site.ranked(0, 3)
        tiling = _col2im(site)
        blocks = dims.product(tiling.blocks)
        wanted = f"blocks of {tiling.taps} in {blocks} columns"
        error = site.shape_error(wanted, shape_text(site.input(0).shape))
        if dims.modulo(rows, tiling.taps) != 0:
            raise error
        hold_equal(site, error, columns, blocks)
        shape = (n, dims.floor_div(rows, tiling.taps), *tiling.image)
        return (Inferred(site.input(0).dtype, shape),)

    @staticmethod
    def reference(site: Site, x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        tiling = _col2im(site)
        blocks = [dims.evaluate(b, {}) for b in tiling.blocks]
        shape = (x.shape[0], x.shape[1] // tiling.taps, *tiling.kernel, *blocks)
        return (added(x.reshape(shape), tiling),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        _add_up(site, emit, site.input(0), _col2im(site), False)
