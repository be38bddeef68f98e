"""Where the elements of a resized axis come from: coordinates, taps and weights, as NumPy tables
where an axis is of known length, as expressions where it isn't.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, call, f32
from webrt.ops.site import Tensor

MAX_DENOMINATOR = 4096


@dataclass(frozen=True, slots=True)
class Style:
    """How Resize samples, whatever the axis."""

    mode: str
    coordinates: str
    nearest: str
    antialias: bool = False
    exclude_outside: bool = False
    cubic: float = -0.75

    @property
    def support(self) -> int:
        """Taps on either side of a coordinate, without antialiasing."""
        return {"nearest": 0, "linear": 1, "cubic": 2}[self.mode]


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of `extent` that becomes `out` elements long.

    `scale` is the model's own; None: it follows from the lengths. `least` and `most` bound the
    region of tf_crop_and_resize, relative to the axis; they are floats or expressions.
    """

    extent: Dim
    out: Dim
    scale: float | Expr | None = None
    least: float | Expr = 0.0
    most: float | Expr = 1.0

    @property
    def known(self) -> bool:
        """Whether tables can be made."""
        parts = (self.scale, self.least, self.most)
        numbers = all(part is None or isinstance(part, int | float) for part in parts)
        return numbers and isinstance(self.extent, int) and isinstance(self.out, int)


@dataclass(frozen=True, slots=True)
class Table:
    """For each output element the places of its taps, [out, taps], in range, and their weights.

    `outside` tells where tf_crop_and_resize extrapolates.
    """

    places: Tensor
    weights: Tensor
    outside: Tensor | None


def table(style: Style, axis: Axis) -> Table:
    """The table of a known axis."""
    extent, out = axis.extent, axis.out
    assert isinstance(extent, int)
    assert isinstance(out, int)
    scale = out / extent if axis.scale is None else _number(axis.scale)
    at = _coordinates(style, np.arange(out, dtype=np.float64), extent, out, scale, axis)
    outside = None
    if style.coordinates == "tf_crop_and_resize":
        outside = (at < 0) | (at > extent - 1)
    if style.mode == "nearest":
        places = np.clip(_rounded(style, axis, at), 0, extent - 1).astype(np.int64)[:, None]
        return Table(places, np.ones_like(places, np.float64), outside)
    shrink = min(scale, 1.0) if style.antialias else 1.0
    start = math.floor(-style.support / shrink) + 1
    whole = np.floor(at)
    places = whole[:, None].astype(np.int64) + np.arange(start, 2 - start)[None, :]
    weights = weights_at(style, (places - at[:, None]) * shrink)
    if style.exclude_outside:
        weights = np.where((places < 0) | (places >= extent), 0, weights)
    if style.exclude_outside or style.antialias:
        total = weights.sum(axis=1, keepdims=True)
        weights = weights / np.where(total == 0, 1, total)
    used = np.flatnonzero(np.abs(weights).max(axis=0, initial=0) > 0)
    cut = slice(used[0], used[-1] + 1) if used.size else slice(0, 1)
    return Table(np.clip(places, 0, extent - 1)[:, cut], weights[:, cut], outside)


def _number(value: float | Expr) -> float:
    """A number of the model: the fraction that it was before float32 rounded it, if it is one."""
    assert isinstance(value, int | float)
    simple = rational(value) if value > 0 else None
    return float(value) if simple is None else float(simple)


def _coordinates(
    style: Style, i: Tensor, extent: int, out: int, scale: float, axis: Axis
) -> Tensor:
    """ONNX's coordinate transformations; `scale · extent` is the length before it was rounded."""
    length = scale * extent
    match style.coordinates:
        case "align_corners":
            return np.zeros_like(i) if length == 1 else i * (extent - 1) / (length - 1)
        case "asymmetric":
            return i / scale
        case "tf_crop_and_resize":
            least, most = _number(axis.least), _number(axis.most)
            if length == 1:
                return np.full_like(i, (most + least) * (extent - 1) / 2)
            return i * (most - least) * (extent - 1) / (length - 1) + least * (extent - 1)
        case "pytorch_half_pixel" if length == 1:
            return np.full_like(i, -0.5)
        case "tf_half_pixel_for_nn":
            return (i + 0.5) / scale
        case "half_pixel_symmetric":
            return extent / 2 * (1 - out / length) + (i + 0.5) / scale - 0.5
    return (i + 0.5) / scale - 0.5


