"""ONNX's own operators under ONNX Runtime's name, and those that move elements."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.contrib import MICROSOFT
from webrt.ops.registry import Attr
from webrt.ops.site import Site


def _same(name: str, *attributes: Attr) -> None:
    @composite(name, *attributes, domain=MICROSOFT)
    def expand(site: Site, make: Make) -> tuple[Value, ...]:
        return make.node(name, site.inputs, dict(site.attributes), outputs=site.outputs)


_same("Trilu", Attr("upper", 1))
_same("GatherND")


@composite("Range", domain=MICROSOFT)
def arange(site: Site, make: Make) -> tuple[Value, ...]:
    """Start, limit and perhaps a step, each a scalar or a vector of one."""
    bounds = [make.reshape(site.input(j)) for j in (0, 1)]
    step = site.optional(2)
    bounds.append(make.number(1, bounds[0]) if step is None else make.reshape(step))
    return (make("Range", *bounds),)


@composite("Pad", Attr("mode", "constant"), domain=MICROSOFT)
def pad(site: Site, make: Make) -> tuple[Value, ...]:
    """Pads may have a dim of 1 in front, a value may be a vector of one."""
    pads, value = make.reshape(site.input(1), 2 * len(site.input(0).shape)), site.optional(2)
    value = None if value is None else make.reshape(value)
    return (make("Pad", site.input(0), pads, value, mode=site.text("mode")),)


@composite("Unique", domain=MICROSOFT)
def unique(site: Site, make: Make) -> tuple[Value, ...]:
    """In the order of the input: the elements, where each is among them, how many there are."""
    made = make.several(4, "Unique", site.input(0), sorted=0)
    return made[0], made[2], made[3]


@composite("ExpandDims", domain=MICROSOFT)
def expand_dims(site: Site, make: Make) -> tuple[Value, ...]:
    """Unsqueeze along one axis."""
    axis = site.scalar(1, "axis")
    return (make("Unsqueeze", site.input(0), make.integers(axis)),)


_MODES = {"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic"}


@composite(
    "GridSample", Attr("align_corners", 0), Attr("mode", "bilinear"), Attr("padding_mode", "zeros"),
    domain=MICROSOFT,
)  # fmt: skip
def grid_sample(site: Site, make: Make) -> tuple[Value, ...]:
    """The modes have older names."""
    site.ranked(0, 4)
    mode = _MODES.get(site.text("mode"))
    if mode is None:
        raise site.unsupported(f"mode {site.text('mode')!r} isn't run")
    rest = {n: site.attributes[n] for n in ("align_corners", "padding_mode")}
    return make.node("GridSample", (site.input(0), site.input(1)), {"mode": mode, **rest})


@composite("UnfoldTensor", Attr("dim", -1), Attr("size"), Attr("step", 1), domain=MICROSOFT)
def unfold_tensor(site: Site, make: Make) -> tuple[Value, ...]:
    """Slices of `size` along a dim, one every `step`; their elements become the last dim."""
    x = site.input(0)
    axis, size = site.axis(site.integer("dim"), len(x.shape)), site.positive("size")
    step = site.positive("step")
    count = dims.floor_div(x.shape[axis] - size, step) + 1
    starts = make("Mul", make.range(count), make.scalar(step))
    at = make("Add", make.reshape(starts, count, 1), make.range(size))
    parts = make("Gather", x, at, axis=axis)
    order = [j for j in range(len(parts.shape)) if j != axis + 1]
    return (make.transpose(parts, *order, axis + 1),)


_FOURIER = Attr("onesided", 1), Attr("normalized", 0), Attr("signal_ndim", 1)


def _check_fourier(site: Site) -> None:
    plain = site.integer("onesided") == 1 and site.integer("normalized") == 0
    if not plain or site.integer("signal_ndim") != 1:
        raise site.unsupported("other than one-sided transforms of one dim aren't run")


@composite("Rfft", *_FOURIER, domain=MICROSOFT)
def rfft(site: Site, make: Make) -> tuple[Value, ...]:
    """Half of the spectrum of real signals, real and imaginary parts last."""
    _check_fourier(site)
    x = site.input(0)
    complex_ = make.reshape(x, *x.shape, 1)
    return (make("DFT", complex_, None, make.scalar(len(x.shape) - 1), onesided=1),)


@composite("Irfft", *_FOURIER, domain=MICROSOFT)
def irfft(site: Site, make: Make) -> tuple[Value, ...]:
    """The real signal of half a spectrum, of an even length."""
    _check_fourier(site)
    x = site.input(0)
    axis = len(x.shape) - 2
    inner = make(
        "Slice", x, make.integers(-2), make.integers(0), make.integers(axis), make.integers(-1)
    )
    sign = make.constant(np.array([1, -1], np.float32))
    whole = make("Concat", x, make("Mul", inner, make.cast(sign, x.dtype)), axis=axis)
    made = make("DFT", whole, None, make.scalar(axis), inverse=1)
    real = make("Gather", made, make.scalar(0), axis=axis + 1)
    return (real,)


@composite("CDist", Attr("metric", "sqeuclidean"), domain=MICROSOFT)
def cdist(site: Site, make: Make) -> tuple[Value, ...]:
    """The distance of every row of a from every row of b."""
    (m, k), (n, _) = site.ranked(0, 2), site.ranked(1, 2)
    metric = site.text("metric")
    if metric not in ("euclidean", "sqeuclidean"):
        raise site.unsupported(f"the metric {metric!r} isn't run")
    a, b = make.reshape(site.input(0), m, 1, k), make.reshape(site.input(1), 1, n, k)
    total = make("ReduceSumSquare", make("Sub", a, b), make.integers(2), keepdims=0)
    return (total if metric == "sqeuclidean" else make("Sqrt", total),)


@composite("CropAndResize", Attr("extrapolation_value", 0.0), Attr("mode", "bilinear"),
           domain=MICROSOFT)  # fmt: skip
def crop_and_resize(site: Site, make: Make) -> tuple[Value, ...]:
    """Boxes [y1, x1, y2, x2] of pictures, each at one size; what lies outside is a number."""
    x, boxes = site.input(0), site.input(1)
    high, wide = site.needed(3, "crop_size")
    count = site.ranked(1, 2)[0]
    pictures = make("Gather", x, site.input(2), axis=0)
    ends = [make.reshape(make.part(boxes, 1, j, j + 1), count, 1) for j in range(4)]
    parts = []
    for size, extent, first, last in (
        (wide, x.shape[3], ends[1], ends[3]), (high, x.shape[2], ends[0], ends[2]),
    ):  # fmt: skip
        at, fits = _along(make, size, extent, first, last)
        parts.append((at, fits))
    (across, right), (down, below) = parts
    shape: tuple[Dim, ...] = (count, high, wide, 1)
    grid = make(
        "Concat",
        make("Expand", make.reshape(across, count, 1, wide, 1), make.integers(*shape)),
        make("Expand", make.reshape(down, count, high, 1, 1), make.integers(*shape)),
        axis=3,
    )  # fmt: skip
    mode = _MODES[site.text("mode")]
    made = make.node(
        "GridSample", (pictures, grid),
        {"mode": mode, "align_corners": 1, "padding_mode": "border"},
    )[0]  # fmt: skip
    inside = make(
        "And", make.reshape(right, count, 1, 1, wide), make.reshape(below, count, 1, high, 1)
    )
    outside = make.number(site.number("extrapolation_value"), made)
    return (make("Where", inside, made, outside),)


def _along(make: Make, size: Dim, extent: Dim, first: Value, last: Value) -> tuple[Value, Value]:
    """Places along an axis from -1 to 1, [boxes, size], and whether they are in the picture."""
    most = make.cast(make.scalar(extent - 1), DType.F32)
    if size == 1:
        place = make("Mul", make("Add", first, last), make.constant(np.array([0.5], np.float32)))
        at = make("Mul", place, most)
    else:
        steps = make.cast(make.scalar(size - 1), DType.F32)
        own = make("Div", make.cast(make.range(size), DType.F32), steps)
        at = make("Mul", make("Add", first, make("Mul", own, make("Sub", last, first))), most)
    zero = make.constant(np.zeros(1, np.float32))
    fits = make("And", make("GreaterOrEqual", at, zero), make("LessOrEqual", at, most))
    span = make.cast(make.scalar(dims.dim_max(extent - 1, 1)), DType.F32)
    two, one = (make.constant(np.array([n], np.float32)) for n in (2, 1))
    return make("Sub", make("Div", make("Mul", at, two), span), one), fits
