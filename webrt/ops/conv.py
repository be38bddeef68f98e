"""Sliding windows, and convolutions over them as contractions (implicit gemm)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, Ref, call
from webrt.kernel.problem import Contract, Pass, Reduce
from webrt.ops.emit import Emitter, flat, indices
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, hold_equal, shape_text


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window over the pixel axes: kernel, stride, dilation, padding before and after."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[Dim, ...]
    after: tuple[Dim, ...]
    ceil: bool = False
    out: tuple[Dim, ...] | None = None

    def output(self, pixels: Sequence[Dim]) -> tuple[Dim, ...]:
        if self.out is not None:
            return self.out
        result = []
        for axis, extent in enumerate(pixels):
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            room = extent + self.before[axis] + self.after[axis] - reach
            stride = self.strides[axis]
            if not self.ceil:
                result.append(dims.floor_div(room, stride) + 1)
                continue
            last_start = dims.floor_div(
                extent + self.before[axis] - 1, stride
            )  # not in the end's pad
            result.append(dims.dim_min(dims.ceil_div(room, stride), last_start) + 1)
        return tuple(result)

    def place(self, out: Sequence[Dim], tap: Sequence[Dim]) -> tuple[Dim, ...]:
        """The pixel that a tap of an output's window reads; out of range in the padding."""
        return tuple(
            o * s + t * d - b
            for o, s, t, d, b in zip(
                out, self.strides, tap, self.dilations, self.before, strict=True
            )
        )

    @property
    def padded(self) -> bool:
        return any(p != 0 for p in (*self.before, *self.after)) or self.ceil


def window_of(site: Site, kernel: tuple[int, ...], pixels: Sequence[Dim]) -> Window:
    """The window that a Conv's or a pool's attributes describe."""
    rank = len(kernel)
    strides = site.integers("strides") if "strides" in site.attributes else (1,) * rank
    dilations = site.integers("dilations") if "dilations" in site.attributes else (1,) * rank
    pads = site.integers("pads") if "pads" in site.attributes else (0,) * (2 * rank)
    if len(strides) != rank or len(dilations) != rank or len(pads) != 2 * rank:
        raise site.shape_error(f"strides, dilations and pads of {rank} axes", f"{strides}, {pads}")
    if min((*kernel, *strides, *dilations), default=1) < 1:
        raise site.shape_error(
            "kernel, strides and dilations of at least 1", f"{kernel}, {strides}"
        )
    if len(pixels) != rank:
        raise site.shape_error(f"{rank} axes of pixels", shape_text(tuple(pixels)))
    before: tuple[Dim, ...] = pads[:rank]
    after: tuple[Dim, ...] = pads[rank:]
    out = None
    mode = site.attributes.get("auto_pad", "NOTSET")
    if mode == "VALID":
        before = after = (0,) * rank
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            _same_padding(n, k, s, d)
            for n, k, s, d in zip(pixels, kernel, strides, dilations, strict=True)
        ]
        small = tuple(dims.floor_div(t, 2) for t in total)
        large = tuple(t - s for t, s in zip(total, small, strict=True))
        before, after = (small, large) if mode == "SAME_UPPER" else (large, small)
        out = tuple(dims.ceil_div(n, s) for n, s in zip(pixels, strides, strict=True))
    ceil = bool(site.attributes.get("ceil_mode", 0))
    return Window(kernel, strides, dilations, before, after, ceil, out)


def _same_padding(extent: Dim, kernel: int, stride: int, dilation: int) -> Dim:
    """What makes the output ceil(extent / stride) long."""
    reach = (kernel - 1) * dilation + 1
    if stride == 1:
        return reach - 1
    return dims.dim_max((dims.ceil_div(extent, stride) - 1) * stride + reach - extent, 0)


def digits(number: Dim, radices: Sequence[Dim]) -> tuple[Dim, ...]:
    """The multi-index of a flat offset."""
    result: list[Dim] = []
    for position in range(len(radices) - 1, -1, -1):
        result.append(number if position == 0 else dims.modulo(number, radices[position]))
        number = dims.floor_div(number, radices[position])
    return tuple(reversed(result))


