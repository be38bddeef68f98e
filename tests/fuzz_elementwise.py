"""Random elementwise operators: functions, arithmetic with broadcasting, comparisons, integers."""

from __future__ import annotations

import math

from fuzz_graphs import Draw, RejectedError, Val
from fuzz_templates import template

from webrt.dtypes import DType

INTEGERS = (DType.I64, DType.I32, DType.U8, DType.I8, DType.U32)
SIGNED = (DType.I64, DType.I32)

SMOOTH: dict[str, tuple[float, float, float, float]] = {
    # where it is well behaved, and what its values lie between there
    "Abs": (-100, 100, 0, 100), "Neg": (-100, 100, -100, 100), "Relu": (-100, 100, 0, 100),
    "Sigmoid": (-20, 20, 0, 1), "Tanh": (-20, 20, -1, 1), "Exp": (-10, 4, 0, 55),
    "Log": (0.1, 100, -2.4, 4.7), "Sqrt": (0.05, 100, 0.2, 10), "Reciprocal": (0.3, 100, 0.01, 3.4),
    "Sin": (-20, 20, -1, 1), "Cos": (-20, 20, -1, 1), "Tan": (-1.2, 1.2, -2.6, 2.6),
    "Asin": (-0.9, 0.9, -1.2, 1.2), "Acos": (-0.9, 0.9, 0.4, 2.8), "Atan": (-50, 50, -1.6, 1.6),
    "Sinh": (-4, 4, -28, 28), "Cosh": (-4, 4, 1, 28), "Asinh": (-50, 50, -5, 5),
    "Acosh": (1.2, 50, 0.6, 5), "Atanh": (-0.9, 0.9, -1.5, 1.5), "Erf": (-10, 10, -1, 1),
    "Softplus": (-20, 20, 0, 20.1), "Softsign": (-50, 50, -1, 1), "HardSwish": (-50, 50, -0.4, 50),
    "Mish": (-20, 20, -0.4, 20), "Gelu": (-20, 20, -0.2, 20), "Identity": (-100, 100, -100, 100),
}  # fmt: skip
KEEPS = {"Abs", "Neg", "Relu", "Identity"}
STEPS = ("Floor", "Ceil", "Round", "Sign")
COMPARISONS = ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")


@template(*SMOOTH)
def smooth(draw: Draw) -> None:
    op = draw.random.choice(list(SMOOTH))
    low, high, least, greatest = SMOOTH[op]
    val = draw.within(draw.pick(), low, high)
    interval: tuple[float, float] = (least, greatest)
    if op in KEEPS:
        whole = {"Neg": (-val.high, -val.low), "Identity": (val.low, val.high)}
        interval = whole.get(op, (0, val.bound))
    draw.node(op, [val], interval, val.grain if op in KEEPS else None)


@template("Elu", "Selu", "Celu", "LeakyRelu", "HardSigmoid", "ThresholdedRelu", "Shrink", "PRelu")
def parametric(draw: Draw) -> None:
    op = draw.random.choice(
        ["Elu", "Selu", "Celu", "LeakyRelu", "HardSigmoid", "ThresholdedRelu", "Shrink", "PRelu"]
    )
    val = draw.within(draw.exact() if op in ("ThresholdedRelu", "Shrink") else draw.pick(), -30, 30)
    attributes = (
        {} if draw.random.random() < 0.3 else {"alpha": draw.random.choice([0.25, 0.5, 2.0])}
    )
    bound = (-60, 60)
    if op == "Shrink":
        draw.node(op, [val], (-32, 32), bias=0.5, lambd=draw.random.choice([0.3, 1.1]))
    elif op == "ThresholdedRelu":
        draw.node(op, [val], (0, 30), val.grain, alpha=draw.random.choice([0.3, 1.1]))
    elif op == "PRelu":
        slope = draw.partner(val, -2, 2)
        if slope.rank > val.rank or any(
            a not in (b, 1) for a, b in zip(slope.shape[::-1], val.shape[::-1], strict=False)
        ):
            raise RejectedError(op)
        draw.node(op, [val, slope], bound)
    else:
        draw.node(op, [val], bound, **attributes)


@template(*STEPS, "IsNaN", "IsInf")
def steps(draw: Draw) -> None:
    op = draw.random.choice([*STEPS, "IsNaN", "IsInf"])
    if op in STEPS:
        val = draw.exact()
        draw.node(op, [val], (math.floor(val.low), math.ceil(val.high)), 0)
    else:
        draw.node(op, [draw.pick()])


