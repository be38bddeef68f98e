"""The tuner: which problem gets the next trial, of which candidate, until the time is up.

Time goes where the run spends it: the problem whose remaining candidates may still save most is
tried next. Its share of a run is its time (times how often the plan dispatches it). Which candidate
is next and what it may gain, trials of the other problems and of other devices say too
(`order.py`); what isn't known is taken to shrink with every trial that brought nothing.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from webrt import dims
from webrt.errors import DeviceError
from webrt.kernel.problem import Problem, specialise, symbols
from webrt.plan.plan import Plan
from webrt.runtime.device import Device
from webrt.runtime.kernels import Candidate
from webrt.schedule import Schedule
from webrt.tune.candidate import Rates, candidates, generate, printed, reference
from webrt.tune.order import LEAST_WEIGHT, Order, order, shape_of, weight_of
from webrt.tune.records import Key, Record, Records, Trial, make_key
from webrt.tune.trial import Compiled, RejectedError, Trials

Clock = Callable[[], float]

SMALL = 7
"""Values of the symbols at which the default is held to the plainest kernel: odd, so that tiles
have tails."""

KEPT_BYTES = 256 << 20
"""What the buffers of problems that were tried before may hold beside those of the one that is:
making them anew, and the reference, costs as much as a trial."""

LEAST_GAIN = 0.02
"""A candidate must be faster by this share to be swapped in: less is noise."""


@dataclass(frozen=True, slots=True)
class ProblemReport:
    """What tuning one problem came to; times are those of one dispatch."""

    id: str
    count: int
    space: int
    trials: int
    rejected: int
    default_ms: float
    best_ms: float
    schedule: Schedule

    @property
    def speedup(self) -> float:
        return self.default_ms / self.best_ms


@dataclass(frozen=True, slots=True)
class TuneReport:
    """What tuning came to. `before_ms` and `after_ms` add up the kernels of a run."""

    trials: int
    seconds: float
    before_ms: float
    after_ms: float
    problems: tuple[ProblemReport, ...]


@dataclass
class Work:
    """A problem on its way through its candidates."""

    index: int
    problem: Problem
    id: str
    count: int
    waiting: list[Schedule]
    space: int
    default: Schedule
    shape: tuple[int, ...]
    order: Order
    default_ms: float = 0.0
    best_ms: float = 0.0
    best: Schedule | None = None
    serving_ms: float = 0.0  # of what was swapped in last
    tried: list[Trial] = field(default_factory=list)
    idle: int = 0  # trials since the last gain
    printed: set[Hashable] = field(default_factory=set)
    code: Candidate | None = None  # the default's
    held: Compiled | None = None  # the best's, once it was tried here

    @property
    def promise(self) -> float:
        """What the next trial may be worth, in milliseconds of a run."""
        if not self.waiting:
            return 0.0
        ratio = self.best_ms / self.default_ms
        return self.best_ms * self.count * self.order.promise(self.waiting, ratio, self.idle)


Found = Callable[[int, Candidate], Awaitable[None]]
Progress = Callable[[TuneReport], None]


class Tuner:
    """Tunes the problems of a plan at one shape, on one device. `run` may be called again.

    `turn` is held during each trial, so that runs of a model take turns with them. `records` is
    read at first (a problem whose candidates were all tried costs no trial) and added
    to after every trial, so that tuning can stop at any time and go on later. `rates` are those of
    a probe of the device: they order the spaces. `clock` is what the budget is of, `stopwatch`
    what trials are timed with.
    """

    def __init__(
        self,
        device: Device,
        plan: Plan,
        bindings: Mapping[str, int],
        records: Records,
        clock: Clock = time.monotonic,
        turn: AbstractContextManager[object] | None = None,
        rates: Rates | None = None,
        stopwatch: Clock = time.perf_counter,
    ) -> None:
        self._rates = rates
        self._stopwatch = stopwatch
        self._turn = nullcontext() if turn is None else turn
        self._device = device
        self._plan = plan
        self._records = records
        self._clock = clock
        self._cancelled = False
        self._bindings = dict(bindings)
        self._keys: dict[int, Key] = {}
        self._open: dict[int, Trials] = {}  # by problem, the one used last at the end
        self._start = clock()
        self._work = [w for j in range(len(plan.problems)) if (w := self._begin(plan, j))]

    def cancel(self) -> None:
        """End `run` after the trial under way."""
        self._cancelled = True

    def _begin(self, plan: Plan, index: int) -> Work | None:
        """The problem at this shape, with what is left to try, most promising first."""
        count = sum(step.problem == index for step in plan.steps)
        problem = specialise(plan.problems[index], self._bindings)
        if not count or any(dims.evaluate(o.size, {}) == 0 for o in problem.outputs):
            return None
        space = candidates(problem, self._device.info, self._rates)
        key = self._keys[index] = self._key(plan.problems[index])
        record = self._records.get(key)
        done = {t.schedule for t in record.trials} if record else set()
        shape = shape_of(problem)
        work = Work(
            index=index,
            problem=problem,
            id=f"{type(problem).__name__.lower()}_{index}",
            count=count,
            waiting=[s for s in space if s not in done],
            space=len(space),
            default=space[0],
            shape=shape,
            order=order(space, key, shape, self._records),
        )
        if record is not None and (best := record.best) is not None:
            assert best.ms is not None
            work.default_ms, work.best_ms, work.best = record.default_ms, best.ms, best.schedule
            work.serving_ms = best.ms
            work.tried = list(record.trials)
        return work

    def _key(self, problem: Problem) -> Key:
        used = {name: self._bindings[name] for name in symbols(problem)}
        return make_key(self._device.info, problem, used)

    async def run(
        self, seconds: float, progress: Progress | None = None, found: Found | None = None
    ) -> TuneReport:
        """Tune for at most `seconds`, a trial under way included at the end.

        `found` gets a problem's index and each faster candidate, to swap it in. Raises
        DeviceLostError; what was recorded until then stays.
        """
        self._cancelled = False
        known = [t.at or 0.0 for w in self._work for t in w.tried]
        start = self._clock()
        self._start = start - max(known, default=0.0)
        try:
            await self._tune(start, seconds, progress, found)
        finally:
            self._close(-1)
        return self.report(self._clock() - start)

    async def _tune(
        self, start: float, seconds: float, progress: Progress | None, found: Found | None
    ) -> None:
        for work in self._work:
            if self._over(start, seconds):
                return
            await self._measure_default(work)
        while not self._over(start, seconds):
            open_work = [w for w in self._work if w.waiting]
            if not open_work:
                return
            most = max(open_work, key=lambda w: w.promise)
            await self._burst(most, start, seconds, found)
            if progress is not None:
                progress(self.report(self._clock() - start))

    def make(self, work: Work, schedule: Schedule) -> Candidate:
        """The code of what is compiled next; who has to know beforehand overrides this."""
        return generate(work.problem, schedule, self._device.info)

    def key(self, work: Work) -> Key:
        """What the problem's trials are recorded under."""
        return self._keys[work.index]

    def _over(self, start: float, seconds: float) -> bool:
        return self._cancelled or self._clock() - start >= seconds

    async def _measure_default(self, work: Work) -> None:
        """The default's time, by which problems are ranked; known from a record or measured now."""
        if work.default_ms:
            return
        default = work.code = self.make(work, work.default)
        await self._check_default(work)
        with self._turn:
            trials = await self._opened(work)
            ms = await trials.attempt(default)
        work.held = trials.best
        work.default_ms = work.best_ms = work.serving_ms = ms
        work.printed.add(printed(default))
        work.best = work.default
        work.waiting = [s for s in work.waiting if s != work.default]
        self._note(work, Trial(work.default, work.default_ms))

    async def _check_default(self, work: Work) -> None:
        """Hold the default to the plainest kernel on this device, at a shape that costs little.

        Raises DeviceError where they differ: then this device computes wrong answers.
        """
        small = {name: min(value, SMALL) for name, value in self._bindings.items()}
        problem = specialise(self._plan.problems[work.index], small)
        trials = Trials(self._device, problem, {})
        try:
            await trials.set_reference(reference(problem, self._device.info))
            await trials.validate(generate(problem, work.default, self._device.info))
        except RejectedError as error:
            raise DeviceError(
                f"{work.id}: the default kernel is wrong on {self._device.info.adapter}: {error}"
            ) from error
        finally:
            trials.close()

    async def _burst(self, work: Work, start: float, seconds: float, found: Found | None) -> None:
        """Some trials of one problem."""
        promise = work.promise
        trials = await self._opened(work)
        while work.waiting and not self._over(start, seconds) and work.promise > promise / 4:
            schedule = work.order.best(work.waiting)
            work.waiting.remove(schedule)
            await self._try(work, trials, schedule, found)
        work.held = trials.best

    async def _opened(self, work: Work) -> Trials:
        """The buffers and the reference of a problem, made where they aren't kept."""
        if work.index in self._open:
            trials = self._open[work.index] = self._open.pop(work.index)  # now the last
            return trials
        if work.code is None:  # its time is known from a record
            work.code = self.make(work, work.default)
        self._close(KEPT_BYTES)
        trials = self._open[work.index] = Trials(
            self._device, work.problem, {}, clock=self._stopwatch
        )
        await trials.set_reference(work.code)
        if work.best is not None:
            await self._defend(work, trials)
        return trials

    async def _defend(self, work: Work, trials: Trials) -> None:
        """Challengers have to beat what is the best until now; of records, if it still compiles."""
        assert work.best is not None
        assert work.code is not None
        if work.held is None:
            try:
                work.held = await trials.compiled(self.make(work, work.best))
            except RejectedError:
                work.held = await trials.compiled(work.code)
                work.best, work.best_ms = work.default, work.default_ms
        await trials.defend(work.held, work.best_ms)

    def _close(self, most: int) -> None:
        """Give back what was used longest ago, until the rest holds `most` bytes."""
        while self._open and sum(t.held_bytes for t in self._open.values()) > most:
            self._open.pop(next(iter(self._open))).close()

    async def _try(
        self, work: Work, trials: Trials, schedule: Schedule, found: Found | None
    ) -> None:
        candidate = self.make(work, schedule)
        if (text := printed(candidate)) in work.printed:
            work.space -= 1
            return
        work.printed.add(text)
        try:
            with self._turn:
                ms = await trials.attempt(candidate)
        except RejectedError as error:
            work.idle += 1
            self._note(work, Trial(schedule, None, str(error)))
            return
        self._note(work, Trial(schedule, ms))
        if ms < work.best_ms:
            work.best_ms, work.best = ms, schedule
        work.idle += 1
        if ms < work.serving_ms * (1 - LEAST_GAIN):
            work.serving_ms, work.idle = ms, 0
            if found is not None:
                await found(work.index, candidate)

    def _note(self, work: Work, trial: Trial) -> None:
        """Record a trial, and let it order what is still to be tried, of other problems too."""
        trial = replace(trial, at=max(1e-3, self._clock() - self._start))
        work.tried.append(trial)
        record = Record(self._keys[work.index], work.default_ms, (trial,), work.shape)
        self._records.add(record)
        ratio = 0.0 if trial.ms is None else trial.ms / work.default_ms
        for other in self._work:
            weight = weight_of(record, self._keys[other.index], other.shape)
            if weight >= LEAST_WEIGHT and other.waiting:
                other.order.learn(trial.schedule, ratio, weight)

    def report(self, seconds: float) -> TuneReport:
        """How things stand."""
        problems = tuple(_report(w) for w in self._work if w.best is not None)
        return TuneReport(
            trials=sum(p.trials for p in problems),
            seconds=seconds,
            before_ms=sum(p.count * p.default_ms for p in problems),
            after_ms=sum(p.count * p.best_ms for p in problems),
            problems=problems,
        )


def _report(work: Work) -> ProblemReport:
    assert work.best is not None
    return ProblemReport(
        id=work.id,
        count=work.count,
        space=work.space,
        trials=len(work.tried),
        rejected=sum(t.ms is None for t in work.tried),
        default_ms=work.default_ms,
        best_ms=work.best_ms,
        schedule=work.best,
    )
