"""Quantised numbers: scale · (integer - zero point), for a tensor, a channel or a block."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Attribute, Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, call, f32
from webrt.ops.compose import Make, composite
from webrt.ops.emit import Emitter, Operands, device_dtype
from webrt.ops.registry import Attr, compute, operator
from webrt.ops.site import Inferred, Site, Tensor, broadcast, hold_shape, numpy_dtype, shape_text

NARROW = (DType.U8, DType.I8, DType.U16, DType.I16)
_FLOAT_NUMBER = 1
"""TensorProto.FLOAT."""


def limits(dtype: DType) -> tuple[int, int]:
    """The least and the largest number of an integer dtype."""
    bits = 8 * dtype.bytes
    if str(dtype).startswith("u"):
        return 0, (1 << bits) - 1
    return -(1 << bits - 1), (1 << bits - 1) - 1


def _check_parameter(site: Site, position: int) -> None:
    """A scale or zero point is a scalar, a vector along the axis, or one number a block."""
    value, shape = site.optional(position), site.input(0).shape
    if value is None:
        return
    block = site.attributes.get("block_size", 0)
    assert isinstance(block, int)
    if dims.product(value.shape) == 1 and not block:
        return
    axis = site.axis(int(site.attributes.get("axis", 1)), len(shape))  # type: ignore[arg-type]
    if block:
        whole = (*shape[:axis], dims.ceil_div(shape[axis], block), *shape[axis + 1 :])
    else:
        whole = (shape[axis],)
    hold_shape(site, position, whole)


def _block(site: Site) -> int:
    block = site.attributes.get("block_size", 0)
    assert isinstance(block, int)
    if block < 0:
        raise site.shape_error("a block_size of at least 0", str(block))
    return block


def _place(site: Site, value: Value, at: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """Where the scale or zero point of an element stands."""
    if dims.product(value.shape) == 1 and not _block(site):
        return (0,) * len(value.shape)
    axis = site.axis(int(site.attributes.get("axis", 1)), len(at))  # type: ignore[arg-type]
    if not _block(site):
        return (at[axis],)
    return (*at[:axis], dims.floor_div(at[axis], _block(site)), *at[axis + 1 :])


def _spread(site: Site, parameter: Tensor, x: Tensor) -> Tensor:
    """The reference's scale or zero point, broadcast to x."""
    if parameter.size == 1 and not _block(site):
        return parameter.reshape(())
    axis = site.axis(int(site.attributes.get("axis", 1)), x.ndim)  # type: ignore[arg-type]
    if _block(site):
        whole = np.repeat(parameter, _block(site), axis=axis)
        return whole[tuple(slice(0, d) for d in x.shape)]
    return parameter.reshape([-1 if j == axis else 1 for j in range(x.ndim)])


def _target(site: Site) -> DType:
    zero = site.optional(2)
    named = site.attributes.get("output_dtype", 0)
    wanted = DType(named) if isinstance(named, str) else DType.U8
    if zero is not None:
        if isinstance(named, str) and wanted is not zero.dtype:
            raise site.shape_error(f"a zero point of {wanted}", str(zero.dtype))
        wanted = zero.dtype
    if wanted not in NARROW:
        raise site.unsupported(f"quantising to {wanted} isn't run")
    return wanted