@template("Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "Mod")
def arithmetic(draw: Draw) -> None:
    op = draw.random.choice(["Add", "Add", "Sub", "Mul", "Mul", "Div", "Min", "Max", "Pow", "Mod"])
    left = draw.within(draw.pick(), -200, 200)
    if op == "Div":
        right = draw.partner(left, 0.5, 4, None)
        draw.node(op, [left, right], (-2 * left.bound, 2 * left.bound))
    elif op == "Pow":
        left = draw.within(left, 0.3, 3)
        exponent = draw.random.choice([2.0, 3.0, 0.5, -1.0, 0.0])
        lone = draw.random.random() < 0.5
        right = draw.number(exponent) if lone else draw.partner(left, -2, 3, None)
        draw.node(op, [left, right], (0, 30))
    elif op == "Mod":
        left = draw.exact(new=draw.input)
        right = draw.partner(left, 1, 4)
        if right.low <= 0 or not right.is_exact:
            raise RejectedError(op)
        draw.node(op, [left, right], (-left.bound, left.bound), _finer(left, right), fmod=1)
    else:
        right = draw.partner(left, -200, 200, None)
        pair = [left, right] if draw.random.random() < 0.5 else [right, left]
        draw.node(op, pair, _bounds(op, *pair), _grain(op, left, right))


def _bounds(op: str, a: Val, b: Val) -> tuple[float, float]:
    match op:
        case "Add":
            return a.low + b.low, a.high + b.high
        case "Sub":
            return a.low - b.high, a.high - b.low
        case "Mul":
            corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
            return min(corners), max(corners)
        case "Min":
            return min(a.low, b.low), min(a.high, b.high)
    return max(a.low, b.low), max(a.high, b.high)


def _finer(a: Val, b: Val) -> int | None:
    return None if a.grain is None or b.grain is None else max(a.grain, b.grain)


def _grain(op: str, a: Val, b: Val) -> int | None:
    if a.grain is None or b.grain is None:
        return None
    return a.grain + b.grain if op == "Mul" else max(a.grain, b.grain)


@template("Sum", "Mean", "Max", "Min", weight=2)
def variadic(draw: Draw) -> None:
    op = draw.random.choice(["Sum", "Mean", "Max", "Min"])
    vals = [draw.within(draw.pick(), -100, 100)]
    for _ in range(draw.random.randint(0, 3)):
        vals.append(draw.partner(vals[0], -100, 100, None))
    bound = sum(v.bound for v in vals)
    draw.node(op, vals, (-bound, bound))


@template("Clip", weight=2)
def clip(draw: Draw) -> None:
    val = draw.pick()
    low, high = draw.random.choice([(-1.0, 1.5), (0.0, 6.0), (-3.0, 0.5)])
    bounds: list[Val | None] = [draw.number(low), draw.number(high)]
    if draw.random.random() < 0.3:
        bounds[draw.random.randint(0, 1)] = None
    draw.node("Clip", [val, *bounds], (min(val.low, low), max(val.high, high)))


@template(*COMPARISONS, "And", "Or", "Xor", "Not", "Where")
def logic(draw: Draw) -> None:
    op = draw.random.choice([*COMPARISONS, "And", "Or", "Xor", "Not", "Where", "Where"])
    if op in COMPARISONS:
        left = draw.exact((DType.F32, DType.I64, DType.I32))
        draw.node(op, [left, draw.partner(left, -1000, 1000, 2)])
        return
    mask = draw.pick(dtypes=(DType.BOOL,))
    if op == "Not":
        draw.node(op, [mask])
    elif op == "Where":
        shape = tuple(1 if draw.random.random() < 0.2 else d for d in mask.shape)
        left = draw.input(draw.random.choice([DType.F32, DType.I64]), shape)
        right = draw.partner(left, -1000, 1000, None)
        low, high = min(left.low, right.low), max(left.high, right.high)
        draw.node(op, [mask, left, right], (low, high), _finer(left, right))
    else:
        draw.node(op, [mask, draw.partner(mask, 0, 1)])


@template("Cast", weight=4)
def cast(draw: Draw) -> None:
    source = draw.exact((DType.F32, DType.BOOL, *INTEGERS))
    target = draw.random.choice([DType.F32, DType.BOOL, *INTEGERS])
    low, high = source.low, source.high
    if target in (DType.U8, DType.U32) and low < 0:
        raise RejectedError("negative")
    if target in (DType.U8, DType.I8) and max(abs(low), abs(high)) > 120:
        raise RejectedError("large")
    if target is DType.BOOL:
        low, high = 0, 1
    kept = source.grain if target is DType.F32 else 0
    draw.node("Cast", [source], (math.floor(low), math.ceil(high)), kept, to=str(target))


@template("Add", "Sub", "Mul", "Div", "Mod", "Abs", "Neg", "Min", "Max", "Sign", weight=4)
def integers(draw: Draw) -> None:
    op = draw.random.choice(["Add", "Sub", "Mul", "Div", "Mod", "Abs", "Neg", "Min", "Max", "Sign"])
    left = draw.pick(lambda v: v.bound <= 1000, SIGNED)
    if op in ("Abs", "Neg", "Sign"):
        draw.node(op, [left], (-left.bound, left.bound))
    elif op in ("Div", "Mod"):
        low, high = (1, 5) if draw.random.random() < 0.5 else (-5, -1)
        right = draw.partner(left, low, high)
        if right.low < low or right.high > high:
            raise RejectedError(op)
        fmod = {"fmod": draw.random.randint(0, 1)} if op == "Mod" else {}
        bound = max(left.bound, right.bound)
        draw.node(op, [left, right], (-bound, bound), **fmod)
    else:
        right = draw.partner(left, -1000, 1000)
        draw.node(op, [left, right], _bounds(op, left, right))


@template("BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "BitShift")
def bits(draw: Draw) -> None:
    op = draw.random.choice(["BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "BitShift"])
    if op == "BitShift":
        left = draw.input(draw.random.choice([DType.U8, DType.U32]), low=0, high=7)
        right = draw.partner(left, 0, 4)
        direction = draw.random.choice(["LEFT", "RIGHT"])
        draw.node(op, [left, right], (0, 7 * 16), direction=direction)
        return
    left = draw.pick(lambda v: v.bound < 128 and v.low >= 0, (DType.I32, DType.U8, DType.U32))
    if op == "BitwiseNot":
        draw.node(op, [left], (-128, 127) if left.dtype is DType.I32 else (0, 2.0**29))
        return
    draw.node(op, [left, draw.partner(left, 0, 127)], (0, 127))


@template("Dropout", weight=0.5)
def dropout(draw: Draw) -> None:
    val = draw.pick()
    draw.node("Dropout", [val], (val.low, val.high), val.grain)
