"""How a Map is computed on a CPU: how much a unit computes, four by four or one by one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from webrt.kernel.axes import stride
from webrt.kernel.expr import Call, Expr, distinct_loads, parts
from webrt.kernel.problem import Map
from webrt.schedule.base import CpuLimits
from webrt.schedule.explore import Explored, Order, Rules

_HEAVY = frozenset(["exp", "log", "tanh", "erf", "sin", "cos", "pow"])


@dataclass(frozen=True, slots=True)
class CpuMapSchedule:
    """A unit is about `elements` elements; a turn of its innermost loop computes `unroll` fours.

    With `width` 1 a turn computes one element. With `turned`, a loop along which operands are
    contiguous runs inside of the one along which the output is: for transposes.
    """

    elements: int = 4096
    width: int = 4
    unroll: int = 4
    turned: bool = False

    def __post_init__(self) -> None:
        if self.width not in (1, 4) or not 1 <= self.unroll <= 8 or self.elements < 64:
            raise ValueError(f"not a Map schedule for CPUs: {self}")


def space(problem: Map, limits: CpuLimits) -> tuple[CpuMapSchedule, ...]:
    """Every legal schedule, best guess first."""
    return explain(problem, limits).kept


def explain(problem: Map, limits: CpuLimits) -> Explored[CpuMapSchedule]:
    """The space, and which rule dropped each other raw candidate."""
    unrolls, turned = _unrolls(problem), transposes(problem)
    return Explored(
        CpuMapSchedule(4096, 4, unrolls[0], turned),
        raw(),
        _rules(problem),
        Order(
            lambda s: (
                8.0 * (s.turned != turned)
                + 4.0 * (s.width == 1)
                + (unrolls.index(s.unroll) if s.unroll in unrolls else 3)
                + _ELEMENTS.index(s.elements) / 8
            ),
            lambda s: (s.turned, s.width, s.unroll),
        ),
    )


_ELEMENTS = (4096, 16384, 1024, 2048, 65536)


@cache
def raw() -> tuple[CpuMapSchedule, ...]:
    """Every combination of knobs, whatever the problem."""
    ways = [(4, 1), (4, 2), (4, 4), (4, 8), (1, 1)]
    return tuple(
        CpuMapSchedule(elements, width, unroll, turned)
        for turned in (False, True)
        for width, unroll in ways
        for elements in _ELEMENTS
    )


def _rules(problem: Map) -> Rules[CpuMapSchedule]:
    turns = transposes(problem)
    jumps = _jumps(problem)
    return Rules(
        must=(
            (
                "operands that lie across the output, where loops are turned",
                lambda s: turns or not s.turned,
            ),
            ("one loop, where it is one by one", lambda s: s.width == 4 or not s.turned),
        ),
        should=(
            (
                "at most two fours a turn, where indices are computed",
                lambda s: not jumps or s.unroll <= 2,
            ),
        ),
    )


def _unrolls(problem: Map) -> tuple[int, ...]:
    """Fours a turn, best first.

    Chromium on an x86-64, 2026-11-21: a sum of two [128, 384] took 7.8 µs with 1 to 4 fours a turn,
    a permutation of heads 8.8, 6.9 and 5.7 µs with 1, 2 and 4; a transpose of [384, 384] took 33 µs
    turned and 187 µs otherwise, one of [2048, 2048] 4 and 38 ms. Units of 1024 to 16384 elements
    differed by no more than the noise.
    """
    if transposes(problem):
        return (4, 2, 1)
    if _jumps(problem):  # four loads, or more, for a four: the loop is long enough
        return (1, 2)
    if is_heavy(*(o.expr for o in problem.outputs)):  # calls are what takes time
        return (2, 1, 4)
    return (4, 2, 1)


def is_heavy(*exprs: Expr) -> bool:
    """Whether one of them calls a function that takes tens of instructions."""
    return any(isinstance(e, Call) and e.op in _HEAVY for expr in exprs for e in parts(expr))


def _jumps(problem: Map) -> bool:
    """Whether what is loaded next isn't known from what is loaded: clamped or computed indices."""
    last = f"i{len(problem.axes) - 1}"
    every = (e for o in problem.outputs for e in distinct_loads(o.expr))
    return any(stride(e.offset, last) is None for e in every)


def transposes(problem: Map) -> bool:
    """Whether an operand is contiguous along another index than the output."""
    names = [f"i{j}" for j, extent in enumerate(problem.axes) if extent != 1]
    along = [name for name in names if stride(problem.outputs[0].offset, name) == 1]
    offsets = {load.offset for o in problem.outputs for load in distinct_loads(o.expr)}
    jumping = [d for d in offsets if any(stride(d, name) not in (0, 1) for name in along)]
    return any(stride(d, name) == 1 for d in jumping for name in names if name not in along)
