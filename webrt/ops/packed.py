"""Constants of narrow integers as they are kept: 4, 8 or 16 of them in a word of 32 bits.

A field is taken out by two shifts, so that its sign comes along: 8 bits at place c of a word w are
(w << (24 - 8c)) >> 24.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Array, Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, Load, call

LEAST = 256
"""Constants of fewer elements aren't worth unpacking."""

WORD = 32

_WORDS: dict[DType, DType] = {
    DType.I8: DType.I32, DType.U8: DType.U32, DType.I16: DType.I32, DType.U16: DType.U32,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A constant of so many bits an element; the words' dtype tells whether it is signed."""

    words: Value
    bits: int


def pack(value: Value) -> Packed | None:
    """The constant in as few bits as hold all of its elements; None where it isn't packed."""
    dtype = _WORDS.get(value.dtype)
    if dtype is None or value.data is None or value.data.size < LEAST:
        return None
    flat = np.ascontiguousarray(value.data).reshape(-1)
    bits = _bits(flat)
    data = words(flat, bits).view(np.int32 if dtype is DType.I32 else np.uint32)
    return Packed(Value(f"{value.name}.packed", dtype, (data.size,), data), bits)


def _bits(flat: Array) -> int:
    """2, 4, 8 or 16."""
    low, high = int(flat.min()), int(flat.max())
    signed = flat.dtype.kind == "i"
    for bits in (2, 4, 8):
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if least <= low and high <= most:
            return bits
    return 16


def words(flat: Array, bits: int) -> Array:
    """Elements in words, the first one in the lowest bits; padded with zeros."""
    many = WORD // bits
    padded = np.zeros(-(-flat.size // many) * many, np.uint32)
    padded[: flat.size] = flat.astype(np.int64) & ((1 << bits) - 1)
    if bits >= 8:
        return padded.astype(np.uint8 if bits == 8 else np.uint16).view(np.uint32)
    total = np.zeros(padded.size // many, np.uint32)
    for place in range(many):
        total |= padded[place::many] << np.uint32(place * bits)
    return total


def unpack(value: Value, packed: Packed, load: Callable[[Dim], Load], offset: Dim) -> Expr:
    """Element `offset` of a packed constant."""
    return field(load, offset, packed.bits, packed.words.dtype)


def field(load: Callable[[Dim], Expr], offset: Dim, bits: int, dtype: DType) -> Expr:
    """Field `offset` of words of the dtype: i32 for signed ones, u32 for others."""
    many = WORD // bits
    word = load(dims.floor_div(offset, many))
    above = dims.modulo(offset, many) * -bits + (WORD - bits)
    count = Const(above, dtype) if isinstance(above, int) else ex.cast(ex.as_index(above), dtype)
    rest = Const(WORD - bits, dtype)
    return call("shift_right", call("shift_left", word, count), rest)
