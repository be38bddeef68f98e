"""Operators on bits: and, or, xor, not, shifts, and reading the same bits as another dtype."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr
from webrt.ops import scalar
from webrt.ops.elementwise import elementwise
from webrt.ops.emit import Emitter
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, numpy_dtype

WORD = 32

_PAIRS: list[tuple[str, str, Callable[..., Tensor]]] = [
    ("BitwiseAnd", "bit_and", np.bitwise_and),
    ("BitwiseOr", "bit_or", np.bitwise_or),
    ("BitwiseXor", "bit_xor", np.bitwise_xor),
]
for _name, _op, _function in _PAIRS:
    elementwise(
        _name,
        lambda _, x, y, op=_op: ex.call(op, x, y),
        lambda _, x, y, f=_function: f(x, y),
        since=18,
    )


def _not(site: Site, x: Expr) -> Expr:
    """-1 - x, which is right in any width that wraps around."""
    if site.input(0).dtype is DType.U64:
        raise site.unsupported("the complement of uint64 doesn't fit the 32 bits it is computed in")
    every = Const(-1 if x.dtype is DType.I32 else (1 << WORD) - 1, x.dtype)
    return ex.call("bit_xor", x, every)


elementwise("BitwiseNot", _not, lambda _, x: np.invert(x), since=18)


def _is_left(site: Site) -> bool:
    direction = site.text("direction")
    if direction not in ("LEFT", "RIGHT"):
        raise site.unsupported(f"direction {direction!r}: expected LEFT or RIGHT")
    return direction == "LEFT"


def _shift(site: Site, x: Expr, count: Expr) -> Expr:
    """A count below 0, or as large as the width, leaves what the sign alone gives."""
    dtype = site.input(0).dtype
    width, signed = 8 * dtype.bytes, x.dtype is DType.I32
    if _is_left(site) and width > WORD:
        return ex.call("shift_left", x, count)  # refused where it isn't proven to fit
    outside = _is_outside(count, min(width, WORD), signed)
    if _is_left(site):
        return ex.select(outside, scalar.zero(x.dtype), ex.call("shift_left", x, _legal(count)))
    if signed:
        last = Const(WORD - 1, x.dtype)
        return ex.call("shift_right", x, ex.select(outside, last, _legal(count)))
    return ex.select(outside, scalar.zero(x.dtype), ex.call("shift_right", x, _legal(count)))


def _is_outside(count: Expr, width: int, signed: bool) -> Expr:
    if isinstance(count, Const):
        return ex.boolean(not 0 <= int(count.value) < width)
    outside = ex.call("ge", count, Const(width, count.dtype))
    if signed:
        outside = ex.call("or", outside, ex.call("lt", count, ex.i32(0)))
    return outside


def _legal(count: Expr) -> Expr:
    """A literal count that WGSL takes: others are never used."""
    return Const(int(count.value) % WORD, count.dtype) if isinstance(count, Const) else count


def _shift_reference(site: Site, x: Tensor, count: Tensor) -> Tensor:
    width = 8 * x.dtype.itemsize
    outside = (count >= width) | (count < 0)
    safe = np.where(outside, 0, count).astype(x.dtype)
    if _is_left(site):
        return np.where(outside, 0, np.left_shift(x, safe)).astype(x.dtype)
    fill = np.where(x < 0, -1, 0).astype(x.dtype)
    return np.where(outside, fill, np.right_shift(x, safe)).astype(x.dtype)


elementwise("BitShift", _shift, _shift_reference, Attr("direction"), since=11)

_SAME_WORD = (DType.F32, DType.I32, DType.U32)


@operator("BitCast", Attr("to"), since=26)
class BitCast:
    """`to` is decoded by the front end: the name of one of our dtypes, of the same width."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        source, to = site.input(0).dtype, DType(site.text("to"))
        if source.bytes != to.bytes:
            raise site.shape_error(f"a dtype of {source.bytes} bytes", str(to))
        narrow = source.bytes < 4 and not source.is_float and not to.is_float
        if source is DType.F64 or (
            source is not to and not narrow and not {source, to} <= set(_SAME_WORD)
        ):
            raise site.unsupported(f"{source} as {to} isn't run")
        return (Inferred(to, site.input(0).shape),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        return (np.ascontiguousarray(x).view(numpy_dtype(DType(site.text("to")))).reshape(x.shape),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        source, to = site.input(0).dtype, DType(site.text("to"))
        if source is to:
            emit.view(site.input(0))
        elif to in _SAME_WORD:
            op = f"bits_{to}"
            emit.map(lambda operands, at: ex.call(op, operands.at(site.input(0), at)))
        else:
            emit.map(lambda operands, at: scalar.cast(operands.at(site.input(0), at), source, to))
