"""Reading between the pixels: taps of a coordinate and their mixture; GridSample, AffineGrid."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Ref, call, f32
from webrt.kernel.problem import Pass, Reduce
from webrt.ops import resample
from webrt.ops.emit import Emitter, Operands, flat, indices
from webrt.ops.registry import Attr, operator
from webrt.ops.resample import Style
from webrt.ops.site import Inferred, Site, Tensor, hold_shape, shape_text

MAX_TAPS = 8
"""Pixels that are mixed by one expression; more of them are a reduction."""

CUBIC = -0.75
"""The coefficient that ONNX lays down."""


@dataclass(frozen=True, slots=True)
class Tap:
    """A pixel of one axis: its place, whether it is one (None: always), its weight (None: 1)."""

    place: Dim
    valid: Expr | None
    weight: Expr | None


def mix(taps: Sequence[Sequence[Tap]], load: Callable[[Sequence[Dim]], Expr]) -> Expr:
    """The sum over all combinations of the axes' taps; what is no pixel is 0."""

    def along(axis: int, place: tuple[Dim, ...], valid: Expr | None) -> Expr:
        if axis == len(taps):
            return guarded(valid, load(place))
        total: Expr | None = None
        for tap in taps[axis]:
            part = along(axis + 1, (*place, tap.place), both(valid, tap.valid))
            part = part if tap.weight is None else call("mul", tap.weight, part)
            total = part if total is None else call("add", total, part)
        assert total is not None
        return total

    return along(0, (), None)


def both(left: Expr | None, right: Expr | None) -> Expr | None:
    if left is None or right is None:
        return right if left is None else left
    return call("and", left, right)


def guarded(valid: Expr | None, element: Expr) -> Expr:
    zero = ex.Const(0.0 if element.dtype.is_float else 0, element.dtype)
    return element if valid is None else ex.select(valid, element, zero)


def whole(x: Expr) -> Dim:
    """A coordinate without its fraction, as an index."""
    return ex.as_dim(ex.cast(call("floor", x), DType.I32))


def inside(place: Dim, extent: Dim) -> Expr:
    above = call("ge", ex.as_index(place), ex.i32(0))
    return call("and", above, call("lt", ex.as_index(place), ex.as_index(extent)))


def linear_taps(x: Expr, extent: Dim) -> list[Tap]:
    """The two neighbours of a coordinate; those beyond the edge are no pixels."""
    low, share = whole(x), call("sub", x, call("floor", x))
    found = []
    for place, weight in ((low, call("sub", f32(1), share)), (low + 1, share)):
        found.append(Tap(resample.clamped(place, extent), inside(place, extent), weight))
    return found


# GridSample

_MODES = {"bilinear": "linear", "bicubic": "cubic"}


def _grid_mode(site: Site) -> tuple[str, str, bool]:
    """(mode, padding, align_corners)."""
    mode = _MODES.get(site.text("mode"), site.text("mode"))
    padding = site.text("padding_mode")
    if mode not in ("nearest", "linear", "cubic"):
        raise site.unsupported(f"mode {mode!r} isn't run")
    if padding not in ("zeros", "border", "reflection"):
        raise site.unsupported(f"padding_mode {padding!r} isn't run")
    return mode, padding, bool(site.integer("align_corners"))