@operator(
    "QuantizeLinear", Attr("axis", 1, since=13), Attr("saturate", 1, since=19),
    Attr("block_size", 0, since=21), Attr("output_dtype", 0, since=21),
    Attr("precision", 0, since=23), since=10,
)  # fmt: skip
class QuantizeLinear:
    """saturate(round(x / scale) + zero point), half to even."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        if site.attributes.get("precision", 0) not in (0, _FLOAT_NUMBER):
            raise site.unsupported("a precision other than float32 isn't run")
        for position in (1, 2):
            _check_parameter(site, position)
        return (Inferred(_target(site), site.input(0).shape),)

    @staticmethod
    def reference(
        site: Site, x: Tensor, scale: Tensor, zero: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        scaled = np.rint(x.astype(np.float32) / _spread(site, scale, x))
        if zero is not None:
            scaled = scaled + _spread(site, zero, x).astype(np.float32)
        low, high = limits(_target(site))
        return (np.clip(scaled, low, high).astype(numpy_dtype(_target(site))),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        scale, zero = site.input(1), site.optional(2)
        target = _target(site)

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            x = ex.cast(operands.at(site.input(0), at), DType.F32)
            scaled = call("div", x, operands.at(scale, _place(site, scale, at)))
            point = None if zero is None else operands.at(zero, _place(site, zero, at))
            return saturated(scaled, point, target)

        emit.map(body)


def saturated(x: Expr, zero: Expr | None, target: DType) -> Expr:
    """The rounded number plus the zero point, held to what the dtype holds."""
    whole = call("round", x)
    if zero is not None:
        whole = call("add", whole, ex.cast(zero, DType.F32))
    low, high = limits(target)
    kept = call("min", call("max", whole, f32(low)), f32(high))
    return ex.cast(kept, device_dtype(target))


@operator(
    "Dequantize", Attr("axis", 1), Attr("block_size", 0), Attr("output_dtype", 0), domain="webrt"
)
class Dequantize:
    """scale · (x - zero point). Our own, so that weights stay narrow: it isn't folded."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        for position in (1, 2):
            _check_parameter(site, position)
        named = site.attributes.get("output_dtype", 0)
        dtype = DType(named) if isinstance(named, str) else site.input(1).dtype
        if not dtype.is_float:
            raise site.shape_error("a float dtype", str(dtype))
        return (Inferred(dtype, site.input(0).shape),)

    @staticmethod
    def reference(
        site: Site, x: Tensor, scale: Tensor, zero: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        away = x.astype(np.int32)
        if zero is not None:
            away = away - _spread(site, zero, x).astype(np.int32)
        return (away.astype(np.float32) * _spread(site, scale, x).astype(np.float32),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        scale, zero = site.input(1), site.optional(2)

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            x = ex.cast(operands.at(site.input(0), at), DType.I32)
            if zero is not None and not _is_zero(zero):
                point = operands.at(zero, _place(site, zero, at))
                x = call("sub", x, ex.cast(point, DType.I32))
            step = operands.at(scale, _place(site, scale, at))
            return call("mul", ex.cast(x, DType.F32), step)

        emit.map(body)


def _is_zero(value: Value) -> bool:
    return value.data is not None and not np.any(value.data)


@composite(
    "DequantizeLinear", Attr("axis", 1, since=13), Attr("block_size", 0, since=21),
    Attr("output_dtype", 0, since=23), since=10,
)  # fmt: skip
def dequantize_linear(site: Site, make: Make) -> tuple[Value, ...]:
    """Integers to numbers."""
    return (dequantised(make, site.input(0), site.input(1), site.optional(2), **site.attributes),)


FOLDED = 1024
"""Constants of fewer elements become numbers when the model is read."""


def dequantised(
    make: Make, x: Value, scale: Value, zero: Value | None = None, **attributes: Attribute
) -> Value:
    """Integers as numbers: scale · (x - zero)."""
    (made,) = make.node("Dequantize", (x, scale, zero), attributes, "webrt")
    return _folded(make, made)


def centred(make: Make, x: Value, zero: Value | None) -> Value:
    """Integers without their zero point, as int32; the zero point broadcasts to x."""
    return _folded(make, make("Centre", x, zero, domain="webrt"))


def _folded(make: Make, made: Value) -> Value:
    """The result of the last node as a constant, if it is a small one."""
    node = make.nodes[-1]
    arrays = [None if v is None else v.data for v in node.inputs]
    known = all(a is not None for a, v in zip(arrays, node.inputs, strict=True) if v is not None)
    size = dims.product(made.shape)
    if not known or not isinstance(size, int) or size >= FOLDED:
        return made
    make.nodes.pop()
    return make.constant(compute(node, arrays)[0])


@operator("Centre", domain="webrt")
class Centre:
    """x - zero point, as int32. Our own, so that weights stay narrow: it isn't folded."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape, zero = site.input(0).shape, site.optional(1)
        if zero is not None and broadcast(site, shape, zero.shape) != shape:
            found = shape_text(zero.shape)
            raise site.shape_error(f"a zero point that broadcasts to {shape_text(shape)}", found)
        return (Inferred(DType.I32, shape),)

    @staticmethod
    def reference(site: Site, x: Tensor, zero: Tensor | None = None) -> tuple[Tensor, ...]:
        wide = x.astype(np.int32)
        return (wide if zero is None else wide - zero.astype(np.int32),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        zero = site.optional(1)

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            x = ex.cast(operands.at(site.input(0), at), DType.I32)
            if zero is None or _is_zero(zero):
                return x
            return call("sub", x, ex.cast(operands.at(zero, at), DType.I32))

        emit.map(body)
