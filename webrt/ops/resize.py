"""Resize and Upsample: every mode, one Map where few elements are mixed, else axis by axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Ref, call, f32
from webrt.kernel.problem import Map, Pass, Reduce
from webrt.ops import resample
from webrt.ops.emit import Emitter, Operands, device_dtype, flat, indices
from webrt.ops.registry import Attr, operator
from webrt.ops.resample import Axis, Style, Table
from webrt.ops.site import DependsOnDataError, Inferred, Site, Tensor, numpy_dtype

MAX_TAPS = 16
"""Elements that one Map mixes; beyond that axes are resized one after the other."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The axes that change, and how; `fill` stands where tf_crop_and_resize extrapolates."""

    style: Style
    axes: dict[int, Axis]
    shape: tuple[Dim, ...]
    fill: float


def _style(site: Site) -> Style:
    mode = site.text("mode")
    if mode not in ("nearest", "linear", "cubic"):
        raise site.unsupported(f"mode {mode!r} isn't run")
    if "nearest_mode" not in site.attributes:  # opset 10, and Upsample
        return Style(mode, "asymmetric", "simple")
    antialias = bool(site.attributes.get("antialias", 0)) and mode != "nearest"
    return Style(
        mode,
        site.text("coordinate_transformation_mode"),
        site.text("nearest_mode"),
        antialias,
        bool(site.integer("exclude_outside")) and mode != "nearest",
        site.number("cubic_coeff_a"),
    )


def _axes(site: Site, rank: int) -> list[int]:
    if "axes" not in site.attributes:
        return list(range(rank))
    return [site.axis(a, rank) for a in site.integers("axes")]


def _scales(site: Site) -> list[float] | Value | None:
    """The scales as attribute or input; None where sizes are given.

    Scales that only a run tells come with the sizes that they make.
    """
    if "scales" in site.attributes:
        given = site.attributes["scales"]
        assert isinstance(given, tuple)
        return [float(s) for s in given]
    position = 2 if "nearest_mode" in site.attributes else 1
    value = site.optional(position)
    if value is None or 0 in value.shape:
        return None
    if value.data is not None:
        return [float(s) for s in value.data.reshape(-1)]
    if site.optional(3) is None:
        why = site.unsupported("its scales depend on data")
        raise DependsOnDataError(str(why), position)
    return value


def _plan(site: Site, operands: Operands | None = None) -> Plan:
    """What is to be done; `operands` loads a region and scales that aren't constants."""
    x = site.input(0)
    rank = len(x.shape)
    chosen, scales = _axes(site, rank), _scales(site)
    if isinstance(scales, Value):
        sizes = list(site.needed(3, "its sizes"))
        if scales.shape != (len(chosen),) or len(sizes) != len(chosen):
            raise site.shape_error(f"{len(chosen)} scales and sizes", f"{len(sizes)} sizes")
        axes = {
            a: Axis(x.shape[a], size, f32(1) if operands is None else operands.load(scales, j))
            for j, (a, size) in enumerate(zip(chosen, sizes, strict=True))
        }
    elif scales is None:
        sizes = list(site.needed(3, "its sizes"))
        if len(sizes) != len(chosen):
            raise site.shape_error(f"{len(chosen)} sizes", str(len(sizes)))
        axes = _sized(site, chosen, sizes)
    else:
        if len(scales) != len(chosen) or min(scales, default=1) <= 0:
            raise site.shape_error(f"{len(chosen)} scales above 0", str(scales))
        axes = {a: _scaled(x.shape[a], s) for a, s in zip(chosen, scales, strict=True)}
    style = _style(site)
    if style.coordinates == "tf_crop_and_resize":
        axes = {a: _in_region(site, axes[a], j, len(chosen), operands) for j, a in enumerate(axes)}
    shape = tuple(axes[j].out if j in axes else d for j, d in enumerate(x.shape))
    moving = {a: axis for a, axis in axes.items() if not _is_same(style, axis)}
    fill = site.attributes.get("extrapolation_value", 0.0)
    assert isinstance(fill, int | float)
    return Plan(style, moving, shape, float(fill))


def _scaled(extent: Dim, scale: float) -> Axis:
    """floor(extent · scale)."""
    if isinstance(extent, int):
        return Axis(extent, int(np.floor(np.float32(extent) * np.float32(scale))), scale)
    simple = resample.rational(scale)
    if simple is None:
        simple = Fraction(scale).limit_denominator(1 << 10)
    out = dims.floor_div(extent * simple.numerator, simple.denominator)
    return Axis(extent, out, scale)


