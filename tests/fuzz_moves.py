"""Random operators that move elements: views, slices, pads, gathers, blocks, generated tensors."""

from __future__ import annotations

from typing import cast

import numpy as np
from fuzz_graphs import Draw, RejectedError, Val
from fuzz_templates import template

from webrt.dims import Dim
from webrt.dtypes import DType

ANY = (DType.F32, DType.F32, DType.F32, DType.I64, DType.BOOL, DType.I32)


def moved(
    draw: Draw, op: str, inputs: list[Val | None], val: Val, outputs: int = 1, **attributes: object
) -> list[Val]:
    """A node whose elements are those of `val`, or zero."""
    low, high = min(val.low, 0), max(val.high, 0)
    return draw.node(
        op, inputs, (low, high), val.grain, outputs, **cast("dict[str, int]", attributes)
    )


def ranked(draw: Draw, least: int, greatest: int = 5) -> Val:
    return draw.pick(
        lambda v: least <= v.rank <= greatest,
        ANY,
        lambda: draw.input(shape=draw.shape(least, min(greatest, 4))),
    )


def axis_of(draw: Draw, rank: int) -> int:
    return draw.random.randint(-rank, rank - 1)


@template("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", weight=8)
def views(draw: Draw) -> None:
    op = draw.random.choice(
        ["Transpose", "Transpose", "Reshape", "Reshape", "Flatten", "Squeeze", "Unsqueeze"]
    )
    val = ranked(draw, 1)
    match op:
        case "Transpose":
            order = list(range(val.rank))
            draw.random.shuffle(order)
            moved(draw, op, [val], val, perm=tuple(order))
        case "Reshape":
            moved(draw, op, [val, draw.ints(*_reshaped(draw, val))], val)
        case "Flatten":
            moved(draw, op, [val], val, axis=draw.random.randint(0, val.rank))
        case "Squeeze":
            ones = [j for j, d in enumerate(val.shape) if d == 1]
            if not ones:
                raise RejectedError(op)
            axes = draw.random.sample(ones, draw.random.randint(1, len(ones)))
            moved(draw, op, [val, draw.ints(*axes)], val)
        case _:
            moved(draw, op, [val, draw.ints(draw.random.randint(-val.rank - 1, val.rank))], val)


