"""Scalar formulas of the elementwise operators, beside their NumPy references."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr
from webrt.ops.emit import F32_MAX, I32_HIGH, I32_LOW, Operands
from webrt.ops.site import Site, Tensor, numpy_dtype

U32_HIGH = (1 << 32) - 1

_NARROW = {DType.U8: 256, DType.I8: 256, DType.U16: 65536, DType.I16: 65536}


def wrap(x: Expr, dtype: DType) -> Expr:
    """Integers of 8 and 16 bits wrap around, as their arithmetic does in ONNX."""
    if dtype not in _NARROW or isinstance(x, ex.Load):
        return x
    size = Const(_NARROW[dtype], x.dtype)
    if dtype in (DType.U8, DType.U16):
        return ex.call("mod", x, size)
    half = Const(_NARROW[dtype] // 2, x.dtype)
    return ex.call("sub", ex.call("mod", ex.call("add", x, half), size), half)


def cast(x: Expr, source: DType, to: DType) -> Expr:
    """`x` of the model's dtype `source` as one of dtype `to`; narrow integers wrap."""
    target = to.computed
    if to in _NARROW and x.dtype.is_float:
        x = ex.cast(x, DType.I32)
    return wrap(ex.cast(x, target), to) if source is not DType.BOOL else ex.cast(x, target)


def convert(x: Tensor, to: DType) -> Tensor:
    """The reference of `cast`: as C and ONNX Runtime convert."""
    if to is DType.BOOL:
        return np.not_equal(x, 0)
    if x.dtype.kind == "f" and to.is_integer:
        limits = np.nan_to_num(
            np.trunc(x.astype(np.float64)), nan=0.0, posinf=2**31, neginf=-(2**31)
        )
        return limits.astype(np.int64).astype(numpy_dtype(to))
    return x.astype(numpy_dtype(to))


def bound(operands: Operands, value: Value) -> Expr:
    """A bound of Clip: a constant beyond 32 bits bounds nothing that 32 bits hold."""
    if value.data is not None and value.dtype is DType.I64:
        number = int(value.data.reshape(-1)[0])
        return ex.i32(max(I32_LOW, min(I32_HIGH, number)))
    if value.data is not None and value.dtype is DType.U64:
        return Const(min(int(value.data.reshape(-1)[0]), U32_HIGH), DType.U32)
    if value.data is not None and value.dtype is DType.F64:
        return ex.f32(max(-F32_MAX, min(F32_MAX, float(value.data.reshape(-1)[0]))))
    return operands.load(value, 0)


def compare(op: str, x: Expr, y: Expr) -> Expr:
    """A comparison or a logical operation; bools compare as 0 and 1."""
    if op == "eq" and x.dtype is DType.BOOL:
        return ex.call("not", ex.call("xor", x, y))
    return ex.call(op, x, y)


def zero(dtype: DType) -> Const:
    return Const(0.0 if dtype.is_float else 0, dtype)


def chain(op: str, xs: Sequence[Expr]) -> Expr:
    return reduce(lambda a, b: ex.call(op, a, b), xs)


def chain_reference(function: Callable[[Tensor, Tensor], Tensor], xs: Sequence[Tensor]) -> Tensor:
    return reduce(function, xs)


def mean(_: Site, *xs: Expr) -> Expr:
    return ex.call("mul", chain("add", xs), ex.f32(1 / len(xs)))


def mean_reference(_: Site, *xs: Tensor) -> Tensor:
    return reduce(np.add, xs) / np.float32(len(xs))


def leaky(x: Expr, slope: Expr) -> Expr:
    return ex.select(ex.call("lt", x, ex.f32(0)), ex.call("mul", x, slope), x)


def half_sum(x: Expr, op: str) -> Expr:
    """(e^x op e^-x) / 2."""
    both = ex.call(op, ex.call("exp", x), ex.call("exp", ex.call("neg", x)))
    return ex.call("mul", both, ex.f32(0.5))


def is_inf(site: Site, x: Expr) -> Expr:
    if not site.integer("detect_negative") and not site.integer("detect_positive"):
        return ex.call("and", ex.call("is_inf", x), ex.boolean(False))
    found = ex.call("is_inf", x)
    if not site.integer("detect_negative"):
        return ex.call("and", found, ex.call("gt", x, ex.f32(0)))
    if not site.integer("detect_positive"):
        return ex.call("and", found, ex.call("lt", x, ex.f32(0)))
    return found


def is_inf_reference(site: Site, x: Tensor) -> Tensor:
    negative = np.isneginf(x) & bool(site.integer("detect_negative"))
    return negative | (np.isposinf(x) & bool(site.integer("detect_positive")))


def divide(_: Site, x: Tensor, y: Tensor) -> Tensor:
    """Integers round to zero; a division by zero is anything."""
    if x.dtype.kind == "f":
        return np.divide(x, y)
    safe = np.where(y == 0, 1, y)
    quotient = np.abs(x) // np.abs(safe)
    return np.where((x < 0) == (safe < 0), quotient, -quotient).astype(x.dtype)


