"""Times many schedules of a problem on a device: what `spaces.py` and `matrix.py` compare.

A table of a device holds, for each problem, what each schedule took, and is written after every
problem, so that a sweep goes on where it was stopped. A schedule that is far slower than the best
so far is timed on a part of its grid only, and marked as rough.

`--clock cpu` counts the processor's time instead of the clock's. Software adapters and wasm run on
the processor: on a machine that is shared, only that can be repeated (within 3 % where the clock's
times differ by a factor of two; 2026-11-21). On hardware it says nothing: use the clock.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webrt.kernel.problem import Problem, specialise
from webrt.pack.read import read_pack
from webrt.plan.plan import Plan
from webrt.runtime.device import Device, Dispatch
from webrt.runtime.sync import run_sync
from webrt.schedule import Schedule, from_json, to_json
from webrt.tune.candidate import generate
from webrt.tune.records import problem_key
from webrt.tune.trial import Ready, RejectedError, Trials

if TYPE_CHECKING:
    from engine import Engine, EngineSweep

RESULTS = Path(__file__).parent / "results"

DRIVERS = {
    "lavapipe": "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
    "swiftshader": "/usr/lib/chromium/vk_swiftshader_icd.json",
}
DEVICES = (*DRIVERS, "wasm", "wasm-plain", "chromium", "gpu")
"""Wasm runs natively, with relaxed SIMD or not, and in Chromium; `gpu` is the machine's best."""

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}

ROUGH = 1.6
"""From so many times the best on, a schedule's time isn't measured closely."""

PART_MS = 20.0
"""A schedule of a problem that takes longer is tried on a part of its grid first."""

SMALL_MS = 2.0
"""Below, a single dispatch says little."""

PASS_MS = 8.0

TURNS = 5


def open_device(name: str) -> Device | Engine:
    """A device of `DEVICES`; one of a software driver must be the process's first."""
    if name == "chromium":
        from engine import Engine

        return Engine()
    if name.startswith("wasm"):
        from webrt.runtime.devices import wasmtime

        return run_sync(wasmtime.open_device(1, None if name == "wasm" else False))
    if name in DRIVERS:
        os.environ["VK_DRIVER_FILES"] = DRIVERS[name]
    os.environ.setdefault("XDG_RUNTIME_DIR", "/tmp")
    from webrt.runtime.devices import wgpu

    return run_sync(wgpu.open_device())


@dataclass(frozen=True, slots=True)
class Work:
    """A problem of some model at a shape, and how often a run of each model dispatches it."""

    key: str
    problem: Problem
    counts: dict[str, int] = field(compare=False)


def bindings(plan: Plan, length: int) -> dict[str, int]:
    """One sequence of `length`: the batch is 1."""
    return {s.id: 1 if "batch" in s.name else length for s in plan.symbols}


def problems(packs: Iterable[Path], length: int) -> list[Work]:
    """The problems of these packs, each once."""
    found: dict[str, Work] = {}
    for folder in packs:
        plan = read_pack(folder).plan
        counts = Counter(step.problem for step in plan.steps)
        for index, symbolic in enumerate(plan.problems):
            problem = specialise(symbolic, bindings(plan, length))
            key = problem_key(problem)
            work = found.setdefault(key, Work(key, problem, {}))
            work.counts[folder.name] = counts[index]
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Time:
    """Milliseconds a dispatch, None where it can't be used; what trying it took, in seconds."""

    ms: float | None
    rough: bool
    seconds: float


