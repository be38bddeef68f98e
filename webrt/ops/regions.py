"""RoiAlign and MaxRoiPool: regions of an image, pooled to a fixed size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Ref, call, f32
from webrt.kernel.problem import Map, Pass, Reduce
from webrt.ops import resample
from webrt.ops.compose import Make, composite
from webrt.ops.emit import F32_MAX, Emitter, Operands, flat, indices
from webrt.ops.gather import row_index
from webrt.ops.registry import Attr, operator
from webrt.ops.sampling import Tap, both, guarded, mix, whole
from webrt.ops.site import Inferred, Site, Tensor, hold_shape


@operator(
    "RoiAlign",
    Attr("coordinate_transformation_mode", "half_pixel", since=16),
    Attr("mode", "avg"),
    Attr("output_height", 1),
    Attr("output_width", 1),
    Attr("sampling_ratio", 0),
    Attr("spatial_scale", 1.0),
    since=10,
)
class RoiAlign:
    """Means (or maxima) of samples in the bins of regions.

    With a sampling ratio of 0 a bin has a sample a pixel, and no more than it takes for a region
    of twice the image: a region beyond that is sampled more coarsely.
    """

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape = site.ranked(0, 4)
        regions = site.ranked(1, 2)
        hold_shape(site, 1, (regions[0], 4))
        hold_shape(site, 2, (regions[0],))
        if site.text("mode") not in ("avg", "max"):
            raise site.unsupported(f"mode {site.text('mode')!r} isn't run")
        size = (site.positive("output_height"), site.positive("output_width"))
        return (Inferred(site.input(0).dtype, (regions[0], shape[1], *size)),)

    @staticmethod
    def reference(site: Site, x: Tensor, regions: Tensor, batch: Tensor) -> tuple[Tensor, ...]:
        return (_roi_reference(site, x, regions, batch),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x, output = site.input(0), emit.outputs[0]
        at = indices(4)
        tables = [_samples(site, emit, axis) for axis in range(2)]
        operands = emit.operands()
        image = row_index(emit, operands, site.input(2), at[0], x.shape[0])
        sides = [_side(site, operands, tables[axis], at, axis) for axis in range(2)]

        def load(place: Sequence[Dim]) -> Expr:
            return operands.at(x, (image, at[1], *place))

        count = call("mul", sides[0].count, sides[1].count)
        valid = call("and", sides[0].valid, sides[1].valid)
        if site.text("mode") == "avg":
            passes = (Pass("sum", guarded(valid, mix([s.taps for s in sides], load))),)
            result = call("div", Ref("p0", DType.F32), call("max", count, f32(1)))
        else:
            found = guarded(valid, _largest(sides, load))
            counted = both(sides[0].counted, sides[1].counted)
            lowest = f32(-math.inf)
            passes = (Pass("max", found if counted is None else ex.select(counted, found, lowest)),)
            result = ex.select(call("gt", count, f32(0)), Ref("p0", DType.F32), f32(0))
        stored = emit.stored(output, flat(at, output.shape), result)
        space = (tables[0].shape[2], tables[1].shape[2])
        problem = Reduce(output.shape, space, operands.declared(), passes, (stored,))
        emit.problem(problem, operands, [output])


OUTSIDE, BEYOND = -1.0, -2.0
"""In place of a sample's coordinate: it lies outside of the image; the bin has no such sample."""


@dataclass(frozen=True, slots=True)
class _Bins:
    """The bins of a region along an axis: the first one's start, their length, how many samples
    they have (`bound`: at most).
    """

    first: Expr
    step: Expr
    count: Expr
    bound: Dim


def _bins_of(site: Site, operands: Operands, region: Dim, axis: int) -> _Bins:
    """The bins along the rows (axis 0) or columns."""
    regions, extent = site.input(1), site.input(0).shape[2 + axis]
    bins = site.positive(("output_height", "output_width")[axis])
    scale, offset = f32(site.number("spatial_scale")), f32(0.5 if _half(site) else 0)
    first, last = (
        call("sub", call("mul", operands.at(regions, (region, j)), scale), offset)
        for j in (1 - axis, 3 - axis)
    )
    size = call("sub", last, first)
    if not _half(site):
        size = call("max", size, f32(1))
    step = call("div", size, f32(bins))
    ratio = site.integer("sampling_ratio")
    if ratio > 0:
        return _Bins(first, step, f32(ratio), ratio)
    bound = dims.ceil_div(extent * 2, bins) + 1
    most = ex.cast(ex.as_index(bound), DType.F32)
    return _Bins(first, step, call("min", call("ceil", step), most), bound)