def padded_load(
    load: Callable[[Sequence[Dim]], Expr],
    place: Sequence[Dim],
    pixels: Sequence[Dim],
    window: Window,
    fill: Expr,
) -> Expr:
    """load(place), or `fill` where it lies in the padding; what is loaded stays in range."""
    if not window.padded:
        return load(place)
    conditions: list[Expr] = []
    clamped: list[Dim] = []
    for at, extent, before, after in zip(place, pixels, window.before, window.after, strict=True):
        inside = at
        if before != 0:
            conditions.append(call("ge", ex.as_index(at), ex.i32(0)))
            inside = dims.dim_max(inside, 0)
        if after != 0 or window.ceil:
            conditions.append(call("lt", ex.as_index(at), ex.as_index(extent)))
            inside = dims.dim_min(inside, extent - 1)
        clamped.append(inside)
    valid = conditions[0]
    for condition in conditions[1:]:
        valid = call("and", valid, condition)
    return ex.select(valid, load(clamped), fill)


WINDOW_ATTRIBUTES = (
    Attr("auto_pad", "NOTSET"), Attr("kernel_shape"), Attr("pads"), Attr("strides"),
)  # fmt: skip


@operator("Conv", *WINDOW_ATTRIBUTES, Attr("dilations"), Attr("group", 1))
class Conv:
    """m = output channels of a group, n = output pixels, k = taps × input channels of a group."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        x, weight = site.input(0), site.input(1)
        window = _conv_window(site)
        if dims.modulo(weight.shape[0], site.positive("group")) != 0:
            raise site.shape_error(
                f"output channels in {site.integer('group')} groups", shape_text(weight.shape)
            )
        channels = weight.shape[1] * site.integer("group")
        error = site.shape_error(f"{channels} input channels", shape_text(x.shape))
        hold_equal(site, error, x.shape[1], channels)
        return (Inferred(x.dtype, (x.shape[0], weight.shape[0], *window.output(x.shape[2:]))),)

    @staticmethod
    def reference(
        site: Site, x: Tensor, weight: Tensor, bias: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        window = _conv_window(site)
        group = site.integer("group")
        taps = windows(x, window, 0)
        n, c = x.shape[:2]
        out = taps.shape[2 : 2 + len(window.kernel)]
        columns = taps.reshape(n, group, c // group, int(np.prod(out)), -1)
        filters = weight.reshape(group, weight.shape[0] // group, c // group, -1)
        result = np.einsum("ngcpt,gmct->ngmp", columns, filters, optimize=True)
        result = result.reshape(n, weight.shape[0], *out)
        shape = (1, -1, *(1,) * len(out))
        return (result if bias is None else result + bias.reshape(shape),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        if site.input(1).shape[1] == 1 and site.integer("group") > 1:
            _lower_depthwise(site, emit, _conv_window(site))
        else:
            _lower_conv(site, emit, _conv_window(site))


def _conv_window(site: Site) -> Window:
    x, weight = site.input(0), site.input(1)
    if len(x.shape) < 3 or len(weight.shape) != len(x.shape):
        found = f"{shape_text(x.shape)} and {shape_text(weight.shape)}"
        raise site.shape_error("input and weight of one rank, at least 3", found)
    kernel = tuple(d for d in weight.shape[2:] if isinstance(d, int))
    if len(kernel) != len(weight.shape) - 2:
        raise site.unsupported("its kernel has dynamic dims")
    return window_of(site, kernel, x.shape[2:])


def _lower_conv(site: Site, emit: Emitter, window: Window) -> None:
    x, weight = site.input(0), site.input(1)
    output = emit.outputs[0]
    group = site.integer("group")
    pixels, out = x.shape[2:], output.shape[2:]
    per_group = weight.shape[1]
    filters = dims.floor_div(weight.shape[0], group)
    taps = dims.product(weight.shape[2:])
    m, n, k = dims.symbol("m"), dims.symbol("n"), dims.symbol("k")
    batch = tuple(d for d in (x.shape[0], group) if d != 1)
    names = iter(dims.symbol(f"b{j}") for j in range(len(batch)))
    sample: Dim = 0 if x.shape[0] == 1 else next(names)
    part: Dim = 0 if group == 1 else next(names)
    # Channels run fastest: so do they in memory, and a tap's place is the same for all of them.
    tap, own = dims.floor_div(k, per_group), dims.modulo(k, per_group)
    channel = part * per_group + own
    place = window.place(digits(n, out), digits(tap, window.kernel))
    operands = emit.operands()
    size = per_group * taps
    filter_index = part * filters + m
    a = operands.load(weight, (filter_index * per_group + own) * taps + tap)

    def load(inside: Sequence[Dim]) -> Expr:
        return operands.load(x, flat((sample, channel, *inside), x.shape))

    zero = Const(0.0 if x.dtype.is_float else 0, a.dtype)
    b = padded_load(load, place, pixels, window, zero)
    result: Expr = Ref("acc", a.dtype)
    bias = site.optional(2)
    if bias is not None:
        result = call("add", result, operands.load(bias, filter_index))
    points = dims.product(out)
    offset = (sample * output.shape[1] + filter_index) * points + n
    stored = emit.stored(output, offset, result)
    problem = Contract(batch, filters, points, size, operands.declared(), a, b, (stored,))
    emit.problem(problem, operands, emit.outputs)


def _lower_depthwise(site: Site, emit: Emitter, window: Window) -> None:
    """One input channel a filter: a contraction of one row shares nothing, a sum of taps does."""
    x, weight, output = site.input(0), site.input(1), emit.outputs[0]
    many = dims.floor_div(weight.shape[0], site.integer("group"))
    at = indices(len(output.shape))
    tap = tuple(dims.symbol(f"r{j}") for j in range(len(window.kernel)))
    operands = emit.operands()

    def load(inside: Sequence[Dim]) -> Expr:
        return operands.load(x, flat((at[0], dims.floor_div(at[1], many), *inside), x.shape))

    factor = operands.load(weight, flat((at[1], 0, *tap), weight.shape))
    zero = Const(0.0 if x.dtype.is_float else 0, factor.dtype)
    pixel = padded_load(load, window.place(at[2:], tap), x.shape[2:], window, zero)
    result: Expr = Ref("p0", factor.dtype)
    bias = site.optional(2)
    if bias is not None:
        result = call("add", result, operands.load(bias, at[1]))
    stored = emit.stored(output, flat(at, output.shape), result)
    passes = (Pass("sum", call("mul", pixel, factor)),)
    problem = Reduce(output.shape, window.kernel, operands.declared(), passes, (stored,))
    emit.problem(problem, operands, [output])


def windows(x: Tensor, window: Window, fill: float, out: Sequence[int] | None = None) -> Tensor:
    """[n, c, out…, taps…]: every window of a padded array."""
    rank = len(window.kernel)
    if out is None:
        out = [dims.evaluate(d, {}) for d in window.output(x.shape[2:])]
    pads = [(0, 0), (0, 0)]
    for axis in range(rank):
        before = dims.evaluate(window.before[axis], {})
        reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1
        needed = (out[axis] - 1) * window.strides[axis] + reach
        pads.append((before, max(needed - x.shape[2 + axis] - before, 0)))
    padded = np.pad(x, pads, constant_values=fill)
    spots = [
        np.arange(o)[:, None] * s + np.arange(kernel)[None, :] * d
        for o, s, kernel, d in zip(
            out, window.strides, window.kernel, window.dilations, strict=True
        )
    ]
    everything = slice(None)
    place: list[Tensor | slice] = [everything, everything]
    for axis, spot in enumerate(spots):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = spot.shape
        place.append(spot.reshape(shape))
    taken: Tensor = padded[tuple(place)]
    return taken
