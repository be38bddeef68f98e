"""How a Map is computed: lanes of a workgroup, elements of a lane, and which way the grid runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from webrt import dims
from webrt.dims import Dim
from webrt.kernel.axes import collapse_map
from webrt.kernel.expr import distinct_loads
from webrt.kernel.problem import Map
from webrt.schedule.base import Limits
from webrt.schedule.explore import Explored, Order, Rules


@dataclass(frozen=True, slots=True)
class MapSchedule:
    """A lane computes `items` times `width` neighbouring elements.

    `flat` numbers all elements in one row, so that every lane is busy; otherwise a workgroup lies
    within one row of the innermost (merged) axis, so that the outer indices cost no division.
    """

    lanes: int = 64
    width: int = 1
    items: int = 1
    flat: bool = True

    def __post_init__(self) -> None:
        if self.width not in (1, 4) or not 1 <= self.items <= 16 or not 1 <= self.lanes <= 1024:
            raise ValueError(f"not a Map schedule: {self}")


def space(problem: Map, limits: Limits) -> tuple[MapSchedule, ...]:
    """Every legal schedule, best guess first."""
    return explain(problem, limits).kept


def explain(problem: Map, limits: Limits) -> Explored[MapSchedule]:
    """The space, and which rule dropped each other raw candidate.

    Flat comes first: on 2026-11-21 it was never slower than rows beyond the noise, on lavapipe
    and SwiftShader, divisions included; rows that don't fill their workgroups cost up to 70 times.
    So do fours, even of elements that are loaded one by one: embeddings of RoBERTa-base at 128 take
    SwiftShader 2.9 ms of CPU time so and 5.3 without, T5's bias 2.0 and 4.0.
    """
    merged = collapse_map(problem)
    widths = _widths(merged)
    width = 1 if 0 < limits.quads < 0.9 else max(widths)
    return Explored(
        MapSchedule(min(128, limits.lanes), widths[0]),
        raw(),
        _rules(merged, limits),
        Order(
            lambda s: cost(s, merged, max(widths)),
            lambda s: (s.width, s.flat),
            8,
            then=lambda s: cost(s, merged, width),
        ),
    )


@cache
def raw() -> tuple[MapSchedule, ...]:
    """Every combination of knobs, whatever the problem and the device."""
    return tuple(
        MapSchedule(lanes, width, items, flat)
        for width in (4, 1)
        for flat in (True, False)
        for items in (1, 2, 4, 8)
        for lanes in (32, 64, 128, 256)
    )


def _rules(problem: Map, limits: Limits) -> Rules[MapSchedule]:
    widths = _widths(problem)
    count = dims.product(problem.axes)
    elements = count if isinstance(count, int) else 1 << 30
    return Rules(
        must=(
            ("fours divide the innermost axis", lambda s: s.width in widths),
            (f"at most {limits.lanes} lanes", lambda s: s.lanes <= limits.lanes),
            (
                "rows that fill their workgroups",
                lambda s: s.flat or _fills(problem, s.lanes * s.items * s.width),
            ),
        ),
        should=(
            (
                "a workgroup that isn't far larger than the problem",
                lambda s: s.lanes * s.items * s.width < 2 * max(elements, 128),
            ),
        ),
    )


def cost(schedule: MapSchedule, problem: Map, width: int) -> float:
    """About how long a schedule takes beside others: they are tried in this order."""
    count = dims.product(problem.axes)
    elements = count if isinstance(count, int) else 1 << 20
    busy = 16 * schedule.lanes * schedule.items * schedule.width / elements
    return (
        2 * (schedule.width != width)
        + (not schedule.flat)
        + schedule.items / 8
        + abs(schedule.lanes.bit_length() - 8) / 16
        + max(0.0, busy - 1)
    )


def _fills(problem: Map, elements: int) -> bool:
    """Whether the rows of the innermost axis fill workgroups of so many elements well enough."""
    if len(problem.axes) < 2:
        return False
    inner = problem.axes[-1]
    return not isinstance(inner, int) or inner >= elements


def _widths(problem: Map) -> list[int]:
    """The legal widths, best first: 4 where the innermost axis can be cut in fours."""
    if not problem.axes or problem.axes[-1] % 4 != 0:
        return [1]
    inner = f"i{len(problem.axes) - 1}"
    offsets = [o.offset for o in problem.outputs]
    offsets += [load.offset for o in problem.outputs for load in distinct_loads(o.expr)]
    return [4, 1] if all(_step(d, inner) in (0, 1) for d in offsets) else [1, 4]


def _step(offset: Dim, name: str) -> int | None:
    """By how much `offset` grows with the index `name`, where that is constant."""
    grown = dims.substitute(offset, {name: dims.symbol(name) + 1}) - offset
    return grown if isinstance(grown, int) else None
