"""Random reductions, norms, products, convolutions, pooling, resizing, recurrences, attention."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from fuzz_graphs import Draw, RejectedError, Val, most
from fuzz_moves import axis_of
from fuzz_templates import template

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType

REDUCTIONS = (
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare",
    "ReduceLogSumExp", "ReduceLogSum", "ReduceProd",
)  # fmt: skip


def floats(draw: Draw, least: int, greatest: int, bound: float = 20) -> Val:
    val = draw.pick(
        lambda v: least <= v.rank <= greatest,
        new=lambda: draw.input(shape=draw.shape(least, greatest)),
    )
    return draw.within(val, -bound, bound)


@template(*REDUCTIONS, weight=7)
def reductions(draw: Draw) -> None:
    op = draw.random.choice(REDUCTIONS)
    val = floats(draw, 1, 4)
    if op == "ReduceLogSum":
        val = draw.within(val, 0.2, 8)
    if op == "ReduceL2":
        val = draw.within(val, 0.1, 8)
    if op == "ReduceProd":
        val = draw.within(val, 0.5, 1.5)
    axes = tuple(draw.random.sample(range(-val.rank, 0), draw.random.randint(1, val.rank)))
    length = most(dims.product([val.shape[a] for a in axes]))
    if op == "ReduceProd" and length > 20:
        raise RejectedError(op)
    bound = val.bound * length if op != "ReduceSumSquare" else val.bound**2 * length
    grain = {"ReduceMax": val.grain, "ReduceMin": val.grain, "ReduceSum": val.grain}.get(op)
    keep = draw.random.randint(0, 1)
    as_input = draw.opset >= (13 if op == "ReduceSum" else 18)
    bound = max(bound, 1.5**20) if op == "ReduceProd" else max(bound, 10)
    if draw.random.random() < 0.2:
        draw.node(op, [val], (-bound * 100, bound * 100), None, keepdims=keep)
    elif as_input:
        draw.node(op, [val, draw.ints(*axes)], (-bound, bound), grain, keepdims=keep)
    else:
        draw.node(op, [val], (-bound, bound), grain, keepdims=keep, axes=axes)


@template("ArgMax", "ArgMin", "TopK", "Hardmax", "CumSum", weight=5)
def ranks(draw: Draw) -> None:
    op = draw.random.choice(["ArgMax", "ArgMin", "TopK", "Hardmax", "CumSum"])
    val = draw.pick(
        lambda v: 1 <= v.rank <= 4 and v.is_exact,
        new=lambda: draw.input(shape=draw.shape(1, 4)),
    )
    axis = axis_of(draw, val.rank)
    length = most(val.shape[axis])
    match op:
        case "ArgMax" | "ArgMin":
            last = draw.random.randint(0, 1)
            keep = draw.random.randint(0, 1)
            draw.node(op, [val], (0, length), axis=axis, keepdims=keep, select_last_index=last)
        case "TopK":
            if not isinstance(val.shape[axis], int):
                raise RejectedError(op)
            k = draw.ints(draw.random.randint(1, length))
            both = ((val.low, val.high), (0.0, float(length)))
            draw.node(
                op, [val, k], both, val.grain, 2, axis=axis, largest=draw.random.randint(0, 1)
            )
        case "Hardmax":
            draw.node(op, [val], (0, 1), 0, axis=axis)
        case _:
            given = draw.constant(np.array(axis, np.int64))
            bound = val.bound * length
            flags = {f: draw.random.randint(0, 1) for f in ("exclusive", "reverse")}
            draw.node(op, [val, given], (-bound, bound), val.grain, **flags)


@template("Softmax", "LogSoftmax", "LpNormalization", weight=4)
def softmaxes(draw: Draw) -> None:
    op = draw.random.choice(["Softmax", "Softmax", "LogSoftmax", "LpNormalization"])
    val = floats(draw, 1, 4)
    axis = axis_of(draw, val.rank)
    if op == "LpNormalization":
        val = draw.within(val, 0.2, 5)
        draw.node(op, [val], (0, 1), axis=axis, p=draw.random.choice([1, 2]))
    else:
        draw.node(op, [val], (0, 1) if op == "Softmax" else (-60, 0), axis=axis)


@template("LayerNormalization", "InstanceNormalization", "BatchNormalization", "GroupNormalization")
def norms(draw: Draw) -> None:
    op = draw.random.choice(
        ["LayerNormalization", "InstanceNormalization", "BatchNormalization", "GroupNormalization"]
    )
    if op == "GroupNormalization":
        if draw.opset < 21:
            raise RejectedError("its scale is one of groups")
        channels = draw.random.choice([2, 4, 6])
        val = draw.input(shape=(draw.dim(), channels, draw.dim(), draw.dim()))
        scale, bias = (draw.input(shape=(channels,), low=-2, high=2) for _ in range(2))
        groups = draw.random.choice([1, 2])
        draw.node(op, [val, scale, bias], (-50, 50), num_groups=groups, epsilon=0.05)
        return
    val = floats(draw, 3, 4) if op != "LayerNormalization" else floats(draw, 1, 4)
    if op == "LayerNormalization":
        axis = axis_of(draw, val.rank)
        shape = val.shape[axis:]
        if not all(isinstance(d, int) for d in shape):
            raise RejectedError(op)
        scale, bias = (draw.input(shape=shape, low=-2, high=2) for _ in range(2))
        draw.node(op, [val, scale, bias], (-200, 200), axis=axis, epsilon=0.05)
        return
    channels = val.shape[1]
    if not isinstance(channels, int):
        raise RejectedError(op)
    vectors = [draw.input(shape=(channels,), low=-2, high=2) for _ in range(3)]
    if op == "InstanceNormalization":
        draw.node(op, [val, *vectors[:2]], (-50, 50), epsilon=0.05)
    else:
        spread = draw.input(shape=(channels,), low=0.5, high=2, grain=None)
        draw.node(op, [val, *vectors, spread], (-100, 100), epsilon=0.05)


def _bound(draw: Draw, length: int, *vals: Val) -> tuple[float, float]:
    bound = length * math.prod(v.bound for v in vals) + 20
    return -bound, bound


@template("MatMul", "Gemm", "Einsum", weight=7)
def products(draw: Draw) -> None:
    op = draw.random.choice(["MatMul", "MatMul", "Gemm", "Einsum"])
    val = floats(draw, 2, 2 if op == "Gemm" else 4, 8)
    k = val.shape[-1]
    n = draw.dim()
    if op == "MatMul":
        others = [
            v for v in draw.values if v.dtype is DType.F32 and v.rank == 2 and v.shape[0] == k
        ]
        batch = val.shape[:-2] if draw.random.random() < 0.5 else ()
        if others and draw.random.random() < 0.4:
            other = draw.within(draw.random.choice(others), -8, 8)
        else:
            other = draw.input(shape=(*batch, k, n), low=-2, high=2)
        made = draw.one(op, val, other, interval=_bound(draw, most(k), val, other))
        if draw.random.random() < 0.5:
            bias = draw.partner(made, -2, 2)
            bound = made.bound + bias.bound
            draw.node("Add", [made, bias], (-bound, bound))
    elif op == "Gemm":
        flips = draw.random.randint(0, 1), draw.random.randint(0, 1)
        inner, rows = (val.shape[0], val.shape[1]) if flips[0] else (val.shape[1], val.shape[0])
        other = draw.input(shape=(n, inner) if flips[1] else (inner, n), low=-2, high=2)
        bias = draw.input(shape=draw.random.choice([(), (n,), (1, n), (rows, 1), (rows, n)]))
        given = [val, other, bias] if draw.random.random() < 0.7 else [val, other]
        scales = {"alpha": draw.random.choice([1.0, 0.5]), "beta": draw.random.choice([1.0, 2.0])}
        interval = _bound(draw, most(inner), val, other)
        draw.node(op, given, interval, transA=flips[0], transB=flips[1], **scales)
    else:
        equation = draw.random.choice(["ij,kj->ik", "ij,jk->ki", "ij,ij->i", "ij,j->ij", "ij->ji"])
        val = floats(draw, 2, 2, 8)
        shapes = {"ij,kj->ik": (n, val.shape[1]), "ij,jk->ki": (val.shape[1], n),
                  "ij,ij->i": val.shape, "ij,j->ij": val.shape[1:]}  # fmt: skip
        given = [val]
        if equation in shapes:
            given.append(draw.input(shape=shapes[equation], low=-2, high=2))
        draw.node(op, given, _bound(draw, val.size(), *given), equation=equation)


def image(draw: Draw, spatial: int) -> Val:
    """A value of batch, channels and so many spatial dims, the latter of literal sizes."""
    val = draw.pick(
        lambda v: v.rank == spatial + 2
        and isinstance(v.shape[1], int)
        and all(isinstance(d, int) and d >= 3 for d in v.shape[2:]),
        new=lambda: draw.input(
            shape=(draw.dim(), draw.random.choice([1, 2, 3, 4, 6]),
                   *(draw.random.randint(3, 9) for _ in range(spatial)))
        ),
    )  # fmt: skip
    return draw.within(val, -8, 8)


def window(draw: Draw, val: Val, spatial: int, dilated: bool = True) -> dict[str, object]:
    """Attributes of a sliding window that fits the value."""
    kernel = tuple(draw.random.randint(1, 3) for _ in range(spatial))
    found: dict[str, object] = {"kernel_shape": kernel}
    if draw.random.random() < 0.5:
        found["strides"] = tuple(draw.random.randint(1, 3) for _ in range(spatial))
    if dilated and draw.random.random() < 0.3:
        found["dilations"] = tuple(
            draw.random.randint(1, 2) if (k - 1) * 2 < int(str(d)) else 1
            for k, d in zip(kernel, val.shape[2:], strict=True)
        )
    pads = tuple(draw.random.randint(0, k - 1) for k in (*kernel, *kernel))
    way = draw.random.random()
    if way < 0.4:
        found["pads"] = pads
    elif way < 0.6 and "dilations" not in found:
        found["auto_pad"] = draw.random.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
        strides = cast("tuple[int, ...]", found.get("strides", kernel))
        if any(s > k for s, k in zip(strides, kernel, strict=True)):
            found["auto_pad"] = "VALID"  # ONNX Runtime refuses pads below 0, which it might take
    return found


@template("Conv", "ConvTranspose", weight=5)
def convolutions(draw: Draw) -> None:
    op = draw.random.choice(["Conv", "Conv", "ConvTranspose"])
    spatial = draw.random.choice([1, 2, 2, 3])
    val = image(draw, spatial)
    channels = int(str(val.shape[1]))
    group = draw.random.choice([g for g in (1, 1, 2, 3, channels) if channels % g == 0])
    given = window(draw, val, spatial)
    kernel = given["kernel_shape"]
    assert isinstance(kernel, tuple)
    made = group * draw.random.choice([1, 2, 4])
    if op == "Conv":
        shape: tuple[Dim, ...] = (made, channels // group, *kernel)
    else:
        given.pop("auto_pad", None)
        given.pop("dilations", None)
        shape = (channels, made // group, *kernel)
    weight = draw.input(shape=shape, low=-1, high=1)
    bias = [draw.input(shape=(made,))] if draw.random.random() < 0.5 else []
    length = channels * math.prod(kernel)
    interval = _bound(draw, length, val, weight)
    draw.node(op, [val, weight, *bias], interval, group=group, **given)  # type: ignore[arg-type]


@template("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", weight=4)
def pools(draw: Draw) -> None:
    op = draw.random.choice(
        ["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool"]
    )
    spatial = draw.random.choice([1, 2, 2, 3])
    val = image(draw, spatial)
    if op.startswith("Global"):
        draw.node(op, [val], (val.low, val.high), val.grain if "Max" in op else None)
        return
    given = window(draw, val, spatial, dilated=op == "MaxPool")
    if op == "LpPool":
        val = draw.within(val, 0.2, 5)
        draw.node(op, [val], (0, 200), p=draw.random.choice([1, 2]), **given)  # type: ignore[arg-type]
        return
    if draw.random.random() < 0.3 and "auto_pad" not in given:
        given["ceil_mode"] = 1
    if op == "AveragePool":
        given["count_include_pad"] = draw.random.randint(0, 1)
    low, high = min(val.low, 0), max(val.high, 0)
    grain = val.grain if op == "MaxPool" else None
    draw.node(op, [val], (low, high), grain, **given)  # type: ignore[arg-type]


@template("Resize", weight=2)
def resize(draw: Draw) -> None:
    val = image(draw, 2)
    mode = draw.random.choice(["nearest", "linear", "cubic"])
    if mode == "cubic":
        where = draw.random.choice(["half_pixel", "align_corners"])
    else:
        where = draw.random.choice(["asymmetric", "half_pixel", "align_corners"])
    sizes = [draw.random.randint(2, 9) for _ in range(2)]
    ratio = [s / int(str(d)) for s, d in zip(sizes, val.shape[2:], strict=True)]
    if any(r not in (0.5, 1, 2) for r in ratio) and mode == "nearest":
        sizes = [2 * int(str(d)) for d in val.shape[2:]]
        where = "asymmetric"
    scales = [s / int(str(d)) for s, d in zip(sizes, val.shape[2:], strict=True)]
    # Thirds are rounded up, so that extent · scale isn't less than the size in any precision.
    rounded = [s if s % 0.125 == 0 else np.nextafter(np.float32(s), np.float32(10)) for s in scales]
    given = draw.constant(np.array([1, 1, *rounded], np.float32))
    bound = 2 * val.bound
    extra = {"nearest_mode": "floor"} if mode == "nearest" else {}
    draw.node(
        "Resize", [val, None, given], (-bound, bound), coordinate_transformation_mode=where,
        mode=mode, **extra,
    )  # fmt: skip


@template("LSTM", "GRU", "RNN", weight=2)
def recurrences(draw: Draw) -> None:
    op = draw.random.choice(["LSTM", "GRU", "RNN"])
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    direction = draw.random.choice(["forward", "reverse", "bidirectional"])
    ways = 2 if direction == "bidirectional" else 1
    width, hidden = draw.random.randint(1, 5), draw.random.randint(1, 5)
    x = draw.input(shape=(draw.dim(), draw.dim(), width), low=-2, high=2)
    w = draw.input(shape=(ways, gates * hidden, width), low=-1, high=1)
    r = draw.input(shape=(ways, gates * hidden, hidden), low=-1, high=1)
    given: list[Val | None] = [x, w, r]
    if draw.random.random() < 0.6:
        given.append(draw.input(shape=(ways, 2 * gates * hidden), low=-1, high=1))
    extra = {"linear_before_reset": draw.random.randint(0, 1)} if op == "GRU" else {}
    count = draw.random.randint(1, 3 if op == "LSTM" else 2)
    draw.node(op, given, (-10, 10), None, count, direction=direction, hidden_size=hidden, **extra)


@template("MatMul", "Softmax", weight=2)
def attention(draw: Draw) -> None:
    """Attention as exporters spell it, which passes recognise."""
    heads, depth = draw.random.choice([1, 2, 3]), draw.random.choice([2, 4, 5])
    batch, length, other = draw.dim(), draw.dim(), draw.dim()
    query = draw.input(shape=(batch, heads, length, depth), low=-2, high=2)
    key = draw.input(shape=(batch, heads, other, depth), low=-2, high=2)
    value = draw.input(shape=(batch, heads, other, draw.random.choice([depth, 3])), low=-2, high=2)
    turned = draw.one("Transpose", key, interval=(-2, 2), perm=(0, 1, 3, 2))
    scores = draw.one("MatMul", query, turned, interval=(-20, 20))
    scale = draw.number(depth**-0.5) if depth == 4 else draw.number(0.5)
    scores = draw.one(draw.random.choice(["Mul", "Div"]), scores, scale, interval=(-40, 40))
    if draw.random.random() < 0.6:
        mask = draw.input(shape=(batch, 1, 1, other), low=-3, high=0)
        scores = draw.one("Add", scores, mask, interval=(-43, 43))
    shares = draw.one("Softmax", scores, interval=(0, 1), axis=-1)
    made = draw.one("MatMul", shares, value, interval=(-2, 2))
    if draw.random.random() < 0.5:
        draw.node("Transpose", [made], (-2, 2), perm=(0, 2, 1, 3))


@template("ReduceMean", "Sub", "Pow", "Sqrt", "Div", weight=2)
def spelled_norm(draw: Draw) -> None:
    """A layer norm as exporters spell it, which passes recognise."""
    val = floats(draw, 2, 3, 8)
    last = {"axes": (-1,)} if draw.opset < 18 else {}
    axes = [] if draw.opset < 18 else [draw.ints(-1)]
    mean = draw.one("ReduceMean", val, *axes, interval=(-8, 8), keepdims=1, **last)
    centred = draw.one("Sub", val, mean, interval=(-16, 16))
    squares = draw.one("Pow", centred, draw.number(2), interval=(0, 256))
    spread = draw.one("ReduceMean", squares, *axes, interval=(0, 256), keepdims=1, **last)
    safe = draw.one("Add", spread, draw.number(0.0625), interval=(0.0625, 257))
    root = draw.one("Sqrt", safe, interval=(0.25, 17))
    made = draw.one("Div", centred, root, interval=(-64, 64))
    if isinstance(val.shape[-1], int):
        scale, bias = (draw.input(shape=(val.shape[-1],), low=-2, high=2) for _ in range(2))
        scaled = draw.one("Mul", made, scale, interval=(-128, 128))
        draw.node("Add", [scaled, bias], (-130, 130))


@template("QuantizeLinear", "DequantizeLinear", weight=2)
def quantised(draw: Draw) -> None:
    """Exact values on a grid of powers of two: rounding never decides between two devices."""
    val = draw.exact()
    dtype = draw.random.choice([np.uint8, np.int8])
    scale = draw.constant(np.array(0.25, np.float32))
    zero = draw.constant(np.array(draw.random.choice([0, 3]), dtype))
    made = draw.node("QuantizeLinear", [val, scale, zero], (-128, 255))[0]
    draw.node("DequantizeLinear", [made, scale, zero], (-70, 70), 2)
