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
from webrt.schedule.rows import along, chained, costs, rows


@dataclass(frozen=True, slots=True)
class ReduceSchedule:
    """`lanes` lanes share a row and combine their parts in workgroup memory; 1 needs no barrier.

    A workgroup has `rows` rows; a lane reads `width` neighbouring elements of its row at a time,
    or with `across` one element of each of four neighbouring rows, which count as one row then.
    """

    lanes: int = 1
    rows: int = 16
    width: int = 1
    across: bool = False

    def __post_init__(self) -> None:
        if self.width not in (1, 4) or self.lanes & (self.lanes - 1) or self.lanes < 1:
            raise ValueError(f"not a Reduce schedule: {self}")
        if self.across and (self.lanes, self.width) != (1, 1):
            raise ValueError(f"four rows at a time are one lane's, element by element: {self}")
        if self.rows < 1 or self.lanes * self.rows > 1024:
            raise ValueError(f"more lanes than a workgroup has: {self}")


def space(problem: Reduce, limits: Limits) -> tuple[ReduceSchedule, ...]:
    """Every legal schedule, best guess first."""
    return explain(problem, limits).kept


def explain(problem: Reduce, limits: Limits) -> Explored[ReduceSchedule]:
    """The space, and which rule dropped each other raw candidate."""
    merged = collapse_reduce(problem)
    lanes, many = _preferred(merged, Limits(limits.lanes))
    first = ReduceSchedule(lanes, many, _widths(merged)[0])
    if prefers_across(merged):
        first = ReduceSchedule(1, many, across=True)
    return Explored(
        first,
        raw(),
        _rules(merged, limits),
        Order(
            lambda s: cost(s, merged, limits.unmeasured),
            lambda s: (s.lanes, s.width, s.across),
            4,
            then=lambda s: cost(s, merged, limits),
        ),
    )


@cache
def raw() -> tuple[ReduceSchedule, ...]:
    """Every combination of knobs, whatever the problem and the device."""
    totals = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    found = [
        ReduceSchedule(lanes, total // lanes, width)
        for width in (4, 1)
        for lanes in totals
        for total in totals
        if lanes <= total
    ]
    return (*found, *(ReduceSchedule(1, total, across=True) for total in totals))


def _rules(problem: Reduce, limits: Limits) -> Rules[ReduceSchedule]:
    known = gpu_class(limits.adapter_class)
    widths = _widths(problem)
    rows, length = dims.product(problem.axes), dims.product(problem.reduced)
    most = rows if isinstance(rows, int) else 1 << 20
    longest = length if isinstance(length, int) else 1 << 20
    least = min(known.least, most)
    single = chained(problem)
    return Rules(
        must=(
            ("fours divide the innermost reduced axis", lambda s: s.width in widths),
            ("fours divide the innermost rows", lambda s: not s.across or _in_fours(problem)),
            (
                "one lane a row, where rows look up by their results",
                lambda s: not single or (s.lanes, s.width, s.across) == (1, 1, False),
            ),
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
                lambda s: s.width == widths[0] or s.lanes <= 4 or s.across,
            ),
        ),
    )


def cost(schedule: ReduceSchedule, problem: Reduce, limits: Limits) -> float:
    """About how long a schedule takes beside others: they are tried in this order."""
    lanes, rows = _preferred(problem, limits)
    apart = abs(schedule.lanes.bit_length() - lanes.bit_length())
    group = abs(schedule.rows.bit_length() - rows.bit_length())
    if schedule.across:
        return (0 if prefers_across(problem) else 4) + group / 8
    return apart + group / 8 + 2 * (schedule.width != _widths(problem)[0])


def prefers_across(problem: Reduce) -> bool:
    """Whether a lane does best with four rows: windows whose neighbours lie in other rows."""
    length = dims.product(problem.reduced)
    if not _in_fours(problem) or not (isinstance(length, int) and 1 < length <= _WINDOW):
        return False
    return costs(problem, rows(problem)[-1:])[0] < along(problem)


def _in_fours(problem: Reduce) -> bool:
    return bool(problem.axes) and dims.modulo(problem.axes[-1], 4) == 0


_WINDOW = 64
"""Elements of a row that one lane goes through, of four rows at once."""


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
