"""Normalisations: statistics of a row and the row rescaled, in one Reduce."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel.expr import Expr, Ref, call, f32
from webrt.kernel.problem import Output, Pass, Reduce
from webrt.ops.compose import Make
from webrt.ops.emit import Emitter, Operands, flat
from webrt.ops.reduce import Rows
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, broadcast, hold_shape, shape_text


def centred(x: Expr, rows: Rows) -> tuple[Expr, Expr, tuple[Pass, Pass]]:
    """(x - mean, variance, the two passes): twice over the row, for the numbers' sake."""
    mean = call("div", Ref("p0", DType.F32), rows.count)
    away = call("sub", x, mean)
    passes = (Pass("sum", x), Pass("sum", call("mul", away, away)))
    return away, call("div", Ref("p1", DType.F32), rows.count), passes


def inverse_deviation(variance: Expr, epsilon: float) -> Expr:
    return call("inverse_sqrt", call("add", variance, f32(epsilon)))


@operator("LayerNormalization", Attr("axis", -1), Attr("epsilon", 1e-5), Attr("stash_type", 1))
class LayerNormalization:
    """Over the axes from `axis` on; mean and inverse deviation are optional outputs.

    ONNX has it since opset 17; ONNX Runtime's optimiser writes it into older models.
    """

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        x = site.input(0)
        axis = site.axis(site.integer("axis"), len(x.shape))
        for j in (1, 2):
            value = site.optional(j)
            if value is not None:
                _fits(site, x, value)
        small = (*x.shape[:axis], *(1 for _ in x.shape[axis:]))
        results = (Inferred(x.dtype, x.shape), *(Inferred(DType.F32, small),) * 2)
        return results[: site.outputs]

    @staticmethod
    def reference(
        site: Site, x: Tensor, scale: Tensor, bias: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        axes = tuple(range(site.axis(site.integer("axis"), x.ndim), x.ndim))
        mean = np.mean(x, axis=axes, keepdims=True)
        variance = np.mean(np.square(x - mean), axis=axes, keepdims=True)
        inverse = 1 / np.sqrt(variance + np.float32(site.number("epsilon")))
        result = (x - mean) * inverse * scale
        return (result if bias is None else result + bias, mean, inverse)[: site.outputs]

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        value = site.input(0)
        axis = site.axis(site.integer("axis"), len(value.shape))
        rows = Rows.over(value.shape, range(axis, len(value.shape)))
        operands = emit.operands()
        away, variance, passes = centred(operands.at(value, rows.place), rows)
        inverse = inverse_deviation(variance, site.number("epsilon"))
        result = affine(site, operands, call("mul", away, inverse), rows.place)
        outputs = [emit.stored(emit.outputs[0], flat(rows.place, value.shape), result, each=True)]
        mean = call("div", Ref("p0", DType.F32), rows.count)
        for output, element in zip(emit.outputs[1:], (mean, inverse), strict=False):
            outputs.append(emit.stored(output, rows.row, element))
        lower_each(emit, rows, operands, passes, outputs)


def _fits(site: Site, x: Value, parameter: Value) -> None:
    """A scale or bias has to broadcast to x."""
    if broadcast(site, x.shape, parameter.shape) != x.shape:
        found = shape_text(parameter.shape)
        raise site.shape_error(f"what broadcasts to {shape_text(x.shape)}", found)


def affine(site: Site, operands: Operands, x: Expr, place: tuple[Dim, ...]) -> Expr:
    """x·scale + bias, of the inputs 1 and 2, broadcast to where `place` is an index."""
    for j, op in ((1, "mul"), (2, "add")):
        value = site.optional(j)
        if value is not None:
            x = call(op, x, operands.at(value, place))
    return x


def lower_each(
    emit: Emitter, rows: Rows, operands: Operands, passes: tuple[Pass, ...], outputs: list[Output]
) -> None:
    problem = Reduce(rows.axes, rows.reduced, operands.declared(), passes, tuple(outputs))
    emit.problem(problem, operands, emit.outputs[: len(outputs)])


def _rms(name: str, domain: str, *attributes: Attr, since: int = 1) -> None:
    class RMSNorm:
        @staticmethod
        def infer(site: Site) -> tuple[Inferred, ...]:
            x = site.input(0)
            site.axis(_rms_axis(site), len(x.shape))
            _fits(site, x, site.input(1))
            return (Inferred(x.dtype, x.shape),)

        @staticmethod
        def reference(site: Site, x: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
            axes = tuple(range(site.axis(_rms_axis(site), x.ndim), x.ndim))
            square = np.mean(np.square(x), axis=axes, keepdims=True)
            return (x / np.sqrt(square + np.float32(site.number("epsilon"))) * scale,)

        @staticmethod
        def lower(site: Site, emit: Emitter) -> None:
            value = site.input(0)
            axis = site.axis(_rms_axis(site), len(value.shape))
            rows = Rows.over(value.shape, range(axis, len(value.shape)))
            operands = emit.operands()
            x = operands.at(value, rows.place)
            square = call("div", Ref("p0", DType.F32), rows.count)
            scaled = call("mul", x, inverse_deviation(square, site.number("epsilon")))
            result = affine(site, operands, scaled, rows.place)
            stored = emit.stored(emit.outputs[0], flat(rows.place, value.shape), result, each=True)
            lower_each(emit, rows, operands, (Pass("sum", call("mul", x, x)),), [stored])

    operator(name, *attributes, domain=domain, since=since)(RMSNorm)


def _rms_axis(site: Site) -> int:
    axis = site.attributes.get("axis", -1)
    assert isinstance(axis, int)
    return axis


_rms(
    "RMSNormalization", "",
    Attr("axis", -1), Attr("epsilon", 1e-5), Attr("stash_type", 1), since=23,
)  # fmt: skip
_rms("RMSNorm", "webrt", Attr("epsilon", 1e-5))


@operator(
    "BatchNormalization", Attr("epsilon", 1e-5), Attr("momentum", 0.9),
    Attr("training_mode", 0, since=14), Attr("spatial", 1, until=8),
)  # fmt: skip
class BatchNormalization:
    """At inference: a scale and a shift a channel, or before opset 9 perhaps each pixel of it.

    A vector is of one channel.
    """

    @staticmethod
    def expand(site: Site, make: Make) -> tuple[Value, ...] | None:
        """Training: statistics of this batch, and what they make of the running ones."""
        if not site.attributes.get("training_mode", 0):
            return None
        x = site.input(0)
        axes = make.integers(0, *range(2, len(x.shape)))
        wide = make("ReduceMean", x, axes, keepdims=1)
        away = make("Sub", x, wide)
        squares = make("ReduceMean", make("Mul", away, away), axes, keepdims=1)
        mean, variance = (make.reshape(v, x.shape[1]) for v in (wide, squares))
        result = make(
            "BatchNormalization", x, site.input(1), site.input(2), mean, variance,
            epsilon=site.number("epsilon"),
        )  # fmt: skip
        kept = site.number("momentum")
        running = (
            make(
                "Add", make("Mul", old, make.number(kept, old)),
                make("Mul", new, make.number(1 - kept, new)),
            )
            for old, new in ((site.input(3), mean), (site.input(4), variance))
        )  # fmt: skip
        return result, *running

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        if site.attributes.get("training_mode", 0) or site.outputs > 1:
            raise site.unsupported("training mode isn't run")
        shape = site.ranked(0, 1, 64)
        wanted = shape[1:2] or (1,)
        if not site.attributes.get("spatial", 1):
            wanted = shape[1:]
        for j in range(1, 5):
            hold_shape(site, j, wanted)
        return (Inferred(site.input(0).dtype, site.input(0).shape),)

    @staticmethod
    def reference(
        site: Site, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
    ) -> tuple[Tensor, ...]:
        shape = (1, -1, *(1,) * (x.ndim - 2))[: x.ndim]
        if scale.ndim > 1:
            shape = scale.shape
        s, b, m, v = (a.reshape(shape) for a in (scale, bias, mean, variance))
        return ((x - m) / np.sqrt(v + np.float32(site.number("epsilon"))) * s + b,)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            x = operands.at(site.input(0), at)
            channel = at[1] if len(at) > 1 else 0
            if len(site.input(1).shape) > 1:
                channel = flat(at[1:], site.input(1).shape)
            scale, bias, mean, variance = (
                operands.load(site.input(j), channel) for j in range(1, 5)
            )
            inverse = inverse_deviation(variance, site.number("epsilon"))
            return call("add", call("mul", call("sub", x, mean), call("mul", inverse, scale)), bias)

        emit.map(body)


def _channelwise(site: Site, emit: Emitter, groups: Dim) -> None:
    """Statistics over (channels of a group, pixels); scale and bias a channel."""
    value = site.input(0)
    n, c = value.shape[:2]
    pixels = dims.product(value.shape[2:])
    per_group = dims.floor_div(c, groups)
    rows = Rows.over((n, groups, per_group, pixels), (2, 3))
    operands = emit.operands()
    offset = flat(rows.place, (n, groups, per_group, pixels))
    away, variance, passes = centred(operands.load(value, offset), rows)
    channel = rows.place[1] * per_group + rows.place[2]
    small = channel if _channels_of_scale(site) == c else rows.place[1]
    result = call("mul", away, inverse_deviation(variance, site.number("epsilon")))
    result = call("mul", result, operands.load(site.input(1), small))
    result = call("add", result, operands.load(site.input(2), small))
    stored = emit.stored(emit.outputs[0], offset, result, each=True)
    lower_each(emit, rows, operands, passes, [stored])


def _channels_of_scale(site: Site) -> Dim:
    """How many a scale or bias has: groups, in GroupNormalization before opset 21."""
    channels = site.input(0).shape[1]
    groups = site.attributes.get("num_groups")
    if not isinstance(groups, int) or "stash_type" in site.attributes:
        return channels
    return channels if site.input(1).shape[0] == channels else groups


def _group_reference(
    site: Site, x: Tensor, scale: Tensor, bias: Tensor, groups: int
) -> tuple[Tensor, ...]:
    grouped = x.reshape(x.shape[0], groups, -1)
    mean = grouped.mean(axis=2, keepdims=True)
    variance = np.square(grouped - mean).mean(axis=2, keepdims=True)
    result = (grouped - mean) / np.sqrt(variance + np.float32(site.number("epsilon")))
    shape = (1, -1, *(1,) * (x.ndim - 2))
    if scale.size != x.shape[1]:
        repeat = x.shape[1] // scale.size
        scale, bias = np.repeat(scale, repeat), np.repeat(bias, repeat)
    return (result.reshape(x.shape) * scale.reshape(shape) + bias.reshape(shape),)


def _like_input(site: Site) -> tuple[Inferred, ...]:
    shape = site.ranked(0, 3, 64)
    for j in (1, 2):
        hold_shape(site, j, (_channels_of_scale(site),))
    return (Inferred(site.input(0).dtype, shape),)


@operator("InstanceNormalization", Attr("epsilon", 1e-5))
class InstanceNormalization:
    """Each channel of each sample by itself."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return _like_input(site)

    @staticmethod
    def reference(site: Site, x: Tensor, scale: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        return _group_reference(site, x, scale, bias, x.shape[1])

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        _channelwise(site, emit, site.input(0).shape[1])


@operator(
    "GroupNormalization", Attr("epsilon", 1e-5), Attr("num_groups"),
    Attr("stash_type", 1, since=21), since=18,
)  # fmt: skip
class GroupNormalization:
    """Each group of channels of each sample by itself."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return _like_input(site)

    @staticmethod
    def reference(site: Site, x: Tensor, scale: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        return _group_reference(site, x, scale, bias, site.integer("num_groups"))

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        _channelwise(site, emit, site.integer("num_groups"))