def _rounding(style: Style, axis: Axis) -> str:
    """The rule of an axis: opset 10 tells none, and rounds up where an axis shrinks."""
    if style.nearest != "simple":
        return style.nearest
    return "ceil" if isinstance(axis.scale, int | float) and axis.scale < 1 else "floor"


def _rounded(style: Style, axis: Axis, at: Tensor) -> Tensor:
    match _rounding(style, axis):
        case "floor":
            return np.floor(at)
        case "ceil":
            return np.ceil(at)
        case "round_prefer_ceil":
            return np.floor(at + 0.5)
    return np.ceil(at - 0.5)


def weights_at(style: Style, distance: Tensor) -> Tensor:
    """The kernel of linear or cubic interpolation."""
    x = np.abs(distance)
    if style.mode == "linear":
        return np.asarray(np.clip(1 - x, 0, 1))
    a = style.cubic
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.asarray(np.where(x <= 1, near, np.where(x < 2, far, 0)))


# Without tables


def nearest_place(style: Style, axis: Axis, i: Dim) -> Dim | None:
    """The element that output `i` shows, in whole numbers; None where the formula isn't one."""
    ratio = _ratio(axis)
    if ratio is None:
        return None
    step, length = ratio
    match style.coordinates:
        case "asymmetric":
            top, bottom = i * step, length
        case "half_pixel" | "half_pixel_symmetric" if style.coordinates == "half_pixel" or (
            axis.scale is None
        ):
            top, bottom = (i * 2 + 1) * step - length, length * 2
        case "align_corners" if axis.scale is None:
            top, bottom = i * (axis.extent - 1), dims.dim_max(axis.out - 1, 1)
        case "tf_half_pixel_for_nn":
            top, bottom = (i * 2 + 1) * step, length * 2
        case _:
            return None
    match _rounding(style, axis):
        case "ceil":
            top = top + bottom - 1
        case "round_prefer_floor":
            top, bottom = top * 2 + bottom - 1, bottom * 2
        case "round_prefer_ceil":
            top, bottom = top * 2 + bottom, bottom * 2
    space = {s: dims.MAX_SYMBOL for s in dims.free_symbols(i)}
    if not dims.is_nonnegative(top, space):
        top = dims.dim_max(top, 0)
    return dims.dim_min(dims.floor_div(top, bottom), axis.extent - 1)


def _ratio(axis: Axis) -> tuple[Dim, Dim] | None:
    """What `extent / out` is, as two whole numbers."""
    if axis.scale is None:
        return axis.extent, axis.out
    if not isinstance(axis.scale, int | float):
        return None
    scale = rational(axis.scale)
    return None if scale is None else (scale.denominator, scale.numerator)


def rational(scale: float) -> Fraction | None:
    """The simple fraction that a float32 stands for, if it is one."""
    found = Fraction(scale).limit_denominator(MAX_DENOMINATOR)
    return found if found > 0 and np.float32(found) == np.float32(scale) else None


def coordinate(style: Style, axis: Axis, i: Dim) -> Expr:
    """Where output `i` lies on the axis, in f32."""
    extent, out = (ex.cast(ex.as_index(d), DType.F32) for d in (axis.extent, axis.out))
    at = ex.cast(ex.as_index(i), DType.F32)
    scale = axis.scale
    length = out if scale is None else call("mul", _expr(scale), extent)
    one, half = f32(1), f32(0.5)

    def unscaled(x: Expr) -> Expr:
        if scale is None:
            return call("div", call("mul", x, extent), out)
        return call("div", x, _expr(scale))

    def over_corners(x: Expr, alone: Expr) -> Expr:
        gaps = call("mul", x, call("sub", extent, one))
        single = call("le", length, one)
        below = ex.select(single, one, call("sub", length, one))
        return ex.select(single, alone, call("div", gaps, below))

    match style.coordinates:
        case "align_corners":
            return over_corners(at, f32(0))
        case "asymmetric":
            return unscaled(at)
        case "tf_crop_and_resize":
            least, most = _expr(axis.least), _expr(axis.most)
            last = call("sub", extent, one)
            middle = call("mul", call("mul", call("sub", most, least), last), half)
            inner = over_corners(call("mul", at, call("sub", most, least)), middle)
            return call("add", inner, call("mul", least, last))
        case "tf_half_pixel_for_nn":
            return unscaled(call("add", at, half))
    found = call("sub", unscaled(call("add", at, half)), half)
    if style.coordinates == "pytorch_half_pixel":
        return ex.select(call("le", length, one), call("neg", half), found)
    if style.coordinates == "half_pixel_symmetric" and scale is not None:
        away = call("sub", one, call("div", out, length))
        return call("add", call("mul", call("mul", extent, half), away), found)
    return found


