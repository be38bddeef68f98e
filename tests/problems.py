"""Problems as models have them, by name: what lowerings, text forms and oracles are tested with."""

from __future__ import annotations

import functools

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel.expr import Expr, Load, Ref, as_dim, as_index, call, f32, i32, select
from webrt.kernel.problem import Map, Operand, Output, Pass, Problem, Reduce

s0, s1 = symbol("s0"), symbol("s1")
i0, i1, i2, i3 = (symbol(f"i{j}") for j in range(4))
r0, r1 = symbol("r0"), symbol("r1")

F32, I32, BOOL = DType.F32, DType.I32, DType.BOOL


def x(memory: int, offset: Dim, dtype: DType = F32) -> Load:
    return Load(memory, offset, dtype)


def p(number: int, dtype: DType = F32) -> Ref:
    return Ref(f"p{number}", dtype)


def operand(size: Dim, dtype: DType = F32, constant: bool = False) -> Operand:
    return Operand(dtype, size, constant)


def gelu(value: Expr) -> Expr:
    half = call("mul", value, f32(0.5))
    return call("mul", half, call("add", call("erf", call("mul", value, f32(0.70710678))), f32(1)))


def _bias_gelu() -> Map:
    at = (i0 * s1 + i1) * 384 + i2
    out = Output(F32, s0 * s1 * 384, at, gelu(call("add", x(0, at), x(1, i2))))
    return Map((s0, s1, 384), (operand(s0 * s1 * 384), operand(384, F32, True)), (out,))


def _add_and_compare() -> Map:
    """Two outputs that share a sum, one of them bool; of an odd size."""
    at = (i0 * s1 + i1) * 7 + i2
    total = call("add", x(0, at), x(1, at))
    size = s0 * s1 * 7
    outputs = (
        Output(F32, size, at, total),
        Output(BOOL, size, at, call("lt", total, f32(0))),
    )
    return Map((s0, s1, 7), (operand(size), operand(size)), outputs)


def _transpose(inner: bool) -> Map:
    """[s0, s1, 12, 32] to [s0, 12, s1, 32], or to [s0, 12, 32, s1]."""
    size = s0 * s1 * 384
    if inner:
        source, target = ((i0 * s1 + i3) * 12 + i1) * 32 + i2, ((i0 * 12 + i1) * 32 + i2) * s1 + i3
        axes: tuple[Dim, ...] = (s0, 12, 32, s1)
    else:
        source, target = ((i0 * s1 + i2) * 12 + i1) * 32 + i3, ((i0 * 12 + i1) * s1 + i2) * 32 + i3
        axes = (s0, 12, s1, 32)
    return Map(axes, (operand(size),), (Output(F32, size, target, x(0, source)),))


def _gather() -> Map:
    rows = as_dim(x(0, i0, I32)) * 8 + i1
    out = Output(F32, s0 * 8, i0 * 8 + i1, x(1, rows))
    return Map((s0, 8), (operand(s0, I32), operand(100 * 8, F32, True)), (out,))


def _causal_mask() -> Map:
    kept = call("and", x(0, i0 * s1 + i2, BOOL), call("le", as_index(i2), as_index(i1)))
    out = Output(F32, s0 * s1 * s1, (i0 * s1 + i1) * s1 + i2, select(kept, f32(0), f32(-3e38)))
    return Map((s0, s1, s1), (operand(s0 * s1, BOOL),), (out,))


def _concat() -> Map:
    first = call("lt", as_index(i1), as_index(s1))
    value = select(first, x(0, i0 * s1 + i1), x(1, i0 * 3 + i1 - s1))
    out = Output(F32, s0 * (s1 + 3), i0 * (s1 + 3) + i1, value)
    return Map((s0, s1 + 3), (operand(s0 * s1), operand(s0 * 3)), (out,))


def _pad() -> Map:
    inside = call(
        "and", call("ge", as_index(i1 - 1), i32(0)), call("lt", as_index(i1 - 1), as_index(s1))
    )
    value = select(inside, x(0, (i0 * s1 + i1 - 1) * 8 + i2), f32(0))
    out = Output(F32, s0 * (s1 + 2) * 8, (i0 * (s1 + 2) + i1) * 8 + i2, value)
    return Map((s0, s1 + 2, 8), (operand(s0 * s1 * 8),), (out,))


def _scalar() -> Map:
    return Map((), (operand(1),), (Output(I32, 1, 0, call("sub", i32(3), i32(1))),))


def _layer_norm(literal: bool) -> Reduce:
    axes: tuple[Dim, ...] = (40,) if literal else (s0, s1)
    rows: Dim = 40 if literal else s0 * s1
    at = (i0 if literal else i0 * s1 + i1) * 384 + r0
    value = x(0, at)
    centred = call("sub", value, call("mul", p(0), f32(1 / 384)))
    variance = call("mul", p(1), f32(1 / 384))
    scale = call("inverse_sqrt", call("add", variance, f32(1e-5)))
    result = call("add", call("mul", call("mul", centred, scale), x(1, r0)), x(2, r0))
    weights = (operand(384, F32, True), operand(384, F32, True))
    passes = (Pass("sum", value), Pass("sum", call("mul", centred, centred)))
    out = Output(F32, rows * 384, at, result, True)
    return Reduce(axes, (384,), (operand(rows * 384), *weights), passes, (out,))