class Table:
    """Times by problem and schedule, kept in a file; `finals` are milliseconds, timed closely."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.device = ""
        self.times: dict[str, dict[Schedule, Time]] = {}
        self.finals: dict[str, dict[Schedule, float]] = {}
        if path.exists():
            data = json.loads(path.read_text())
            self.device = data["device"]
            for key, part in data["problems"].items():
                rows, finals = self.times.setdefault(key, {}), self.finals.setdefault(key, {})
                head = {"family": part["family"]}
                for *values, ms, rough, seconds in part["rows"]:
                    schedule = from_json(head | dict(zip(part["fields"], values, strict=True)))
                    rows[schedule] = Time(ms, bool(rough), seconds)
                for *values, ms in part.get("finals", []):
                    schedule = from_json(head | dict(zip(part["fields"], values, strict=True)))
                    finals[schedule] = ms

    def write(self) -> None:
        parts = []
        for key, rows in self.times.items():
            listed = [to_json(schedule) for schedule in rows]
            if not listed:
                continue
            names = [name for name in listed[0] if name != "family"]
            finals = [
                [*(to_json(s)[n] for n in names), _short(ms)]
                for s, ms in self.finals.get(key, {}).items()
            ]
            head = {"family": listed[0]["family"], "fields": names, "finals": finals}
            lines = [
                json.dumps([*(s[n] for n in names), _short(t.ms), int(t.rough), _short(t.seconds)])
                for s, t in zip(listed, rows.values(), strict=True)
            ]
            body = json.dumps(head)[:-1] + ', "rows": [\n' + ",\n".join(lines) + "]}"
            parts.append(f"{json.dumps(key)}: {body}")
        text = f'{{"device": {json.dumps(self.device)},\n"problems": {{\n' + ",\n".join(parts)
        scratch = self.path.with_suffix(".part")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(text + "}}\n")
        scratch.replace(self.path)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


class Sweep:
    """Times schedules of one problem."""

    def __init__(self, device: Device, problem: Problem, clock: Callable[[], float]) -> None:
        self.device, self.problem, self.clock = device, problem, clock
        self.trials = Trials(device, problem, {}, clock=clock)
        self.empty = min(self._pass(None) for _ in range(5))

    def close(self) -> None:
        self.trials.close()

    def _pass(self, dispatches: Sequence[Dispatch] | None) -> float:
        """Milliseconds of dispatches, and of waiting for them."""
        symbols = self.trials._symbols.buffer
        recording = None if dispatches is None else self.device.record(dispatches, symbols)
        start = self.clock()
        if recording is not None:
            self.device.replay(recording)
        run_sync(self.device.read_many([(symbols, 16)]))
        spent = (self.clock() - start) * 1e3
        if recording is not None:
            self.device.discard(recording)
        return spent

    def time(self, schedule: Schedule, best: float | None) -> Time:
        """One schedule's time, closely where it may be the best."""
        start = self.clock()
        try:
            candidate = generate(self.problem, schedule, self.device.info)
            ready = run_sync(self.trials.ready(candidate, self.trials._found))
        except RejectedError:
            return Time(None, False, self.clock() - start)
        try:
            ms, rough = self._time(ready, best)
        finally:
            self.trials._free(ready.own)
        return Time(ms, rough, self.clock() - start)

    def ratios(self, schedules: Sequence[Schedule]) -> list[float]:
        """How many times as long as the first each takes: medians of `TURNS` times in turns."""
        trials, timer = self.trials, self.trials.timer
        made = [generate(self.problem, schedule, self.device.info) for schedule in schedules]
        first, *others = [run_sync(trials.ready(each, trials._found)) for each in made]
        found = [1.0]
        try:
            for ready in (first, *others):
                self._pass([ready.dispatch])
            for ready in others:
                both = ready.dispatch, first.dispatch
                found.append(statistics.median(run_sync(timer.ratio(*both)) for _ in range(TURNS)))
        finally:
            for ready in (first, *others):
                trials._free(ready.own)
        return found

    def _time(self, ready: Ready, best: float | None) -> tuple[float, bool]:
        part, share = ready.dispatch, 1.0
        if best is not None and best > PART_MS:
            part, share = partly(ready.dispatch)
        self._pass([part])  # drivers compile when a kernel is first used
        repeats = 1 if best is None or best > SMALL_MS else 16
        ms = max(1e-4, min(self._pass([part] * repeats) - self.empty for _ in range(2)))
        ms /= share * repeats
        if best is not None and ms > ROUGH * best:
            return ms, True
        return self.close_time(ready.dispatch, ms), False

    def close_time(self, dispatch: Dispatch, about: float, passes: int = 3) -> float:
        repeats = max(1, min(256, round(PASS_MS / about)))
        many = [dispatch] * repeats
        return max(1e-4, min(self._pass(many) - self.empty for _ in range(passes))) / repeats


def open_sweep(
    device: Device | Engine, problem: Problem, clock: Callable[[], float]
) -> Sweep | EngineSweep:
    """What times schedules of a problem on a device; `clock` is not what a browser is timed by."""
    if hasattr(device, "page"):
        from engine import EngineSweep

        return EngineSweep(device, problem)
    return Sweep(device, problem, clock)


def partly(dispatch: Dispatch) -> tuple[Dispatch, float]:
    """About a sixth of a dispatch's workgroups, and how much of the grid that is."""
    grid = list(dispatch.grid)
    axis = max(range(3), key=lambda j: grid[j])
    whole = grid[axis]
    grid[axis] = -(-whole // 6)
    cut = Dispatch(dispatch.pipeline, dispatch.slices, (grid[0], grid[1], grid[2]))
    return cut, grid[axis] / whole


def sweep(
    device: Device | Engine,
    table: Table,
    work: Work,
    schedules: Sequence[Schedule],
    clock: Callable[[], float],
    until: float = float("inf"),
) -> bool:
    """Add to the table what isn't in it; whether all of it was done before `until`."""
    rows = table.times.setdefault(work.key, {})
    waiting = [s for s in schedules if s not in rows]
    if not waiting:
        return True
    made = open_sweep(device, work.problem, clock)
    try:
        for schedule in waiting:
            if time.monotonic() > until:
                return False
            close = [t.ms for t in rows.values() if t.ms is not None and not t.rough]
            rows[schedule] = made.time(schedule, min(close, default=None))
    finally:
        made.close()
        table.write()
    return True


def sample(schedules: Sequence[Schedule], count: int, seed: str) -> list[Schedule]:
    """Some of them, the same every time."""
    return random.Random(seed).sample(schedules, min(count, len(schedules)))


def best_of(rows: dict[Schedule, Time], among: Iterable[Schedule]) -> tuple[Schedule, float]:
    """The fastest of the schedules that were timed closely."""
    found = [(t.ms, s) for s in among if (t := rows.get(s)) and t.ms is not None and not t.rough]
    ms, schedule = min(found, key=lambda pair: pair[0])
    return schedule, ms


def save_json(name: str, data: dict[str, Any]) -> Path:
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(data, indent=1) + "\n")
    return path