def _expr(value: float | Expr) -> Expr:
    return f32(value) if isinstance(value, int | float) else value


def rounded(style: Style, axis: Axis, at: Expr) -> Expr:
    """The whole number next to a coordinate."""
    match _rounding(style, axis):
        case "floor":
            return call("floor", at)
        case "ceil":
            return call("ceil", at)
        case "round_prefer_ceil":
            return call("floor", call("add", at, f32(0.5)))
    return call("ceil", call("sub", at, f32(0.5)))


def kernel(style: Style, distance: Expr) -> Expr:
    """The weight at a distance."""
    x = call("abs", distance)
    if style.mode == "linear":
        return call("max", call("sub", f32(1), x), f32(0))
    return cubic(x, style.cubic)


def cubic(x: Expr, a: float) -> Expr:
    """Keys' kernel at a distance that isn't negative."""
    near = polynomial(x, (a + 2, -(a + 3), 0, 1))
    far = polynomial(x, (a, -5 * a, 8 * a, -4 * a))
    outer = ex.select(call("lt", x, f32(2)), far, f32(0))
    return ex.select(call("le", x, f32(1)), near, outer)


def polynomial(x: Expr, coefficients: tuple[float, ...]) -> Expr:
    """Horner's scheme, highest power first."""
    total: Expr = f32(coefficients[0])
    for coefficient in coefficients[1:]:
        total = call("mul", total, x)
        if coefficient:
            total = call("add", total, f32(coefficient))
    return total


def shrink(style: Style, axis: Axis) -> Expr:
    """What distances are multiplied with: below 1 where antialiasing widens the kernel."""
    if not style.antialias:
        return f32(1)
    if axis.scale is None:
        extent, out = (ex.cast(ex.as_index(d), DType.F32) for d in (axis.extent, axis.out))
        return call("min", call("div", out, extent), f32(1))
    return call("min", _expr(axis.scale), f32(1))


def tap_count(style: Style, axis: Axis) -> Dim | None:
    """How many taps a kernel has; None where data decides."""
    if not style.antialias:
        return 2 * style.support
    if axis.scale is None:
        reach = dims.ceil_div(axis.extent * style.support, axis.out)
        return dims.dim_max(reach, style.support) * 2
    if isinstance(axis.scale, int | float):
        return 2 * math.ceil(style.support / min(axis.scale, 1.0))
    return None


Place = Callable[[Dim], tuple[Dim, Expr]]


def taps(style: Style, axis: Axis, i: Dim, count: Dim) -> Place:
    """(clamped place, weight) of tap t of output `i`."""
    at = coordinate(style, axis, i)
    start = ex.as_dim(ex.cast(call("floor", at), DType.I32)) - dims.floor_div(count, 2) + 1
    factor = shrink(style, axis)

    def tap(t: Dim) -> tuple[Dim, Expr]:
        place = start + t
        away = call("sub", ex.cast(ex.as_index(place), DType.F32), at)
        weight = kernel(style, call("mul", away, factor) if style.antialias else away)
        if style.exclude_outside:
            above = call("ge", ex.as_index(place), ex.i32(0))
            below = call("lt", ex.as_index(place), ex.as_index(axis.extent))
            weight = ex.select(call("and", above, below), weight, f32(0))
        return clamped(place, axis.extent), weight

    return tap


def clamped(place: Dim, extent: Dim) -> Dim:
    """The place of the axis that is nearest to `place`."""
    return dims.dim_min(dims.dim_max(place, 0), extent - 1)