def _softmax() -> Reduce:
    at = (i0 * s1 + i1) * s1 + r0
    power = call("exp", call("sub", x(0, at), p(0)))
    out = Output(F32, s0 * s1 * s1, at, call("div", power, p(1)), True)
    passes = (Pass("max", x(0, at)), Pass("sum", power))
    return Reduce((s0, s1), (s1,), (operand(s0 * s1 * s1),), passes, (out,))


def _global_pool() -> Reduce:
    """Sum and maximum over two axes, two outputs a row."""
    value = x(0, (i0 * 16 + i1) * 7 * s1 + r0 * s1 + r1)
    at = i0 * 16 + i1
    outputs = (
        Output(F32, s0 * 16, at, call("add", p(0), p(1))),
        Output(F32, s0 * 16, at, call("sub", p(0), p(1))),
    )
    passes = (Pass("sum", value), Pass("max", value))
    return Reduce((s0, 16), (7, s1), (operand(s0 * 16 * 7 * s1),), passes, outputs)


def _max_pool() -> Reduce:
    value = x(0, i0 * 100 + (i1 + r0) * 10 + i2 + r1)
    out = Output(F32, s0 * 64, (i0 * 8 + i1) * 8 + i2, p(0))
    return Reduce((s0, 8, 8), (3, 3), (operand(s0 * 100),), (Pass("max", value),), (out,))


def _depthwise() -> Reduce:
    """Windows of 3 × 3 of padded pixels, each channel on its own; channels lie next to another."""
    row, column = i2 + r0 - 1, i3 + r1 - 1
    checks = [call("ge", as_index(row), i32(0)), call("lt", as_index(row), i32(6))]
    checks += [call("ge", as_index(column), i32(0)), call("lt", as_index(column), i32(5))]
    inside = functools.reduce(lambda a, b: call("and", a, b), checks)
    safe = dims.dim_min(dims.dim_max(row, 0), 5), dims.dim_min(dims.dim_max(column, 0), 4)
    pixel = select(inside, x(0, ((i0 * 6 + safe[0]) * 5 + safe[1]) * 8 + i1), f32(0))
    passes = (Pass("sum", call("mul", pixel, x(1, (r0 * 3 + r1) * 8 + i1))),)
    result = call("max", call("add", p(0), x(2, i1)), f32(0))
    out = Output(F32, s0 * 240, ((i0 * 6 + i2) * 5 + i3) * 8 + i1, result)
    operands = (operand(s0 * 240), operand(72, F32, True), operand(8, F32, True))
    return Reduce((s0, 8, 6, 5), (3, 3), operands, passes, (out,))


def _softmax_between_rows() -> Reduce:
    """Along the middle of three axes: a row's neighbours lie in other rows."""
    at = (i0 * 7 + r0) * 12 + i1
    power = call("exp", call("sub", call("mul", x(0, at), x(1, i1)), p(0)))
    out = Output(F32, s0 * 84, at, call("div", power, p(1)), True)
    passes = (Pass("max", call("mul", x(0, at), x(1, i1))), Pass("sum", power))
    operands = (operand(s0 * 84), operand(12, F32, True))
    return Reduce((s0, 12), (7,), operands, passes, (out,))


def _masked_mean() -> Reduce:
    """The mean over the sequence of what a mask keeps: a strided row."""
    kept = x(1, i0 * s1 + r0, BOOL)
    value = select(kept, x(0, (i0 * s1 + r0) * 32 + i1), f32(0))
    passes = (Pass("sum", value), Pass("sum", select(kept, f32(1), f32(0))))
    out = Output(F32, s0 * 32, i0 * 32 + i1, call("div", p(0), call("max", p(1), f32(1))))
    operands = (operand(s0 * s1 * 32), operand(s0 * s1, BOOL))
    return Reduce((s0, 32), (s1,), operands, passes, (out,))


def _arg_max() -> Reduce:
    value = x(0, i0 * 1000 + r0)
    first = select(call("eq", value, p(0)), as_index(r0), i32(1000))
    passes = (Pass("max", value), Pass("min", first))
    return Reduce((s0,), (1000,), (operand(s0 * 1000),), passes, (Output(I32, s0, i0, p(1, I32)),))


def _minimum_of_all() -> Reduce:
    passes = (Pass("min", x(0, r0 * s1 + r1)),)
    return Reduce((), (s0, s1), (operand(s0 * s1),), passes, (Output(F32, 1, 0, p(0)),))


def _one_long_row() -> Reduce:
    out = Output(F32, 2, i0, p(0))
    passes = (Pass("sum", x(0, i0 * 5000 + r0)),)
    return Reduce((2,), (5000,), (operand(10000),), passes, (out,))


MAPS: dict[str, Map] = {
    "bias_gelu": _bias_gelu(),
    "add_and_compare": _add_and_compare(),
    "transpose": _transpose(False),
    "transpose_inner": _transpose(True),
    "gather": _gather(),
    "causal_mask": _causal_mask(),
    "concat": _concat(),
    "pad": _pad(),
    "scalar": _scalar(),
}
REDUCES: dict[str, Reduce] = {
    "layer_norm": _layer_norm(False),
    "layer_norm_literal": _layer_norm(True),
    "softmax": _softmax(),
    "global_pool": _global_pool(),
    "max_pool": _max_pool(),
    "depthwise": _depthwise(),
    "softmax_between_rows": _softmax_between_rows(),
    "masked_mean": _masked_mean(),
    "arg_max": _arg_max(),
    "minimum_of_all": _minimum_of_all(),
    "one_long_row": _one_long_row(),
}
PROBLEMS: dict[str, Problem] = {**MAPS, **REDUCES}
