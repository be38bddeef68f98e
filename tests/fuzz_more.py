"""Random operators of fewer models: halves, integer products, grids, sequences, older norms."""

from __future__ import annotations

import numpy as np
from fuzz_graphs import Draw, RejectedError, most
from fuzz_moves import moved
from fuzz_sums import floats
from fuzz_templates import template

from webrt import dims
from webrt.dtypes import DType


@template("Cast", weight=3)
def halves(draw: Draw) -> None:
    """A piece in f16, on a grid that f16 holds, so that rounding decides nothing."""
    val = draw.within(draw.exact(), -16, 16)
    grain = val.grain
    if grain is None or grain > 5:
        raise RejectedError("f16 has eleven bits")
    half = draw.node("Cast", [val], (-16, 16), grain, to=str(DType.F16))[0]
    op = draw.random.choice(["Relu", "Abs", "Neg", "Add", "Max", "Transpose", "ReduceMax"])
    given = [half, half] if op in ("Add", "Max") else [half]
    made = draw.node(op, given, (-32, 32), grain)[0]
    draw.node("Cast", [made], (-32, 32), grain, to=str(DType.F32))


@template("MatMulInteger", weight=2)
def integer_products(draw: Draw) -> None:
    rows, k, columns = draw.dim(), draw.dim(), draw.dim()
    left, right = (draw.random.choice([DType.U8, DType.I8]) for _ in range(2))
    if left is DType.I8:
        right = DType.I8  # ONNX Runtime has no other
    a = draw.input(left, (rows, k), -9, 9)
    b = draw.input(right, (k, columns), -9, 9)
    points = [
        draw.constant(np.array(draw.random.choice([0, 3]), np.uint8 if d is DType.U8 else np.int8))
        for d in (left, right)
    ]
    bound = 20 * 20 * most(k)
    made = draw.node("MatMulInteger", [a, b, *points], (-bound, bound), 0)[0]
    draw.node("Cast", [made], (-bound, bound), 0, to=str(DType.F32))


@template("LRN", "GlobalLpPool")
def older_norms(draw: Draw) -> None:
    op = draw.random.choice(["LRN", "GlobalLpPool"])
    val = draw.within(draw.input(shape=draw.shape(4, 4)), 0.25, 8)
    if op == "LRN":
        draw.node(op, [val], (-10, 10), size=draw.random.choice([1, 3, 5]), alpha=0.1, bias=1.5)
    else:
        bound = val.bound * most(dims.product(val.shape[2:]))
        draw.node(op, [val], (0, bound), p=draw.random.choice([1, 2]))


@template("GridSample", weight=2)
def grids(draw: Draw) -> None:
    """Points between those that decide which pixels are mixed."""
    if draw.opset < 20:
        raise RejectedError("its modes have other names")
    picture = draw.input(shape=draw.shape(4, 4))
    batch = picture.shape[0]
    grid = draw.input(shape=(batch, draw.dim(), draw.dim(), 2), low=-1.3, high=1.3, grain=None)
    bound = 3 * picture.bound
    draw.node(
        "GridSample", [picture, grid], (-bound, bound), mode="linear",
        padding_mode=draw.random.choice(["zeros", "border"]),
        align_corners=draw.random.randint(0, 1),
    )  # fmt: skip


@template("ReverseSequence", "CastLike")
def sequences(draw: Draw) -> None:
    if draw.random.random() < 0.5:
        val, like = draw.exact(), draw.input(DType.I64)
        if draw.opset < 15:
            raise RejectedError("CastLike")
        whole = draw.one("Floor", val, interval=(val.low - 1, val.high), grain=0)
        draw.node("CastLike", [whole, like], (val.low - 1, val.high), 0)
        return
    val = floats(draw, 2, 4)
    batch, time = draw.random.sample([0, 1], 2)
    length = val.shape[time]
    count = val.shape[batch]
    if not isinstance(length, int) or not isinstance(count, int):
        raise RejectedError("lengths are constants here")
    lengths = draw.ints(*[draw.random.randint(1, length) for _ in range(count)])
    moved(draw, "ReverseSequence", [val, lengths], val, batch_axis=batch, time_axis=time)
