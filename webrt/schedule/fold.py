"""How a Fold is computed: lanes of a workgroup, and how many neighbours a lane computes at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from webrt.dims import Dim
from webrt.kernel.axes import collapse_fold, stride
from webrt.kernel.expr import Expr, free_symbols, loads, looks_up
from webrt.kernel.problem import Fold
from webrt.schedule.base import Limits
from webrt.schedule.explore import Explored, Order, Rules


@dataclass(frozen=True, slots=True)
class FoldSchedule:
    """A lane computes one point, or with `width` 4 four neighbours, which go round together."""

    lanes: int = 64
    width: int = 1

    def __post_init__(self) -> None:
        if self.width not in (1, 4) or not 1 <= self.lanes <= 1024:
            raise ValueError(f"not a Fold schedule: {self}")


def space(problem: Fold, limits: Limits) -> tuple[FoldSchedule, ...]:
    """Every legal schedule, best guess first."""
    return explain(problem, limits).kept


def explain(problem: Fold, limits: Limits) -> Explored[FoldSchedule]:
    """The space, and which rule dropped each other raw candidate."""
    merged = collapse_fold(problem)
    fours = together(merged) and merged.axes[-1] % 4 == 0
    width = 4 if fours and in_line(merged) else 1
    return Explored(
        FoldSchedule(min(64, limits.lanes), width),
        raw(),
        Rules(
            must=(
                ("four neighbours that go round together", lambda s: s.width == 1 or fours),
                (f"at most {limits.lanes} lanes", lambda s: s.lanes <= limits.lanes),
            ),
        ),
        Order(lambda s: 2.0 * (s.width != width) + abs(s.lanes - 64) / 256, lambda s: s.width),
    )


@cache
def raw() -> tuple[FoldSchedule, ...]:
    """Every combination of knobs, whatever the problem and the device."""
    return tuple(FoldSchedule(lanes, width) for width in (4, 1) for lanes in (32, 64, 128, 256))


def together(problem: Fold) -> bool:
    """Whether neighbours along the last axis go round together, and look nothing up by acc."""
    if not problem.axes:
        return False
    last = f"i{len(problem.axes) - 1}"
    bounds = any(last in free_symbols(e) for e in (problem.start, problem.stop))
    exprs: list[Expr] = [problem.first, problem.step, *(o.expr for o in problem.outputs)]
    return not bounds and not any(looks_up(e) for e in exprs)


def in_line(problem: Fold) -> bool:
    """Whether what neighbours load and store in a turn is in line, or one for all of them."""
    last = f"i{len(problem.axes) - 1}"
    offsets: list[Dim] = [o.offset for o in problem.outputs]
    exprs: list[Expr] = [problem.first, problem.step, *(o.expr for o in problem.outputs)]
    offsets += [load.offset for e in exprs for load in loads(e)]
    return all(stride(offset, last) in (0, 1) for offset in offsets)
