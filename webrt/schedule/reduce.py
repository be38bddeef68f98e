"""How a Reduce is computed: lanes that share a row, rows of a workgroup, elements a step."""

from __future__ import annotations

from dataclasses import dataclass

from webrt import dims
from webrt.kernel.axes import collapse_reduce
from webrt.kernel.expr import loads
from webrt.kernel.problem import Reduce, expressions
from webrt.schedule.base import Limits


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
    merged = collapse_reduce(problem)
    candidates = [
        ReduceSchedule(lanes, total // lanes, width)
        for width in _widths(merged)
        for lanes in (1, 4, 8, 16, 32, 64, 128, 256)
        for total in (16, 32, 64, 128, 256)
        if lanes <= total <= limits.lanes
    ]
    best = _preferred(merged, limits)
    order = sorted(candidates, key=lambda s: (s.width != candidates[0].width, _distance(s, best)))
    return tuple(order[:64])


def _preferred(problem: Reduce, limits: Limits) -> tuple[int, int]:
    """(lanes of a row, rows of a workgroup) of the first guess.

    Measured on 2026-11-21, one lane a row against 4 and 16. Layer norm of 128 rows of 384 by fours:
    SwiftShader 611, 682, 1858 µs, lavapipe 937, 1055, 1376 µs; softmax of 1536 rows of 128 by ones:
    SwiftShader 3.8, 6.3, 13 ms. Four lanes lose little there and read neighbours together, which
    hardware needs. One row of 65536 is best with 16 to 64 lanes on both.
    """
    rows, length = dims.product(problem.axes), dims.product(problem.reduced)
    if (isinstance(length, int) and length <= 64) or not reads_neighbours(problem):
        return 1, min(64, limits.lanes)
    if isinstance(rows, int) and rows <= 16:
        return min(64, limits.lanes), 1
    return 4, min(16, limits.lanes // 4)


def _distance(schedule: ReduceSchedule, best: tuple[int, int]) -> tuple[int, int]:
    lanes, rows = best
    return (
        abs(schedule.lanes.bit_length() - lanes.bit_length()),
        abs(schedule.rows.bit_length() - rows.bit_length()),
    )


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
