"""Pad, with a constant, the edge, a reflection or a wrap."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, call
from webrt.ops.emit import Emitter, Operands, device_dtype
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, compare

MODES = {"constant": "constant", "edge": "edge", "reflect": "reflect", "wrap": "wrap"}


def _pads(site: Site, known: Tensor | None = None) -> list[tuple[Dim, Dim]]:
    """(before, after) of each axis; negative ones crop. `known` stands for symbolic pads."""
    rank = len(site.input(0).shape)
    pads = site.integers("pads") if site.version < 11 else site.needed(1, "pads")
    if known is not None:
        pads = tuple(int(p) for p in known)
    axes = list(range(rank))
    if site.optional(3) is not None:
        wanted = [a for a in site.needed(3, "axes") if isinstance(a, int)]
        axes = [site.axis(a, rank) for a in wanted]
    if len(pads) != 2 * len(axes):
        raise site.shape_error(f"{2 * len(axes)} pads", str(len(pads)))
    result: list[tuple[Dim, Dim]] = [(0, 0)] * rank
    for position, axis in enumerate(axes):
        result[axis] = (pads[position], pads[len(axes) + position])
    return result


@operator(
    "Pad", Attr("mode", "constant"), Attr("pads", None, until=10), Attr("value", 0.0, until=10)
)
class Pad:
    """Pads are an attribute before opset 11, an input since."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        x = site.input(0)
        if site.text("mode") not in MODES:
            raise site.unsupported(f"mode {site.text('mode')!r} isn't run")
        padded = tuple(b + d + a for d, (b, a) in zip(x.shape, _pads(site), strict=True))
        return (Inferred(x.dtype, padded),)

    @staticmethod
    def reference(site: Site, x: Tensor, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        pads = [(dims.evaluate(b, {}), dims.evaluate(a, {})) for b, a in _pads(site, *inputs[:1])]
        cropped = x[
            tuple(
                slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, pads, strict=True)
            )
        ]
        grown = [(max(b, 0), max(a, 0)) for b, a in pads]
        mode = site.text("mode")
        if mode != "constant":
            return (np.pad(cropped, grown, mode),)  # type: ignore[call-overload]
        fill = site.number("value") if "value" in site.attributes else 0.0
        if len(inputs) > 1 and inputs[1] is not None:
            fill = inputs[1].reshape(-1)[0]
        return (np.pad(cropped, grown, constant_values=fill),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x = site.input(0)
        pads = _pads(site)
        mode = site.text("mode")

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            places = [a - before for a, (before, _) in zip(at, pads, strict=True)]
            if mode == "constant":
                return _constant(site, operands, places, pads)
            axes = zip(places, x.shape, pads, strict=True)
            return operands.at(x, [_inside(mode, p, n, pad) for p, n, pad in axes])

        emit.map(body)


def _constant(
    site: Site, operands: Operands, places: list[Dim], pads: list[tuple[Dim, Dim]]
) -> Expr:
    x = site.input(0)
    conditions: list[Expr] = []
    clamped: list[Dim] = []
    for place, extent, (before, after) in zip(places, x.shape, pads, strict=True):
        inside = place
        if compare(before, 0) not in (0, -1):
            conditions.append(call("ge", ex.as_index(place), ex.i32(0)))
            inside = dims.dim_max(inside, 0)
        if compare(after, 0) not in (0, -1):
            conditions.append(call("lt", ex.as_index(place), ex.as_index(extent)))
            inside = dims.dim_min(inside, extent - 1)
        clamped.append(inside)
    element = operands.at(x, clamped)
    if not conditions:
        return element
    valid = conditions[0]
    for condition in conditions[1:]:
        valid = call("and", valid, condition)
    return ex.select(valid, element, _fill(site, operands))


def _fill(site: Site, operands: Operands) -> Expr:
    value = site.optional(2)
    if value is not None:
        return operands.load(value, 0)
    kind = device_dtype(site.input(0).dtype)
    number = float(site.number("value")) if "value" in site.attributes else 0.0
    return Const(
        number if kind.is_float else number != 0 if kind.value == "bool" else int(number), kind
    )


def _inside(mode: str, place: Dim, extent: Dim, pads: tuple[Dim, Dim]) -> Dim:
    """The place in the tensor that a place in the padding shows; negative pads crop first."""
    if pads == (0, 0):
        return place
    before, after = (dims.dim_max(pad, 0) for pad in pads)
    start = before - pads[0]
    extent = extent - start - (after - pads[1])
    place = place - start
    if mode == "edge":
        return dims.dim_min(dims.dim_max(place, 0), extent - 1) + start
    if mode == "wrap":
        turns = dims.ceil_div(before, extent)
        return dims.modulo(place + turns * extent, extent) + start
    last = extent - 1
    if compare(last, before) in (0, 1) and compare(last, after) in (0, 1):
        folded = dims.dim_max(place, place * -1)  # |place|: the reflection at the start
        return dims.dim_min(folded, last * 2 - folded) + start
    period = dims.dim_max(last * 2, 1)  # reflections of reflections
    turned = dims.modulo(place + dims.ceil_div(before, period) * period, period)
    return dims.dim_min(turned, period - turned) + start


@operator("CenterCropPad", Attr("axes"), since=18)
class CenterCropPad:
    """Each axis cut or grown to a length, on both sides alike; what is odd goes to the end."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return (Inferred(site.input(0).dtype, tuple(length for _, length in _centred(site))),)

    @staticmethod
    def reference(site: Site, x: Tensor, shape: Tensor) -> tuple[Tensor, ...]:
        for axis, length in zip(_centre_axes(site), shape, strict=True):
            away = int(length) - x.shape[axis]
            before = abs(away) // 2
            if away > 0:
                grown = [(0, 0)] * x.ndim
                grown[axis] = (before, away - before)
                x = np.pad(x, grown)
            else:
                x = np.take(x, np.arange(before, before + int(length)), axis)
        return (x,)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x, plan = site.input(0), _centred(site)

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            valid: list[Expr] = []
            places: list[Dim] = []
            for place, extent, (before, length) in zip(at, x.shape, plan, strict=True):
                source = place - before
                if compare(length, extent) not in (0, -1):
                    valid.append(call("ge", ex.as_index(source), ex.i32(0)))
                    valid.append(call("lt", ex.as_index(source), ex.as_index(extent)))
                    source = dims.dim_min(dims.dim_max(source, 0), extent - 1)
                places.append(source)
            element = operands.at(x, places)
            zero = _zero(element.dtype)
            for condition in valid:
                element = ex.select(condition, element, zero)
            return element

        emit.map(body)


def _zero(dtype: DType) -> Const:
    return Const(False if dtype is DType.BOOL else 0.0 if dtype.is_float else 0, dtype)


def _centre_axes(site: Site) -> list[int]:
    rank = len(site.input(0).shape)
    if "axes" not in site.attributes:
        return list(range(rank))
    return [site.axis(a, rank) for a in site.integers("axes")]


def _centred(site: Site) -> list[tuple[Dim, Dim]]:
    """(elements before the start, negative where they are cut; length) of each axis."""
    shape, axes = site.input(0).shape, _centre_axes(site)
    wanted = site.needed(1, "its shape")
    if len(wanted) != len(axes):
        raise site.shape_error(f"{len(axes)} lengths", str(len(wanted)))
    plan: list[tuple[Dim, Dim]] = [(0, d) for d in shape]
    for axis, length in zip(axes, wanted, strict=True):
        away = length - shape[axis]
        grown, cut = (dims.floor_div(dims.dim_max(a, 0), 2) for a in (away, away * -1))
        plan[axis] = (grown - cut, length)
    return plan