def _sized(site: Site, chosen: Sequence[int], sizes: Sequence[Dim]) -> dict[int, Axis]:
    shape = site.input(0).shape
    policy = site.attributes.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return {a: Axis(shape[a], size) for a, size in zip(chosen, sizes, strict=True)}
    if policy not in ("not_larger", "not_smaller"):
        raise site.unsupported(f"keep_aspect_ratio_policy {policy!r} isn't run")
    pairs = list(zip(chosen, sizes, strict=True))
    pick = dims.dim_min if policy == "not_larger" else dims.dim_max
    result = {}
    for axis in chosen:
        outs = [dims.floor_div(shape[axis] * s * 2 + shape[a], shape[a] * 2) for a, s in pairs]
        out = outs[0]
        for other in outs[1:]:
            out = pick(out, other)
        result[axis] = Axis(shape[axis], out, _common_scale(policy == "not_larger", shape, pairs))
    return result


def _common_scale(
    least: bool, shape: Sequence[Dim], pairs: Sequence[tuple[int, Dim]]
) -> float | Expr:
    """The one scale of all axes that keeps the aspect ratio."""
    if all(isinstance(s, int) and isinstance(shape[a], int) for a, s in pairs):
        ratios = [dims.evaluate(s, {}) / dims.evaluate(shape[a], {}) for a, s in pairs]
        return min(ratios) if least else max(ratios)
    found: Expr | None = None
    for axis, size in pairs:
        parts = (ex.cast(ex.as_index(d), DType.F32) for d in (size, shape[axis]))
        ratio = call("div", *parts)
        found = ratio if found is None else call("min" if least else "max", found, ratio)
    assert found is not None
    return found


def _in_region(site: Site, axis: Axis, number: int, count: int, operands: Operands | None) -> Axis:
    """The axis with its part of the region of interest."""
    roi = site.input(1)
    if roi.data is not None:
        found = roi.data.reshape(-1)
        bounds: tuple[float | Expr, ...] = (float(found[number]), float(found[count + number]))
    elif operands is None:
        return axis
    else:
        bounds = tuple(ex.cast(operands.load(roi, j), DType.F32) for j in (number, count + number))
    return Axis(axis.extent, axis.out, axis.scale, *bounds)


def _is_same(style: Style, axis: Axis) -> bool:
    """Whether the axis stays as it is."""
    cropped = style.coordinates == "tf_crop_and_resize" and (axis.least, axis.most) != (0.0, 1.0)
    return axis.extent == axis.out and axis.scale in (None, 1.0) and not cropped


def _reference(site: Site, x: Tensor) -> Tensor:
    plan = _plan(site)
    result, outside = x.astype(np.float64), np.zeros(x.shape, bool)
    for axis, one in plan.axes.items():
        table = resample.table(plan.style, one)
        taken = np.take(result, table.places, axis)
        outside = np.take(outside, table.places[:, 0], axis)
        tail = (1,) * (x.ndim - axis - 1)
        result = (taken * table.weights.reshape(*table.weights.shape, *tail)).sum(axis + 1)
        if table.outside is not None:
            outside = outside | table.outside.reshape(-1, *tail)
    result = np.where(outside, plan.fill, result)
    if x.dtype.kind in "iu":
        limits = np.iinfo(x.dtype)
        result = np.clip(np.round(result), limits.min, limits.max)
    return result.astype(x.dtype)


def _fixed(site: Site, given: Mapping[int, Tensor]) -> Site:
    """The site as it is for these arrays: every length a number."""
    inputs = list(site.inputs)
    for j, array in given.items():
        value = site.optional(j)
        if value is not None and (j or value.shape != array.shape):
            shape = tuple(int(d) for d in array.shape)
            inputs[j] = Value(value.name, value.dtype, shape, array if j else None)
    return Site(site.op, site.name, tuple(inputs), site.attributes, site.version, site.outputs)