def mod(site: Site, x: Expr, y: Expr) -> Expr:
    if not x.dtype.is_float:
        if not site.integer("fmod"):
            return ex.call("mod", x, y)
        return ex.call("sub", x, ex.call("mul", ex.call("div", x, y), y))
    # An infinite divisor leaves x as it is: arithmetic on infinities would give NaN.
    rest = ex.select(ex.call("is_inf", y), x, ex.call("mod", x, y))
    if site.integer("fmod"):
        return rest
    zero = ex.f32(0)
    signs = ex.call("xor", ex.call("lt", rest, zero), ex.call("lt", y, zero))
    wrong = ex.call("and", ex.call("ne", rest, zero), signs)
    return ex.select(wrong, ex.call("add", rest, y), rest)


def mod_reference(site: Site, x: Tensor, y: Tensor) -> Tensor:
    return np.fmod(x, y) if site.integer("fmod") else np.mod(x, y)


def erf(x: Tensor) -> Tensor:
    return np.vectorize(math.erf, otypes=[np.result_type(x, np.float32)])(x) if x.size else x


MAX_POWER = 4


def power(x: Expr, y: Expr, wraps: bool) -> Expr:
    """X to the power y: products and roots for literal exponents.

    An int32 is multiplied, and wraps around; int64 goes by floats, which are exact to 2^24.
    """
    if isinstance(y, Const):
        exponent = float(y.value)
        if exponent == 0.5 and x.dtype.is_float:
            return ex.call("sqrt", x)
        if exponent == -1 and x.dtype.is_float:
            return ex.call("reciprocal", x)
        if exponent == int(exponent) and 1 <= exponent <= MAX_POWER:
            return reduce(lambda a, b: ex.call("mul", a, b), [x] * int(exponent))
    if x.dtype.is_float:
        return _float_power(x, ex.cast(y, x.dtype))
    if wraps and not y.dtype.is_float:
        return _whole_power(x, y)
    raised = _float_power(ex.cast(x, DType.F32), ex.cast(y, DType.F32))
    whole = raised if y.dtype.is_float else ex.call("round", raised)
    return ex.cast(whole, x.dtype)


EXPONENT_BITS = 5
"""Of integers, all but -1, 0 and 1 leave 32 bits with an exponent of 32."""


def _whole_power(x: Expr, y: Expr) -> Expr:
    """The product of x, x², x⁴ … for the bits of y; 0 for a fraction."""
    kind = y.dtype
    zero, one = Const(0, x.dtype), Const(1, x.dtype)
    odd = ex.call("bit_and", y, Const(1, kind))
    large = ex.call("gt", y, Const((1 << EXPONENT_BITS) - 1, kind))
    count = ex.select(large, ex.call("add", odd, Const(30, kind)), y)
    result: Expr = one
    square = x
    for bit in range(EXPONENT_BITS):
        unset = ex.call("eq", ex.call("bit_and", count, Const(1 << bit, kind)), Const(0, kind))
        result = ex.call("mul", result, ex.select(unset, one, square))
        square = ex.call("mul", square, square)
    if kind is not DType.I32:
        return result
    fraction = ex.call("lt", y, ex.i32(0))
    unit = ex.call("eq", ex.call("abs", x), one)
    return ex.select(ex.call("and", fraction, ex.call("not", unit)), zero, result)


def power_reference(x: Tensor, y: Tensor) -> Tensor:
    """Integers to integer powers; below 0 what is left of the fraction."""
    raised: Tensor = np.power(x, np.maximum(y, 0).astype(x.dtype))
    if y.dtype.kind == "u" or not (y < 0).any():
        return raised
    parity = np.where(y % 2 == 0, 1, -1) if x.dtype.kind == "i" else 1
    units = np.where(x == 1, 1, np.where(x + 1 == 0, parity, 0)).astype(x.dtype)
    return np.where(y < 0, units, raised)


def _float_power(x: Expr, y: Expr) -> Expr:
    """WGSL's pow knows no negative base, and may be exp2(y·log2(x)): undefined at 0."""
    zero, one = ex.f32(0), ex.f32(1)
    size = ex.call("pow", ex.call("abs", x), y)
    parity = ex.call("abs", ex.call("mod", y, ex.f32(2)))
    signed = ex.select(
        ex.call("and", ex.call("lt", x, zero), ex.call("eq", parity, one)),
        ex.call("neg", size),
        size,
    )
    broken = ex.call("ne", ex.call("mod", y, one), zero)
    undefined = ex.call("and", ex.call("lt", x, zero), broken)
    signed = ex.select(undefined, ex.f32(math.nan), signed)
    at_zero = ex.call("and", ex.call("eq", x, zero), ex.call("gt", y, zero))
    return ex.select(ex.call("eq", y, zero), one, ex.select(at_zero, zero, signed))