def _reshaped(draw: Draw, val: Val) -> list[int]:
    """A shape for Reshape: dims kept by 0, two neighbours merged by -1, or one of them split."""
    kept = [0 for _ in val.shape]
    place = draw.random.randrange(val.rank)
    dim = val.shape[place]
    if draw.random.random() < 0.5 and place + 1 < val.rank:
        tail = val.shape[place + 2 :]
        if all(isinstance(d, int) for d in tail):
            return [*kept[:place], -1, *(int(str(d)) for d in tail)]
    if isinstance(dim, int) and all(isinstance(d, int) for d in val.shape[place + 1 :]):
        factors = [f for f in (2, 3, 4) if dim % f == 0] or [1]
        first = draw.random.choice(factors)
        rest = [int(str(d)) for d in val.shape[place + 1 :]]
        return [*kept[:place], first, dim // first, *rest]
    return [-1]


@template("Concat", "Split", "Slice", "Tile", "Expand", "Pad", weight=9)
def pieces(draw: Draw) -> None:
    op = draw.random.choice(["Concat", "Split", "Slice", "Slice", "Tile", "Expand", "Pad", "Pad"])
    val = ranked(draw, 1, 4)
    axis = axis_of(draw, val.rank)
    match op:
        case "Concat":
            others = [v for v in draw.values if v.dtype is val.dtype and _joins(v, val, axis)]
            others = others or [val]  # a constant is none of the values
            chosen = [val, *(draw.random.choice(others) for _ in range(draw.random.randint(1, 2)))]
            low, high = min(v.low for v in chosen), max(v.high for v in chosen)
            grains = [v.grain for v in chosen]
            exact = None if None in grains else max(g or 0 for g in grains)
            draw.node(op, chosen, (low, high), exact, axis=axis)
        case "Split":
            _split(draw, val, axis)
        case "Slice":
            _slice(draw, val)
        case "Tile":
            moved(draw, op, [val, draw.ints(*(draw.random.randint(1, 2) for _ in val.shape))], val)
        case "Expand":
            wanted = [1 if d != 1 else draw.random.choice([1, 2, 3]) for d in val.shape]
            extra = [draw.random.randint(1, 3)] if draw.random.random() < 0.4 else []
            moved(draw, op, [val, draw.ints(*extra, *wanted)], val)
        case _:
            _pad(draw, val)


def _joins(left: Val, right: Val, axis: int) -> bool:
    if left.rank != right.rank:
        return False
    place = axis % right.rank
    return all(
        a == b for j, (a, b) in enumerate(zip(left.shape, right.shape, strict=True)) if j != place
    )


def _split(draw: Draw, val: Val, axis: int) -> None:
    dim = val.shape[axis]
    if not isinstance(dim, int) or dim < 2:
        raise RejectedError("Split")
    first = draw.random.randint(1, dim - 1)
    moved(draw, "Split", [val, draw.ints(first, dim - first)], val, 2, axis=axis)


def _slice(draw: Draw, val: Val) -> None:
    axes = draw.random.sample(range(val.rank), draw.random.randint(1, min(2, val.rank)))
    starts, ends, steps = [], [], []
    for axis in axes:
        dim = val.shape[axis]
        if not isinstance(dim, int):
            starts.append(0)
            ends.append(draw.random.choice([1, 2**31 - 1]))
            steps.append(1)
            continue
        step = draw.random.choice([1, 1, 2, 3, -1, -2])
        start = draw.random.randrange(dim)
        end = (
            draw.random.randint(start + 1, dim) if step > 0 else draw.random.randint(-1, start - 1)
        )
        starts.append(start - (dim if draw.random.random() < 0.3 else 0))
        ends.append(-(2**31) if end < 0 else end)
        steps.append(step)
    given = [draw.ints(*x) for x in (starts, ends, axes, steps)]
    moved(draw, "Slice", [val, *given], val)


def _pad(draw: Draw, val: Val) -> None:
    mode = draw.random.choice(["constant", "constant", "edge", "reflect", "wrap"])
    if val.dtype is DType.BOOL or (mode == "wrap" and draw.opset < 19):
        mode = "constant"
    room = [d - 1 if isinstance(d, int) else 0 for d in val.shape]
    most = [min(2, r) if mode in ("reflect", "wrap") else 2 for r in room]
    pads = [draw.random.randint(0, m) for m in (*most, *most)]
    if mode == "constant":
        pads = [p if p or draw.random.random() < 0.8 else -1 for p in pads]
        for j, d in enumerate(val.shape):
            if not isinstance(d, int) or d < 3:
                pads[j], pads[j + val.rank] = max(pads[j], 0), max(pads[j + val.rank], 0)
    moved(draw, "Pad", [val, draw.ints(*pads)], val, mode=mode)


@template("Gather", "GatherElements", "GatherND", "OneHot", weight=6)
def gathers(draw: Draw) -> None:
    op = draw.random.choice(["Gather", "Gather", "GatherElements", "GatherND", "OneHot"])
    val = ranked(draw, 1, 4)
    axis = axis_of(draw, val.rank)
    if op == "OneHot":
        index = draw.input(DType.I64, draw.shape(1, 2), -5, 4)
        values = draw.constant(np.array([0, 1], np.float32), grain=0)
        draw.node(op, [index, draw.ints(5), values], (0, 1), 0, axis=axis_of(draw, index.rank + 1))
        return
    dim = val.shape[axis]
    if not isinstance(dim, int):
        raise RejectedError(op)
    low = -dim if draw.random.random() < 0.5 else 0
    match op:
        case "Gather":
            index = draw.input(
                draw.random.choice([DType.I64, DType.I32]), draw.shape(0, 2), low, dim - 1
            )
            moved(draw, op, [val, index], val, axis=axis)
        case "GatherElements":
            shape: list[Dim] = [d if isinstance(d, int) else 1 for d in val.shape]
            shape[axis] = draw.random.randint(1, 4)
            index = draw.input(DType.I64, tuple(shape), low, dim - 1)
            moved(draw, op, [val, index], val, axis=axis)
        case _:
            if not isinstance(val.shape[0], int):
                raise RejectedError(op)
            index = draw.input(DType.I64, (*draw.shape(0, 2), 1), 0, val.shape[0] - 1)
            moved(draw, op, [val, index], val)


@template("ScatterElements", "ScatterND", weight=3)
def scatters(draw: Draw) -> None:
    op = draw.random.choice(["ScatterElements", "ScatterND"])
    val = draw.pick(lambda v: 1 <= v.rank <= 3 and v.is_exact, new=lambda: draw.input(shape=(4, 5)))
    dim = val.shape[0]
    if not isinstance(dim, int):
        raise RejectedError(op)
    reduction = draw.random.choice(["none", "add", "max", "min"]) if draw.opset >= 18 else "none"
    extra = {} if reduction == "none" else {"reduction": reduction}
    count = draw.random.randint(1, dim)
    places = draw.random.sample(range(dim), count)
    if reduction != "none":
        places = [draw.random.randrange(dim) for _ in range(count)]
    interval = (val.low - 4 * count, val.high + 4 * count)
    if op == "ScatterND":
        index = draw.constant(np.array(places, np.int64).reshape(count, 1))
        updates = draw.input(DType.F32, (count, *val.shape[1:]))
        draw.node(
            op,
            [val, index, updates],
            interval,
            val.grain and max(val.grain, 2),
            **extra,
        )
        return
    rest = [d if isinstance(d, int) else 1 for d in val.shape[1:]]
    table = np.array(places, np.int64).reshape(count, *(1 for _ in rest))
    index = draw.constant(np.ascontiguousarray(np.broadcast_to(table, (count, *rest))))
    updates = draw.input(DType.F32, (count, *rest))
    draw.node(
        op,
        [val, index, updates],
        interval,
        val.grain and max(val.grain, 2),
        axis=0,
        **extra,
    )


@template("DepthToSpace", "SpaceToDepth", "Trilu", weight=3)
def blocks(draw: Draw) -> None:
    op = draw.random.choice(["DepthToSpace", "SpaceToDepth", "Trilu"])
    if op == "Trilu":
        val = draw.pick(lambda v: v.rank >= 2, new=lambda: draw.input(shape=draw.shape(2, 4)))
        offset = draw.constant(np.array(draw.random.randint(-2, 2), np.int64))
        moved(draw, op, [val, offset], val, upper=draw.random.randint(0, 1))
    elif op == "DepthToSpace":
        val = draw.input(shape=(draw.dim(), 4 * draw.random.randint(1, 2), draw.dim(), draw.dim()))
        moved(draw, op, [val], val, blocksize=2, mode=draw.random.choice(["DCR", "CRD"]))
    else:
        val = draw.input(
            shape=(draw.dim(), draw.random.randint(1, 3), 4, 2 * draw.random.randint(1, 3))
        )
        moved(draw, op, [val], val, blocksize=2)


@template("Shape", "Size", "ConstantOfShape", "Range", "EyeLike", weight=4)
def shapes(draw: Draw) -> None:
    """Shape arithmetic as exporters write it, and what is generated from shapes."""
    kind = draw.random.choice(["reshape", "expand", "range", "fill", "size", "eye"])
    val = ranked(draw, 2, 4)
    if kind == "eye":
        square = draw.pick(lambda v: v.rank == 2, new=lambda: draw.input(shape=draw.shape(2, 2)))
        draw.node("EyeLike", [square], (0, 1), 0, k=draw.random.randint(-1, 2))
        return
    if kind == "size":
        draw.node("Size", [val], (0, 5000))
        return
    shape = draw.one("Shape", val, interval=(1, 5000))
    place = draw.random.randrange(val.rank)
    dim = draw.one(
        "Gather", shape, draw.constant(np.array(place, np.int64)), interval=(1, 5000), axis=0
    )
    match kind:
        case "range":
            zero, one = (draw.constant(np.array(x, np.int64)) for x in (0, 1))
            draw.node("Range", [zero, dim, one], (0, 500))
        case "fill":
            value = np.array([draw.random.choice([0.0, 1.5])], np.float32)
            draw.node("ConstantOfShape", [shape], (0, 2), 1, value=value)
        case "reshape":
            first = draw.one("Unsqueeze", dim, draw.ints(0), interval=(1, 5000))
            if place:
                raise RejectedError(kind)
            target = draw.one("Concat", first, draw.ints(-1), interval=(-1, 5000), axis=0)
            moved(draw, "Reshape", [val, target], val)
        case _:
            lone = draw.input(
                shape=tuple(1 if draw.random.random() < 0.5 else d for d in val.shape)
            )
            moved(draw, "Expand", [lone, shape], lone)
