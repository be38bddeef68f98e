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

NARROW = (DType.I8, DType.U8, DType.I16, DType.U16)


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A constant of so many bits an element, in words of int32."""

    words: Value
    bits: int
    signed: bool


def pack(value: Value) -> Packed | None:
    """The constant in as few bits as hold all of its elements; None where it isn't packed."""
    if value.dtype not in NARROW or value.data is None or value.data.size < LEAST:
        return None
    flat = np.ascontiguousarray(value.data).reshape(-1)
    bits = _bits(flat)
    data = words(flat, bits).view(np.int32)
    packed = Value(f"{value.name}.packed", DType.I32, (data.size,), data)
    return Packed(packed, bits, flat.dtype.kind == "i")


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
    size = -(-flat.size // many) * many
    if bits == 8 * flat.itemsize and size == flat.size:
        return np.ascontiguousarray(flat).view(np.uint32)
    padded = np.zeros(size, np.uint32)
    padded[: flat.size] = flat.astype(np.uint32) & np.uint32((1 << bits) - 1)
    if bits >= 8:
        return padded.astype(np.uint8 if bits == 8 else np.uint16).view(np.uint32)
    total = np.zeros(size // many, np.uint32)
    for place in range(many):
        total |= padded[place::many] << np.uint32(place * bits)
    return total


def unpack(packed: Packed, load: Callable[[Dim], Load], offset: Dim) -> Expr:
    """Element `offset` of a packed constant: i32, or u32 of unsigned ones."""
    many = WORD // packed.bits
    word = load(dims.floor_div(offset, many))
    return field(word, dims.modulo(offset, many), packed.bits, packed.signed)


def field(word: Expr, place: Dim, bits: int, signed: bool, within: int = WORD) -> Expr:
    """Field number `place` of the lowest `within` bits of a word of i32, as i32 or u32."""
    word = call("shift_left", word, ex.as_index(place * -bits + (within - bits)))
    if signed:
        return call("shift_right", word, ex.i32(WORD - bits))
    return call("shift_right", call("bits_u32", word), Const(WORD - bits, DType.U32))
