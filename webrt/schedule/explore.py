"""How a space is made: raw candidates, rules that drop some by name, an order, a bound."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S")

MOST = 64
"""Candidates of a space: what can be tried in seconds."""

BEYOND = f"behind the {MOST} best guesses"

Rule = tuple[str, Callable[[S], bool]]
"""What it asks for, and whether a schedule does it."""


@dataclass(frozen=True, slots=True)
class Rules(Generic[S]):
    """`must`: what a device or a lowering needs. `should`: what isn't worth trying otherwise."""

    must: tuple[Rule[S], ...]
    should: tuple[Rule[S], ...] = ()


class Explored(Generic[S]):
    """A space, best guess first, and every other raw candidate with the rule that dropped it.

    `first` is what a kernel gets where nothing is known of the device: it is in every space. Then
    come the raw candidates that keep all rules, the cheapest first. Those that are `refused` can't
    run here; those that are `left` can. Raw candidates are looked at once something but the `first`
    is asked for: packing asks for no more.
    """

    def __init__(self, first: S, raw: Iterable[S], rules: Rules[S], order: Order[S]) -> None:
        self.first = first
        self._must = rules.must
        self._raw = functools.cache(lambda: dict.fromkeys(raw))
        self._sort = functools.cache(lambda: _sorted(first, self._raw(), rules, order))

    @property
    def kept(self) -> tuple[S, ...]:
        return self._sort()[0]

    @property
    def left(self) -> tuple[tuple[S, str], ...]:
        return self._sort()[1]

    @property
    def refused(self) -> tuple[tuple[S, str], ...]:
        return self._sort()[2]

    def allows(self, schedule: S) -> bool:
        """Whether it may be served: the space is what is tried, not all that is legal."""
        if schedule == self.first:
            return True
        return schedule in self._raw() and _broken(self._must, schedule) is None


@dataclass(frozen=True, slots=True)
class Order(Generic[S]):
    """In which order candidates are tried, and how many of those that hardly differ.

    `cost` is about what a schedule takes, in any unit. At most `alike` schedules of one `kind` are
    kept; none of more than `slack` times the least cost. What is kept is tried in the order of
    `then`, where there is one: what was measured of a device orders a space, and drops nothing, as
    a device may have been busy while it was probed. With `turns` kinds take turns, the best of each
    first: where engines differ in which kind is good, a trial of each tells soonest.
    """

    cost: Callable[[S], float]
    kind: Callable[[S], object]
    alike: int = MOST
    slack: float = math.inf
    then: Callable[[S], float] | None = None
    turns: bool = False


def _sorted(
    first: S, raw: Iterable[S], rules: Rules[S], order: Order[S]
) -> tuple[tuple[S, ...], tuple[tuple[S, str], ...], tuple[tuple[S, str], ...]]:
    legal: list[tuple[float, S]] = []
    left: list[tuple[S, str]] = []
    refused: list[tuple[S, str]] = []
    for schedule in raw:
        if schedule == first:
            continue
        if broken := _broken(rules.must, schedule):
            refused.append((schedule, broken))
        elif broken := _broken(rules.should, schedule):
            left.append((schedule, broken))
        else:
            legal.append((order.cost(schedule), schedule))
    legal.sort(key=lambda pair: pair[0])
    most = order.slack * legal[0][0] if legal else 0.0
    kept = [first]
    kinds: Counter[object] = Counter()
    for cost, schedule in legal:
        kinds[order.kind(schedule)] += 1
        if cost > most:
            left.append((schedule, f"guessed at more than {order.slack:g} times the best guess"))
        elif kinds[order.kind(schedule)] > order.alike:
            left.append((schedule, f"behind the {order.alike} best guesses of its kind"))
        elif len(kept) >= MOST:
            left.append((schedule, BEYOND))
        else:
            kept.append(schedule)
    if order.then is not None:
        kept[1:] = sorted(kept[1:], key=order.then)
    if order.turns:
        kept[1:] = _in_turns(kept[1:], order.kind)
    return tuple(kept), tuple(left), tuple(refused)


def _in_turns(schedules: Sequence[S], kind: Callable[[S], object]) -> list[S]:
    """The first of each kind, then the second of each, and so on."""
    seen: Counter[object] = Counter()
    turns = []
    for schedule in schedules:
        seen[kind(schedule)] += 1
        turns.append((seen[kind(schedule)], schedule))
    return [schedule for _, schedule in sorted(turns, key=lambda turn: turn[0])]


def _broken(rules: Sequence[Rule[S]], schedule: S) -> str | None:
    """The first rule that a schedule doesn't keep."""
    return next((name for name, keeps in rules if not keeps(schedule)), None)