class _Resized:
    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        plan = _plan(site)
        return (Inferred(site.input(0).dtype, plan.shape),)

    @staticmethod
    def reference(site: Site, x: Tensor, *others: Tensor | None) -> tuple[Tensor, ...]:
        given = {0: x}
        if "nearest_mode" in site.attributes:
            given |= {j + 1: array for j, array in enumerate(others) if array is not None}
        return (_reference(_fixed(site, given), x),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        plan = _plan(site)
        counts = [_count(plan.style, axis) for axis in plan.axes.values()]
        total = dims.product(tuple(counts))
        if isinstance(total, int) and total <= MAX_TAPS:
            emit.map(lambda operands, at: _mixed(site, operands, at))
            return
        _one_by_one(site, emit, plan)


def _count(style: Style, axis: Axis) -> Dim:
    """How many elements are mixed along an axis."""
    if style.mode == "nearest":
        return 1
    if axis.known:
        return int(resample.table(style, axis).places.shape[1])
    count = resample.tap_count(style, axis)
    return dims.symbol("many") if count is None or style.antialias else count


def _mixed(site: Site, operands: Operands, at: tuple[Dim, ...]) -> Expr:
    """The element at `at` of all axes resized at once."""
    plan = _plan(site, operands)
    value = site.input(0)
    axes = list(plan.axes)
    samples = {a: _samples(plan, a, at[a], operands) for a in axes}

    def mixed(number: int, place: tuple[Dim, ...]) -> Expr:
        if number == len(axes):
            element = operands.at(value, place)
            return element if plan.style.mode == "nearest" else _as_float(element)
        axis = axes[number]
        total: Expr | None = None
        for spot, weight in samples[axis]:
            part = mixed(number + 1, (*place[:axis], spot, *place[axis + 1 :]))
            part = part if weight is None else call("mul", weight, part)
            total = part if total is None else call("add", total, part)
        assert total is not None
        return total

    result = mixed(0, at)
    for axis in axes:
        result = _filled(plan, axis, at[axis], operands, result)
    return _stored(result, value.dtype)


def _as_float(element: Expr) -> Expr:
    return ex.cast(element, DType.F32)


def _stored(x: Expr, dtype: DType) -> Expr:
    """The result in the tensor's type: integers are rounded and held to their range."""
    kind = device_dtype(dtype)
    if not x.dtype.is_float or kind.is_float:
        return ex.cast(x, kind)
    limits = np.iinfo(str(numpy_dtype(dtype)))
    bounded = call("max", call("round", x), f32(max(limits.min, -(2**31))))
    return ex.cast(call("min", bounded, f32(min(limits.max, 2**31 - 128))), kind)


def _samples(plan: Plan, axis: int, i: Dim, operands: Operands) -> list[tuple[Dim, Expr | None]]:
    """The places and weights of every tap of output `i`."""
    one = plan.axes[axis]
    if plan.style.mode == "nearest":
        return [(_nearest(plan.style, one, i, operands), None)]
    if one.known:
        table = resample.table(plan.style, one)
        tap = _from_table(table, i, operands)
        return [tap(t) for t in range(table.places.shape[1])]
    count = resample.tap_count(plan.style, one)
    assert isinstance(count, int)
    found = [resample.taps(plan.style, one, i, count)(t) for t in range(count)]
    if not plan.style.exclude_outside:
        return list(found)
    total = found[0][1]
    for _, weight in found[1:]:
        total = call("add", total, weight)
    return [(place, call("div", weight, total)) for place, weight in found]


def _nearest(style: Style, axis: Axis, i: Dim, operands: Operands) -> Dim:
    """In whole numbers where that is exact; a table decides what rounding does, where it can."""
    place = resample.nearest_place(style, axis, i)
    if not axis.known:
        if place is not None:
            return place
        at = resample.rounded(style, axis, resample.coordinate(style, axis, i))
        return resample.clamped(ex.as_dim(ex.cast(at, DType.I32)), axis.extent)
    table = resample.table(style, axis).places[:, 0]
    if place is not None and len(dims.free_symbols(i)) == 1:
        (name,) = dims.free_symbols(i)
        found = [dims.evaluate(place, {name: j}) for j in range(len(table))]
        if i == dims.symbol(name) and found == table.tolist():
            return place
    return ex.as_dim(operands.load(_constant("places", table.astype(np.int32)), i))


def _constant(name: str, data: Tensor) -> Value:
    dtype = DType.I32 if data.dtype.kind == "i" else DType.F32
    return Value(name, dtype, tuple(data.shape), np.ascontiguousarray(data))


def _from_table(table: Table, i: Dim, operands: Operands) -> resample.Place:
    count = table.places.shape[1]
    places = _shared(operands, "places", table.places.astype(np.int32))
    weights = _shared(operands, "weights", table.weights.astype(np.float32))

    def tap(t: Dim) -> tuple[Dim, Expr]:
        place = ex.as_dim(operands.load(places, i * count + t))
        return place, operands.load(weights, i * count + t)

    return tap


def _shared(operands: Operands, name: str, data: Tensor) -> Value:
    """A constant; the one that is an operand already where there is such a one."""
    for value in operands.values:
        known = value.data
        if known is not None and known.dtype == data.dtype and np.array_equal(known, data):
            return value
    return _constant(name, data)


def _filled(plan: Plan, axis: int, i: Dim, operands: Operands, element: Expr) -> Expr:
    """`element`, or the value of what lies outside of tf_crop_and_resize's image."""
    one = plan.axes[axis]
    if plan.style.coordinates != "tf_crop_and_resize":
        return element
    fill = ex.Const(plan.fill, element.dtype) if element.dtype.is_float else ex.i32(int(plan.fill))
    if one.known:
        outside = resample.table(plan.style, one).outside
        assert outside is not None
        marks = _constant("outside", outside.astype(np.int32))
        return ex.select(call("ne", operands.load(marks, i), ex.i32(0)), fill, element)
    at = resample.coordinate(plan.style, one, i)
    last = ex.cast(ex.as_index(one.extent - 1), DType.F32)
    out = call("or", call("lt", at, f32(0)), call("gt", at, last))
    return ex.select(out, fill, element)


def _one_by_one(site: Site, emit: Emitter, plan: Plan) -> None:
    """Axis after axis, those first that shrink: each a sum over the taps of an output."""
    value, shape = site.input(0), list(site.input(0).shape)
    order = sorted(plan.axes, key=lambda a: _growth(plan.axes[a]))
    for number, axis in enumerate(order):
        shape[axis] = plan.axes[axis].out
        last = number == len(order) - 1
        made = emit.outputs[0] if last else emit.temporary(f"axis{axis}", DType.F32, tuple(shape))
        _along(site, emit, value, axis, made, last)
        value = made


def _growth(axis: Axis) -> float:
    sizes = [d if isinstance(d, int) else 1 for d in (axis.out, axis.extent)]
    return sizes[0] / max(sizes[1], 1)


def _along(site: Site, emit: Emitter, value: Value, axis: int, made: Value, last: bool) -> None:
    operands = emit.operands()
    plan = _plan(site, operands)
    one = plan.axes[axis]
    at = indices(len(made.shape))
    r = dims.symbol("r0")

    def element(place: Dim) -> Expr:
        return _as_float(operands.at(value, (*at[:axis], place, *at[axis + 1 :])))

    def finish(total: Expr) -> Expr:
        if not last:
            return total
        for other in plan.axes:
            total = _filled(plan, other, at[other], operands, total)
        return _stored(total, made.dtype)

    if one.known:
        table = resample.table(plan.style, one)
        count: Dim | None = table.places.shape[1]
        place, weight = _from_table(table, at[axis], operands)(r)
        passes: tuple[Pass, ...] = (Pass("sum", call("mul", weight, element(place))),)
        result: Expr = Ref("p0", DType.F32)
    else:
        count = resample.tap_count(plan.style, one)
        if count is None:
            raise site.unsupported("an antialiased axis whose scale depends on data")
        place, weight = resample.taps(plan.style, one, at[axis], count)(r)
        passes = (Pass("sum", call("mul", weight, element(place))), Pass("sum", weight))
        result = call("div", Ref("p0", DType.F32), Ref("p1", DType.F32))
    assert count is not None
    if count == 1:
        assert one.known
        place, weight = _from_table(resample.table(plan.style, one), at[axis], operands)(0)
        stored = emit.stored(
            made, flat(at, made.shape), finish(call("mul", weight, element(place)))
        )
        emit.problem(Map(made.shape, operands.declared(), (stored,)), operands, [made])
        return
    stored = emit.stored(made, flat(at, made.shape), finish(result))
    problem = Reduce(made.shape, (count,), operands.declared(), passes, (stored,))
    emit.problem(problem, operands, [made])


_MODERN = (
    Attr("coordinate_transformation_mode", "half_pixel", since=11),
    Attr("cubic_coeff_a", -0.75, since=11),
    Attr("exclude_outside", 0, since=11),
    Attr("extrapolation_value", 0.0, since=11),
    Attr("nearest_mode", "round_prefer_floor", since=11),
    Attr("antialias", 0, since=18),
    Attr("axes", None, since=18),
    Attr("keep_aspect_ratio_policy", "stretch", since=18),
)


@operator("Resize", Attr("mode", "nearest"), *_MODERN, since=10)
class Resize(_Resized):
    """Opset 10 knows nearest and linear only, and counts from the pixels' corners."""


@operator("Upsample", Attr("mode", "nearest"), Attr("scales", None, until=8), since=7)
class Upsample(_Resized):
    """What Resize was before opset 10."""
