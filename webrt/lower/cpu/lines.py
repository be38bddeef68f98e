"""A convolution's taps along a line of the image, where they are neighbours in memory.

With channels innermost, the taps of one row of the window and their channels are one run of the
image's elements: what lies inside is copied at once, what lies beside it is cleared.
"""

from __future__ import annotations

from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.kernel.axes import last_digit, stride
from webrt.kernel.expr import Call, Const, Expr, Load, free_symbols, simplify, substitute
from webrt.lower.cpu.windows import Edges, cut_edges

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
    edges: Edges = {"x": (0, width)}
    inside: Expr | None = None
    match expr:
        case Call("select", (condition, Load() as load, Const() as beside)):
            inside = cut_edges(condition, edges, frozenset("c"))
        case Load() as load:
            beside = Const(0.0, load.dtype)
        case _:
            return None
    if inside is not None and {"x", "c"} & free_symbols(inside):
        return None
    if load.lanes != 1 or (stride(load.offset, "c"), stride(load.offset, "x")) != (1, digit):
        return None
    first, last = edges["x"]
    origin = dims.substitute(load.offset, {"x": 0, "c": 0})
    base = Load(load.memory, origin, load.dtype)
    return Line(taps // width, width * digit, base, first * digit, last * digit, inside, beside)
