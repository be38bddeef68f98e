"""In which order candidates are tried: what is known of like schedules, problems and devices.

Each candidate of a space has an expected time, as a logarithm beside the default's. It begins with
the space's own order. Every trial that is known moves it: a trial of a schedule that differs in
fewer knobs counts for more, and so does one of a problem of like shape, and one of this device.
The order is that of the expected times, and changes as trials come in. What they say of a problem's
next candidate also tells whether that problem is the one to go on with.

What other devices' trials say is kept apart: it chooses every second candidate of a problem, so
that a device that is quite another leads astray half of the trials at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import cache
from operator import sub
from typing import assert_never

from webrt import dims
from webrt.dims import Dim
from webrt.kernel.problem import Attention, Contract, Fold, Map, Problem, Reduce
from webrt.schedule import Schedule
from webrt.tune.records import Key, Record

PRIOR, STEP = 0.25, 0.003
"""What the space's own order weighs beside one trial, and how much each place in it is worse."""

ELSEWHERE, MOST_TOLD = 0.5, 0.5
"""What a trial of another device weighs beside one of this device, and what all of them may weigh:
a complete tuning there would outweigh every trial here. Three models took 26 trials on lavapipe
without records, 86 where SwiftShader's chose every candidate, and 25 where they choose every second
and weigh no more than this (`bench/matrix.py`, 2026-11-22)."""

OTHER_PROBLEM, DOUBLING = 0.5, 0.7
"""What a trial of another problem of the same shape weighs, and of a shape twice as large."""

LEAST_WEIGHT, MOST_RECORDS = 0.05, 12
UNKNOWN = 0.3
"""The share of a problem's time that its next trial may save where nothing is known but the space's
own order. By recorded times (`bench/matrix.py`), tuning MiniLM-L6, RoBERTa-base and T5-small on
lavapipe and SwiftShader to within 5 % of the best takes 44 trials after the defaults; it took 118
where expected times didn't count. 0.1 and 1 are as good (2026-11-21)."""

FAILED = math.log(8.0)
"""A schedule that can't be used there is taken to be slow here, not to be impossible."""


def shape_of(problem: Problem) -> tuple[int, ...]:
    """The extents that a problem's speed depends on; all of its symbols are bound."""
    match problem:
        case Contract():
            extents = [dims.product(problem.batch), problem.m, problem.n, problem.k]
        case Attention():
            batch = dims.product(problem.batch)
            extents = [batch, problem.q, problem.t, problem.d, problem.e]
        case Reduce():
            extents = [dims.product(problem.axes), dims.product(problem.reduced)]
        case Map():
            inner: Dim = problem.axes[-1] if problem.axes else 1
            extents = [dims.product(problem.axes), inner]
        case Fold():
            extents = [dims.product(problem.axes), problem.limit]
        case _:
            assert_never(problem)
    return tuple(dims.evaluate(extent, {}) for extent in extents)