def _samples(site: Site, emit: Emitter, axis: int) -> Value:
    """The coordinates of samples along an axis, [regions, bins, samples]: for all channels."""
    operands = emit.operands()
    n, p, r = at = indices(3)
    bins = _bins_of(site, operands, n, axis)
    number, place = (ex.cast(ex.as_index(d), DType.F32) for d in (r, p))
    start = call("add", bins.first, call("mul", place, bins.step))
    within = call("mul", call("add", number, f32(0.5)), bins.step)
    y = call("add", start, call("div", within, call("max", bins.count, f32(1))))
    length = ex.cast(ex.as_index(site.input(0).shape[2 + axis]), DType.F32)
    valid = call("and", call("ge", y, f32(-1)), call("le", y, length))
    held = call("min", call("max", y, f32(0)), call("sub", length, f32(1)))
    found = ex.select(valid, held, f32(OUTSIDE))
    if site.integer("sampling_ratio") <= 0:
        found = ex.select(call("lt", number, bins.count), found, f32(BEYOND))
    shape = (site.input(1).shape[0], emit.outputs[0].shape[2 + axis], bins.bound)
    table = emit.temporary(("rows", "columns")[axis], DType.F32, shape)
    stored = emit.stored(table, flat(at, shape), found)
    emit.problem(Map(shape, operands.declared(), (stored,)), operands, [table], alone=True)
    return table


@dataclass(frozen=True, slots=True)
class _Side:
    """A sample of one axis of a bin: of how many, whether there is one, inside, its pixels."""

    count: Expr
    counted: Expr | None
    valid: Expr
    taps: list[Tap]


def _side(site: Site, operands: Operands, table: Value, at: tuple[Dim, ...], axis: int) -> _Side:
    """The sample r of a bin along an axis, from the table of their coordinates."""
    y = operands.at(table, (at[0], at[2 + axis], dims.symbol(f"r{axis}")))
    extent = site.input(0).shape[2 + axis]
    share = call("sub", y, call("floor", y))
    low = resample.clamped(whole(y), extent)
    high = dims.dim_min(low + 1, extent - 1)
    taps = [Tap(low, None, call("sub", f32(1), share)), Tap(high, None, share)]
    valid = call("ge", y, f32(0))
    ratio = site.integer("sampling_ratio")
    if ratio > 0:
        return _Side(f32(ratio), None, valid, taps)
    count = _bins_of(site, operands, at[0], axis).count
    return _Side(count, call("gt", y, f32(BEYOND)), valid, taps)


def _largest(sides: Sequence[_Side], load: Callable[[Sequence[Dim]], Expr]) -> Expr:
    """The largest of a sample's weighted pixels."""
    found: Expr | None = None
    for row in sides[0].taps:
        for column in sides[1].taps:
            assert row.weight is not None
            assert column.weight is not None
            weight = call("mul", row.weight, column.weight)
            part = call("mul", weight, load((row.place, column.place)))
            found = part if found is None else call("max", found, part)
    assert found is not None
    return found


def _half(site: Site) -> bool:
    """Opsets 10 to 15 take coordinates as they are."""
    return site.attributes.get("coordinate_transformation_mode", "") == "half_pixel"


