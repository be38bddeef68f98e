"""A convolution's taps along a line of the image, where they are neighbours in memory.

With channels innermost, the taps of one row of the window and their channels are one run of the
image's elements: what lies inside is copied at once, what lies beside it is cleared.
"""

from __future__ import annotations

from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.kernel.axes import last_digit, stride
from webrt.kernel.expr import Call, Const, Expr, Load, call, free_symbols, simplify, substitute
from webrt.lower.cpu.windows import edge

LINE = "line"


@dataclass(frozen=True, slots=True)
class Line:
    """`run` values of k for each of `count` lines: elements `first` … `last` - 1 of a run are
    neighbours from `load` on, the others are `beside`, and all are where `inside` doesn't hold.
    """

    count: int
    run: int
    load: Load
    first: Dim
    last: Dim
    inside: Expr | None
    beside: Const


def find_line(a: Expr, k: Dim, digit: int, extents: dict[str, Dim]) -> Line | None:
    """The lines of `a` over k, whose last digit counts channels; None where it has none.

    What depends on the line does so by the symbol LINE.
    """
    if not isinstance(k, int):
        return None
    taps = k // digit
    spaces: dict[str, Dim] = extents | {"c": digit, "tap": taps}
    tap = simplify(substitute(a, {"k": symbol("tap") * digit + symbol("c")}), spaces)
    width = last_digit(tap, "tap", taps) or taps
    spaces = extents | {"c": digit, "x": width, LINE: taps // width}
    place: dict[str, Dim] = {"tap": symbol(LINE) * width + symbol("x")}
    expr = simplify(substitute(tap, place), spaces)
    match expr:
        case Call("select", (condition, Load() as load, Const() as beside)):
            parts = _conjuncts(condition)
        case Load() as load:
            parts, beside = [], Const(0.0, load.dtype)
        case _:
            return None
    if load.lanes != 1 or (stride(load.offset, "c"), stride(load.offset, "x")) != (1, digit):
        return None
    first: Dim = 0
    last: Dim = width
    inside: Expr | None = None
    for part in parts:
        found = edge(part, {"x": width}, frozenset("c"))
        if found is not None:
            _, bound, is_lower = found
            if is_lower:
                first = dims.dim_max(first, bound)
            else:
                last = dims.dim_min(last, bound)
        elif {"x", "c"} & free_symbols(part):
            return None
        else:
            inside = part if inside is None else call("and", inside, part)
    origin = dims.substitute(load.offset, {"x": 0, "c": 0})
    base = Load(load.memory, origin, load.dtype)
    return Line(taps // width, width * digit, base, first * digit, last * digit, inside, beside)


def _conjuncts(condition: Expr) -> list[Expr]:
    if isinstance(condition, Call) and condition.op == "and":
        return [part for a in condition.args for part in _conjuncts(a)]
    return [condition]