@operator(
    "GridSample",
    Attr("align_corners", 0),
    Attr("mode", "bilinear", until=19),
    Attr("mode", "linear", since=20),
    Attr("padding_mode", "zeros"),
    since=16,
)
class GridSample:
    """Pixels at given places; the last axis of the grid counts from the innermost axis of X."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        x, grid = site.input(0), site.input(1)
        _grid_mode(site)
        rank = len(x.shape) - 2
        if rank < 1:
            raise site.shape_error("an image", shape_text(x.shape))
        site.ranked(1, rank + 2)
        hold_shape(site, 1, (x.shape[0], *grid.shape[1:-1], rank))
        return (Inferred(x.dtype, (*x.shape[:2], *grid.shape[1:-1])),)

    @staticmethod
    def reference(site: Site, x: Tensor, grid: Tensor) -> tuple[Tensor, ...]:
        return (_grid_reference(site, x, grid),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        mode, padding, aligned = _grid_mode(site)
        x, grid, output = site.input(0), site.input(1), emit.outputs[0]
        pixels = x.shape[2:]
        at = indices(len(output.shape))
        operands = emit.operands()
        reach = {"nearest": 1, "linear": 2, "cubic": 4}[mode]
        many = reach ** len(pixels)
        points = [
            _denormalised(site, operands.at(grid, (at[0], *at[2:], len(pixels) - 1 - axis)), extent)
            for axis, extent in enumerate(pixels)
        ]

        def load(place: Sequence[Dim]) -> Expr:
            pixel = operands.at(x, (*at[:2], *place))
            return pixel if mode == "nearest" else ex.cast(pixel, DType.F32)

        if many <= MAX_TAPS:
            taps = [
                [_grid_tap(mode, padding, aligned, point, extent, t) for t in range(reach)]
                for point, extent in zip(points, pixels, strict=True)
            ]
            emit.map(lambda own, _: _moved(own, operands, mix(taps, load)))
            return
        taps = [
            [_grid_tap(mode, padding, aligned, point, extent, dims.symbol(f"r{axis}"))]
            for axis, (point, extent) in enumerate(zip(points, pixels, strict=True))
        ]
        stored = emit.stored(output, flat(at, output.shape), Ref("p0", DType.F32))
        passes = (Pass("sum", mix(taps, load)),)
        space = (reach,) * len(pixels)
        problem = Reduce(output.shape, space, operands.declared(), passes, (stored,))
        emit.problem(problem, operands, [output])


def _moved(own: Operands, made: Operands, element: Expr) -> Expr:
    """An expression over one problem's operands in another that has none yet."""
    own.values.extend(made.values)
    return element


def _denormalised(site: Site, n: Expr, extent: Dim) -> Expr:
    """A coordinate of -1 … 1 in pixels."""
    length = ex.cast(ex.as_index(extent), DType.F32)
    moved = call("add", n, f32(1))
    if site.integer("align_corners"):
        return call("mul", call("mul", moved, f32(0.5)), call("sub", length, f32(1)))
    return call("mul", call("sub", call("mul", moved, length), f32(1)), f32(0.5))


def _grid_tap(mode: str, padding: str, aligned: bool, x: Expr, extent: Dim, t: Dim) -> Tap:
    """Tap t of a coordinate of one axis."""
    if mode == "nearest":
        return _padded(padding, aligned, ex.as_dim(ex.cast(call("round", x), DType.I32)), extent)
    place = whole(x) + t - (1 if mode == "cubic" else 0)
    away = call("sub", ex.cast(ex.as_index(place), DType.F32), x)
    weight = resample.kernel(Style(mode, "", "", cubic=CUBIC), away)
    return replace(_padded(padding, aligned, place, extent), weight=weight)


def _padded(padding: str, aligned: bool, place: Dim, extent: Dim) -> Tap:
    """What stands at a place that may lie outside."""
    if padding == "zeros":
        return Tap(resample.clamped(place, extent), inside(place, extent), None)
    if padding == "border":
        return Tap(resample.clamped(place, extent), None, None)
    period = dims.dim_max(extent * 2 - 2, 1) if aligned else extent * 2
    turned = dims.modulo(place, period)
    return Tap(dims.dim_min(turned, period - turned - (0 if aligned else 1)), None, None)