class Order:
    """The expected times of a space's candidates."""

    def __init__(self, space: Sequence[Schedule]) -> None:
        self._place = {schedule: place for place, schedule in enumerate(space)}
        self._knobs = [_knobs(schedule) for schedule in space]
        self._weight = [PRIOR] * len(space)
        self._sum = [PRIOR * STEP * place for place in range(len(space))]
        self._told_weight = [0.0] * len(space)
        self._told_sum = [0.0] * len(space)
        self._tried = 0

    def learn(self, schedule: Schedule, ratio: float, weight: float = 1.0) -> None:
        """On this device, a like problem took `ratio` times as long as with its default.

        It says as much of the same schedule, less of others the more their knobs differ, nothing of
        those that have little in common with it. A trial of the very problem weighs 1.
        """
        self._add(self._weight, self._sum, schedule, ratio, weight)
        self._tried += weight >= 1

    def tell(self, schedule: Schedule, ratio: float, weight: float) -> None:
        """The same of another device."""
        self._add(self._told_weight, self._told_sum, schedule, ratio, weight)

    def _add(
        self,
        weights: list[float],
        sums: list[float],
        schedule: Schedule,
        ratio: float,
        weight: float,
    ) -> None:
        value = math.log(ratio) if ratio > 0 else FAILED
        family, here = _knobs(schedule)
        for place, (other, knobs) in enumerate(self._knobs):
            if other is family and (apart := sum(map(abs, map(sub, here, knobs)))) < 3.0:
                near = weight * math.exp(-apart)
                weights[place] += near
                sums[place] += near * value

    def expected(self, schedule: Schedule) -> float:
        """The logarithm of the expected time beside the default's, as the next choice has it."""
        total, weight = self._known(schedule)
        return total / weight

    def _known(self, schedule: Schedule) -> tuple[float, float]:
        """A sum of logarithms and their weight, those of other devices where it is their turn."""
        place = self._place[schedule]
        total, weight, told = self._sum[place], self._weight[place], self._told_weight[place]
        if told and self._tried % 2 == 0:
            share = min(1.0, MOST_TOLD / told)
            return total + self._told_sum[place] * share, weight + told * share
        return total, weight

    def best(self, waiting: Iterable[Schedule]) -> Schedule:
        """The candidate to try next."""
        return min(waiting, key=self.expected)

    def promise(self, waiting: Iterable[Schedule], ratio: float, idle: int) -> float:
        """The share of its time that a problem's next trial may save.

        The best so far takes `ratio` times as long as the default; the last `idle` trials brought
        nothing. It is what the candidate is expected to save, and less and less beside that, the
        more is known of it.
        """
        following = self.best(waiting)
        saved = 1 - math.exp(self.expected(following)) / ratio
        doubt = PRIOR / self._known(following)[1]
        return max(0.0, saved) + UNKNOWN * doubt / (1 + idle)


@cache
def _knobs(schedule: Schedule) -> tuple[type, tuple[float, ...]]:
    """The knobs as numbers of which a difference of 1 is a doubling, or another choice."""
    values = [getattr(schedule, f.name) for f in fields(schedule)]
    return type(schedule), tuple(
        float(v) if isinstance(v, bool) else math.log2(v) if v > 0 else -1.0 for v in values
    )


def weight_of(record: Record, key: Key, shape: Sequence[int]) -> float:
    """What a record's trials say of the problem `key` of that shape, between 0 and 1."""
    there = record.key
    here = 1.0 if there.device == key.device else _elsewhere(there.device, key.device)
    if (there.problem, there.dims) == (key.problem, key.dims):
        return here
    same_family = there.problem.partition(":")[0] == key.problem.partition(":")[0]
    if not same_family or len(record.shape) != len(shape) or not shape:
        return 0.0
    return here * OTHER_PROBLEM * like(record.shape, shape)


def _elsewhere(there: str, here: str) -> float:
    """What trials of a device say of another, both as records name them.

    Engines of wasm differ in what they make of a tile of more than 16 registers: the schedules that
    are best in wasmtime take Chromium 1.65 times as long as its own, and trials of one would lead
    the other astray (`bench/matrix.py`, 2026-11-21).
    """
    one, other = there.split("/"), here.split("/")
    if one[0] == other[0] == "wasm" and one[1:2] != other[1:2]:
        engines = [(*parts[1:2], "")[0].partition(" ")[0] for parts in (one, other)]
        return ELSEWHERE if engines[0] == engines[1] else 0.0
    return ELSEWHERE


def like(one: Sequence[int], other: Sequence[int]) -> float:
    """1 for the same shape, `DOUBLING` for each doubling of an extent."""
    apart = sum(abs(math.log2(max(a, 1) / max(b, 1))) for a, b in zip(one, other, strict=True))
    return DOUBLING**apart


def order(
    space: Sequence[Schedule], key: Key, shape: Sequence[int], records: Iterable[Record]
) -> Order:
    """The order in which to try a space, from all that `records` hold of like problems."""
    made = Order(space)
    weighed = [(weight_of(r, key, shape), j, r) for j, r in enumerate(records)]
    useful = sorted((w for w in weighed if w[0] >= LEAST_WEIGHT), key=lambda w: (-w[0], w[1]))
    for weight, _, record in useful[:MOST_RECORDS]:
        take = made.learn if record.key.device == key.device else made.tell
        for trial in record.trials:
            ratio = 0.0 if trial.ms is None else trial.ms / record.default_ms
            take(trial.schedule, ratio, weight)
    return made
