"""How a Reduce is computed: lanes that share a row, rows of a workgroup, elements a step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from webrt import dims
from webrt.kernel.axes import collapse_reduce
from webrt.kernel.expr import loads
from webrt.kernel.problem import Reduce, expressions
from webrt.schedule.adapters import gpu_class
from webrt.schedule.base import Limits
from webrt.schedule.explore import Explored, Order, Rules


@dataclass(frozen=True, slots=True)
class ReduceSchedule:
    """`lanes` lanes share a row and combine their parts in workgroup memory; 1 needs no barrier.

    A workgroup has `rows` rows; a lane reads `width` neighbouring elements of its row at a time.
    """

    lanes: int = 1
    rows: int = 16
    width: int = 1

    def __post_init__(self) -> None:
        if self.width not in (1, 4) or self.lanes & (self.lanes - 1) or self.lanes < 1:
            raise ValueError(f"not a Reduce schedule: {self}")
        if self.rows < 1 or self.lanes * self.rows > 1024:
            raise ValueError(f"more lanes than a workgroup has: {self}")


def space(problem: Reduce, limits: Limits) -> tuple[ReduceSchedule, ...]:
    """Every legal schedule, best guess first."""
    return explain(problem, limits).kept


def explain(problem: Reduce, limits: Limits) -> Explored[ReduceSchedule]:
    """The space, and which rule dropped each other raw candidate."""
    merged = collapse_reduce(problem)
    width = _widths(merged)[0]
    lanes, rows = _preferred(merged, Limits(limits.lanes))
    return Explored(
        ReduceSchedule(lanes, rows, width),
        raw(),
        _rules(merged, limits),
        Order(
            lambda s: cost(s, merged, limits.unmeasured),
            lambda s: (s.lanes, s.width),
            4,
            then=lambda s: cost(s, merged, limits),
        ),
    )


@cache
def raw() -> tuple[ReduceSchedule, ...]:
    """Every combination of knobs, whatever the problem and the device."""
    return tuple(
        ReduceSchedule(lanes, total // lanes, width)
        for width in (4, 1)
        for lanes in (1, 2, 4, 8, 16, 32, 64, 128, 256)
        for total in (1, 2, 4, 8, 16, 32, 64, 128, 256)
        if lanes <= total
    )


def _rules(problem: Reduce, limits: Limits) -> Rules[ReduceSchedule]:
    known = gpu_class(limits.adapter_class)
    widths = _widths(problem)
    rows, length = dims.product(problem.axes), dims.product(problem.reduced)
    most = rows if isinstance(rows, int) else 1 << 20
    longest = length if isinstance(length, int) else 1 << 20
    least = min(known.least, most)
    return Rules(
        must=(
            ("fours divide the innermost reduced axis", lambda s: s.width in widths),
            (f"at most {limits.lanes} lanes", lambda s: s.lanes * s.rows <= limits.lanes),
        ),
        should=(
            (f"at least {least} lanes", lambda s: s.lanes * s.rows >= least),
            ("no more rows than there are", lambda s: s.rows < 2 * max(most, 1)),
            (
                "no more lanes a row than it has elements",
                lambda s: s.lanes == 1 or s.lanes * s.width < 2 * longest,
            ),
            (
                "fours where they are legal, one lane a row apart",
                lambda s: s.width == widths[0] or s.lanes <= 4,
            ),
        ),
    )


def cost(schedule: ReduceSchedule, problem: Reduce, limits: Limits) -> float:
    """About how long a schedule takes beside others: they are tried in this order."""
    lanes, rows = _preferred(problem, limits)
    apart = abs(schedule.lanes.bit_length() - lanes.bit_length())
    group = abs(schedule.rows.bit_length() - rows.bit_length())
    return apart + group / 8 + 2 * (schedule.width != _widths(problem)[0])


def _preferred(problem: Reduce, limits: Limits) -> tuple[int, int]:
    """(lanes of a row, rows of a workgroup) of the first guess.

    Measured on 2026-11-21, one lane a row against 4 and 16. Layer norm of 128 rows of 384 by fours:
    SwiftShader 611, 682, 1858 µs, lavapipe 937, 1055, 1376 µs; softmax of 1536 rows of 128 by ones:
    SwiftShader 3.8, 6.3, 13 ms. Four lanes lose little there and read neighbours together, which
    hardware needs. One row of 65536 is best with 16 to 64 lanes on both.
    """
    rows, length = dims.product(problem.axes), dims.product(problem.reduced)
    alone = limits.sharing < 0.9 if limits.sharing else limits.adapter_class == "cpu"
    if alone and not (isinstance(rows, int) and rows <= 16):
        return 1, min(32, limits.lanes)
    if (isinstance(length, int) and length <= 64) or not reads_neighbours(problem):
        return 1, min(64, limits.lanes)
    if isinstance(rows, int) and rows <= 16:
        return min(64, limits.lanes), 1
    return 4, min(16, limits.lanes // 4)


def _widths(problem: Reduce) -> list[int]:
    """The legal widths, best first: 4 where the innermost reduced axis can be cut in fours.

    Also where four elements take four loads, as the loop is shorter: 256 strided rows of 512 took
    798 against 1779 µs on SwiftShader, 1022 against 1532 on lavapipe (2026-11-21).
    """
    divisible = problem.reduced and problem.reduced[-1] % 4 == 0
    return [4, 1] if divisible else [1]


def reads_neighbours(problem: Reduce) -> bool:
    """Whether the elements of a row lie one after the other in every operand and output."""
    inner = f"r{len(problem.reduced) - 1}"
    offsets = [load.offset for e in expressions(problem) for load in loads(e)]
    offsets += [o.offset for o in problem.outputs if o.each]
    grown = [dims.substitute(d, {inner: dims.symbol(inner) + 1}) - d for d in offsets]
    return all(g in (0, 1) for g in grown)