def _grid_reference(site: Site, x: Tensor, grid: Tensor) -> Tensor:
    mode, padding, aligned = _grid_mode(site)
    pixels = x.shape[2:]
    rank = len(pixels)
    taps = []
    for axis, extent in enumerate(pixels):
        moved = grid[..., rank - 1 - axis].astype(np.float32) + 1
        at = moved / 2 * (extent - 1) if aligned else (moved * extent - 1) / 2
        taps.append(_axis_taps(mode, padding, aligned, at, extent))
    result: Tensor = np.zeros((*x.shape[:2], *grid.shape[1:-1]), np.float64)
    batch = np.arange(x.shape[0]).reshape(-1, *(1,) * rank)
    for chosen in itertools.product(*taps):
        weight = np.prod([w for _, w in chosen], axis=0)
        spots: list[Tensor | slice] = [batch, slice(None), *(p for p, _ in chosen)]
        found = np.moveaxis(x[tuple(spots)], -1, 1)
        result += found * weight[:, None]
    return result.astype(x.dtype)


def _axis_taps(
    mode: str, padding: str, aligned: bool, at: Tensor, extent: int
) -> list[tuple[Tensor, Tensor]]:
    """(place, weight) of every tap of an axis."""
    if mode == "nearest":
        low, count, at = np.rint(at), 1, np.rint(at)
    else:
        count = 4 if mode == "cubic" else 2
        low = np.floor(at) - (1 if mode == "cubic" else 0)
    found = []
    for t in range(count):
        place = low + t
        weight = np.ones_like(at)
        if mode != "nearest":
            weight = resample.weights_at(Style(mode, "", "", cubic=CUBIC), place - at)
        if padding == "zeros":
            weight = np.where((place >= 0) & (place < extent), weight, 0)
        if padding == "reflection":
            period = max(extent * 2 - 2, 1) if aligned else extent * 2
            place = np.mod(place, period)
            place = np.minimum(place, period - place - (0 if aligned else 1))
        found.append((np.clip(place, 0, extent - 1).astype(np.int64), weight))
    return found


@operator("AffineGrid", Attr("align_corners", 0), since=20)
class AffineGrid:
    """Where a transformed image's pixels come from, each axis from -1 to 1."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        theta, size = site.ranked(0, 3), site.needed(1, "its size")
        rank = len(size) - 2
        if rank not in (2, 3) or theta[1:] != (rank, rank + 1):
            raise site.shape_error("a 2 × 3 or 3 × 4 matrix and 4 or 5 sizes", shape_text(theta))
        return (Inferred(site.input(0).dtype, (size[0], *size[2:], rank)),)

    @staticmethod
    def reference(site: Site, theta: Tensor, size: Tensor) -> tuple[Tensor, ...]:
        pixels = [int(d) for d in size[2:]]
        axes = [_steps(d, bool(site.integer("align_corners"))) for d in pixels]
        grids = np.meshgrid(*axes, indexing="ij")
        places = np.stack([*reversed(grids), np.ones(pixels)], axis=-1)
        return (np.einsum("nij,...j->n...i", theta, places).astype(theta.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        theta, shape = site.input(0), emit.outputs[0].shape
        rank = len(shape) - 2

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            total = operands.at(theta, (at[0], at[-1], rank))
            for j in range(rank):
                axis = rank - 1 - j
                place = ex.cast(ex.as_index(at[1 + axis]), DType.F32)
                length = ex.cast(ex.as_index(shape[1 + axis]), DType.F32)
                if site.integer("align_corners"):
                    gaps = call("max", call("sub", length, f32(1)), f32(1))
                    x = call("sub", call("div", call("add", place, place), gaps), f32(1))
                else:
                    odd = call("add", call("add", place, place), f32(1))
                    x = call("sub", call("div", odd, length), f32(1))
                factor = operands.at(theta, (at[0], at[-1], j))
                total = call("add", total, call("mul", factor, x))
            return total

        emit.map(body)


def _steps(count: int, aligned: bool) -> Tensor:
    places = np.arange(count)
    if aligned:
        return np.asarray(places * 2 / max(count - 1, 1) - 1)
    return np.asarray((places * 2 + 1) / count - 1)