def _roi_reference(site: Site, x: Tensor, regions: Tensor, batch: Tensor) -> Tensor:
    bins = (site.positive("output_height"), site.positive("output_width"))
    offset = np.float32(0.5 if _half(site) else 0)
    result = np.zeros((len(regions), x.shape[1], *bins), np.float32)
    average = site.text("mode") == "avg"
    for n, (region, image) in enumerate(zip(regions, batch, strict=True)):
        edges = region.astype(np.float32) * np.float32(site.number("spatial_scale")) - offset
        samples = []
        for axis in range(2):
            size = edges[3 - axis] - edges[1 - axis]
            step = (size if _half(site) else max(size, np.float32(1))) / bins[axis]
            count = site.integer("sampling_ratio")
            if count <= 0:
                count = min(int(np.ceil(step)), -(-x.shape[2 + axis] * 2 // bins[axis]) + 1)
            within = (np.arange(max(count, 0)) + 0.5) * step / max(count, 1)
            y = edges[1 - axis] + np.arange(bins[axis])[:, None] * step + within[None, :]
            samples.append(_roi_samples(y, x.shape[2 + axis]))
        (rows, row_weights), (columns, column_weights) = samples
        picked = x[int(image)][:, rows[:, :, :, None, None, None], columns]
        weights = row_weights[:, :, :, None, None, None] * column_weights
        mixed = picked * weights
        if not mixed.size:
            continue
        if average:
            result[n] = mixed.sum(axis=(3, 6)).mean(axis=(2, 4))
        else:
            result[n] = mixed.max(axis=(3, 6)).max(axis=(2, 4))
    return result.astype(x.dtype)


def _roi_samples(y: Tensor, extent: int) -> tuple[Tensor, Tensor]:
    """Places and weights, [bins, samples, 2]."""
    valid = (y >= -1) & (y <= extent)
    held = np.clip(y, 0, extent - 1)
    low = np.floor(held)
    places = np.stack([low, np.minimum(low + 1, extent - 1)], axis=-1).astype(np.int64)
    weights = np.stack([1 - (held - low), held - low], axis=-1)
    return places, np.where(valid[..., None], weights, 0)


@composite("MaxRoiPool", Attr("pooled_shape"), Attr("spatial_scale", 1.0))
def max_roi_pool(site: Site, make: Make) -> tuple[Value, ...]:
    """The greatest element of each bin of a region; 0 for none. Rows of [batch, x, y, x, y]."""
    x, regions = site.input(0), site.input(1)
    _, channels, height, width = site.ranked(0, 4)
    count, five = site.ranked(1, 2)
    bins = site.integers("pooled_shape")
    if five != 5 or len(bins) != 2 or min(bins) < 1:
        raise site.shape_error("regions of 5 numbers, and 2 bins", f"{five}, {bins}")
    batch = make.cast(make("Gather", regions, make.scalar(0), axis=1), DType.I64)
    scale = make.number(site.number("spatial_scale"), regions)
    whole = make("Mul", make.part(regions, 1, 1, 5), scale)
    whole = make("Floor", make("Add", whole, make.number(0.5, whole)))
    image = make("Gather", x, batch, axis=0)
    inside = _bins(make, whole, 0, bins[1], width)
    lowest = make.number(-F32_MAX if x.dtype is not DType.F16 else -65504, x)
    wide = make.reshape(image, count, channels, height, 1, width)
    mask = make.reshape(inside, count, 1, 1, bins[1], width)
    made = make("ReduceMax", make("Where", mask, wide, lowest), make.integers(4), keepdims=0)
    wide = make.reshape(make.transpose(made, 0, 1, 3, 2), count, channels, 1, bins[1], height)
    inside = _bins(make, whole, 1, bins[0], height)
    mask = make.reshape(inside, count, 1, bins[0], 1, height)
    made = make("ReduceMax", make("Where", mask, wide, lowest), make.integers(4), keepdims=0)
    none = make("LessOrEqual", made, lowest)
    return (make("Where", none, make.number(0, made), made),)


def _bins(make: Make, regions: Value, axis: int, bins: int, extent: Dim) -> Value:
    """Which places along an axis (0: x) each bin of a region holds: [regions, bins, extent]."""
    first, last = (make.part(regions, 1, axis + 2 * j, axis + 2 * j + 1) for j in (0, 1))
    one = make.number(1, regions)
    length = make("Max", make("Add", make("Sub", last, first), one), one)
    each = make("Div", length, make.number(bins, regions))
    starts = make.cast(make.range(bins), regions.dtype)
    start = make("Add", make("Floor", make("Mul", starts, each)), first)
    end = make("Add", make("Ceil", make("Mul", make("Add", starts, one), each)), first)
    places = make.cast(make.range(extent), regions.dtype)
    count = regions.shape[0]
    start, end = (make.reshape(v, count, bins, 1) for v in (start, end))
    return make("And", make("GreaterOrEqual", places, start), make("Less", places, end))
