"""Random operands for trials, and the problem that compares two results on the device itself."""

from __future__ import annotations

import random
import struct
from array import array
from functools import lru_cache

from webrt.dims import dim_min, symbol
from webrt.dtypes import DType
from webrt.kernel.expr import Load, Ref, as_index, call, cast, f32, i32, select
from webrt.kernel.problem import Operand, Output, Pass, Reduce
from webrt.runtime.arrays import narrowed

TILE = 65521
"""Elements that are drawn; a prime, so that copies of the tile never line up with rows."""

POISON = 1.0e30
POISON_F16 = 5.0e4
"""What outputs hold before a trial. Finite: WGSL may assume that there is no NaN."""

ROW = 4096

TOLERANCE = 1e-3
"""Largest difference of two kernels on operands of -1 … 1, absolute and relative: sums of some
thousand products in any order stay far below it, a wrong index far above."""

TOLERANCE_F16 = 4e-3
"""Both results are rounded to f16, whose steps are 1e-3 apart."""


class Noise:
    """Random elements of any dtype in storage form, from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def fill(self, dtype: DType, count: int) -> bytes:
        """`count` elements: floats of -1 … 1; integers and bools 0 or 1, so that indices fit."""
        tile = _tile(dtype.storage)
        start = dtype.storage.bytes * self._random.randrange(TILE)
        size = dtype.storage.bytes * count
        return _padded(((tile[start:] + tile[:start]) * (size // len(tile) + 1))[:size])


@lru_cache
def _tile(dtype: DType) -> bytes:
    """Drawn once: in Pyodide a call for each element takes longer than a trial."""
    drawn = array("H", random.Random(1).randbytes(2 * TILE))
    if not dtype.is_float:
        return array("i", [value & 1 for value in drawn]).tobytes()
    data = memoryview(array("f", [value / 32768.0 - 1.0 for value in drawn])).cast("B")
    return bytes(narrowed(data) if dtype is DType.F16 else data)


def poison(dtype: DType, count: int) -> bytes:
    """What `count` elements of an output hold before a trial."""
    if dtype is DType.F16:
        return _padded(struct.pack("<e", POISON_F16) * count)
    return array("f", [POISON]).tobytes() * count


def _padded(data: bytes) -> bytes:
    """Uploads are of whole words."""
    return data + bytes(-len(data) % 4)


def difference(dtype: DType, size: int) -> Reduce:
    """How many of `size` elements of two tensors differ, as one i32 for each row of 4096 of them.

    Outputs are poisoned first, so an element that was never stored differs too.
    """
    rows = -(-size // ROW)
    place = symbol("i0") * ROW + symbol("r0")
    inside = call("lt", as_index(place), i32(size))
    loads = (Load(memory, dim_min(place, size - 1), dtype.storage) for memory in (0, 1))
    left, right = (cast(load, dtype.storage.computed) for load in loads)
    if dtype.is_float:
        tolerance = TOLERANCE_F16 if dtype is DType.F16 else TOLERANCE
        room = call("mul", f32(tolerance), call("add", f32(1.0), call("abs", right)))
        same = call("le", call("abs", call("sub", left, right)), room)
    else:
        same = call("eq", left, right)
    wrong = select(call("and", inside, call("not", same)), i32(1), i32(0))
    operands = (Operand(dtype.storage, size), Operand(dtype.storage, size))
    counted = Output(DType.I32, rows, symbol("i0"), Ref("p0", DType.I32))
    return Reduce((rows,), (ROW,), operands, (Pass("sum", wrong),), (counted,))
