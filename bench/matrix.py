"""What schedules tuned on one adapter are worth on another, and what its records save there.

`python bench/matrix.py` reads the times of `spaces.py` and prints, for the devices whose times it
has (GPU adapters and wasm engines apart, since their schedules differ):

- the matrix: how much longer the kernels of all models take with the default schedules, and with
  those that are the best on each other device, than with the device's own best;
- how many trials beyond the defaults' it takes to bring each model to within 5 % of its best: drawn
  by lot, in the space's own order (as the tuner goes on with it, from problem to problem), with the
  records of the other devices, and at least: had every trial been of a problem's best.

Schedules that a device wasn't timed with yet are timed first (`--measure`).
"""

from __future__ import annotations

import argparse
import math
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from models import DEFAULT_DIR
from results import table as show_table
from spaces import LENGTH, MODELS, limits_from, packs
from spaces import table_of as read_table
from sweep import CLOCKS, Table, Work, best_of, open_device, problems, save_json, sweep

from webrt.kernel.problem import Problem
from webrt.schedule import Schedule, explain, space
from webrt.tune.order import LEAST_WEIGHT, Order, order, shape_of, weight_of
from webrt.tune.records import Key, Record, Trial
from webrt.tune.tuner import LEAST_GAIN

GROUPS = (("lavapipe", "swiftshader", "gpu"), ("wasm", "wasm-plain", "chromium"))
CLOSE = 1.05


@cache
def table_of(name: str) -> Table:
    return read_table(name)


@cache
def kept_of(name: str, problem: Problem) -> tuple[Schedule, ...]:
    """The problem's space on a device."""
    return space(problem, limits_from(name))


def known(name: str, works: Sequence[Work]) -> dict[str, Work]:
    """The problems whose whole space the device was timed with."""
    table = table_of(name)
    return {
        w.key: w
        for w in works
        if all(s in table.times.get(w.key, {}) for s in kept_of(name, w.problem))
    }


def measure(name: str, group: Sequence[str], works: Sequence[Work], clock: str) -> None:
    """Time a device with the best schedules of the others, where they are legal there."""
    device = open_device(name)
    table, limits = table_of(name), limits_from(name)
    mine = known(name, works)
    for other in group:
        if other == name:
            continue
        theirs = table_of(other)
        for key, work in known(other, works).items():
            best, _ = best_of(theirs.times[key], kept_of(other, work.problem))
            if key in mine and explain(work.problem, limits).allows(best):
                sweep(device, table, work, [best], CLOCKS[clock])
    device.close()


def matrix(group: Sequence[str], works: Sequence[Work]) -> dict[str, Any]:
    """Total times with the schedules of each origin, over those with the device's own best."""
    rows: dict[str, Any] = {}
    for name in group:
        table, mine = table_of(name), known(name, works)
        ratios: dict[str, Any] = {}
        for origin in ("default", *group):
            theirs = None if origin == "default" else table_of(origin)
            own = total = 0.0
            count = 0
            for key, work in mine.items():
                found = table.times[key]
                kept = kept_of(name, work.problem)
                picked = kept[0] if theirs is None else _best(theirs, origin, work)
                ms = found[picked].ms if picked in found else None
                if ms is None:
                    continue
                times = sum(work.counts.values())
                own += times * best_of(found, kept)[1]
                total += times * ms
                count += 1
            ratios[origin] = {"ratio": total / own if own else math.nan, "problems": count}
        rows[name] = ratios
    return rows


def _best(table: Table, name: str, work: Work) -> Schedule | None:
    kept = kept_of(name, work.problem)
    rows = table.times.get(work.key, {})
    return best_of(rows, kept)[0] if all(s in rows for s in kept) else None


def record_of(name: str, work: Work) -> Record:
    """What a full tuning of a problem on a device would have left behind."""
    rows, kept = table_of(name).times[work.key], kept_of(name, work.problem)
    trials = tuple(Trial(s, rows[s].ms) for s in kept)
    default = rows[kept[0]].ms
    assert default is not None
    return Record(Key(named(name), "", work.key, ()), default, trials, shape_of(work.problem))


def named(name: str) -> str:
    """A device as records name it, as far as that orders anything."""
    kinds = {"wasm": "wasm/wasmtime", "wasm-plain": "wasm/wasmtime", "chromium": "wasm/"}
    return f"{kinds.get(name, 'webgpu')}/{name}"


@dataclass
class Play:
    """A problem in a tuning that is played from recorded times."""

    work: Work
    key: Key
    count: int
    times: dict[Schedule, float]
    waiting: list[Schedule]
    order: Order
    best: float
    idle: int = 0

    @property
    def default(self) -> float:
        return next(iter(self.times.values()))

    @property
    def promise(self) -> float:
        """As the tuner has it."""
        if not self.waiting:
            return 0.0
        ratio = self.best / self.default
        return self.best * self.count * self.order.promise(self.waiting, ratio, self.idle)


def play(name: str, model: str, works: Sequence[Work], told: Sequence[Record]) -> list[Play]:
    """The model's problems as tuning begins, defaults measured."""
    plays = []
    for work in works:
        rows, kept = table_of(name).times[work.key], kept_of(name, work.problem)
        times = {s: ms for s in kept if (ms := rows[s].ms) is not None}
        key, shape = Key(named(name), "", work.key, ()), shape_of(work.problem)
        default = rows[kept[0]].ms
        assert default is not None
        made = order(kept, key, shape, told)
        waiting = [s for s in times if s != kept[0]]
        count = work.counts[f"{model}.pack"]
        plays.append(Play(work, key, count, times, waiting, made, default))
    for one in plays:
        teach(plays, one, kept_of(name, one.work.problem)[0])
    return plays


def teach(plays: Sequence[Play], one: Play, schedule: Schedule) -> None:
    """What a trial says of this problem and of the others."""
    shape = shape_of(one.work.problem)
    record = Record(one.key, one.default, (Trial(schedule, one.times[schedule]),), shape)
    for other in plays:
        weight = weight_of(record, other.key, shape_of(other.work.problem))
        if weight >= LEAST_WEIGHT:
            other.order.learn(schedule, one.times[schedule] / one.default, weight)


def trials_needed(plays: list[Play], draw: random.Random | None = None) -> int:
    """Trials beyond the defaults' until the model is close to its best, as the tuner goes."""
    goal = CLOSE * sum(p.count * min(p.times.values()) for p in plays)
    count = 0
    while sum(p.count * p.best for p in plays) > goal:
        if draw is None:
            one = max(plays, key=lambda p: p.promise)
            schedule = one.order.best(one.waiting)
        else:
            one = max(plays, key=lambda p: p.best * p.count / (1 + p.idle) if p.waiting else 0.0)
            schedule = draw.choice(one.waiting)
        one.waiting.remove(schedule)
        ms = one.times[schedule]
        one.idle = 0 if ms < one.best * (1 - LEAST_GAIN) else one.idle + 1
        one.best = min(one.best, ms)
        teach(plays, one, schedule)
        count += 1
    return count


def least_trials(plays: Sequence[Play]) -> int:
    """The trials that who knows every best needs."""
    total = sum(p.count * p.default for p in plays)
    goal = CLOSE * sum(p.count * min(p.times.values()) for p in plays)
    gains = sorted((p.count * (p.default - min(p.times.values())) for p in plays), reverse=True)
    count = 0
    while total > goal:
        total -= gains[count]
        count += 1
    return count


DRAWS = 10
HOW = ("problems", "lot", "space", "records", "least")


def ordering(name: str, others: Sequence[str], works: Sequence[Work]) -> dict[str, Any]:
    """The trials that the models whose spaces the device was timed with need, in each order."""
    told = [record_of(o, w) for o in others for w in known(o, works).values()]
    mine = known(name, works)
    models: dict[str, Any] = {}
    for model in MODELS:
        here = [w for w in works if w.counts.get(f"{model}.pack")]
        if not here or any(w.key not in mine for w in here):
            continue
        draws = [trials_needed(play(name, model, here, []), random.Random(j)) for j in range(DRAWS)]
        models[model] = {
            "problems": len(here),
            "lot": sum(draws) / DRAWS,
            "space": trials_needed(play(name, model, here, [])),
            "records": trials_needed(play(name, model, here, told)),
            "least": least_trials(play(name, model, here, [])),
        }
    return {"from": list(others), "models": models}


def report(works: Sequence[Work]) -> None:
    result: dict[str, Any] = {"matrix": {}, "ordering": {}}
    for group in GROUPS:
        devices = [name for name in group if table_of(name).times]
        if not devices:
            continue
        found = matrix(devices, works)
        result["matrix"] |= found
        print("time with the schedules of … over that with the device's own best (problems)")
        rows = [
            [name, *(f"{r['ratio']:.2f} ({r['problems']})" for r in ratios.values())]
            for name, ratios in found.items()
        ]
        print(show_table(["on", "default", *devices], rows) + "\n")
        for name in devices:
            others = [other for other in devices if other != name]
            if others:
                result["ordering"][name] = ordering(name, others, works)
    rows = [
        [name, model, *(f"{part[how]:.0f}" for how in HOW)]
        for name, found in result["ordering"].items()
        for model, part in found["models"].items()
    ]
    print(f"trials beyond the defaults' until a model is within {CLOSE - 1:.0%} of its best")
    header = ["device", "model", "problems", "by lot", "space's order", "others' records", "least"]
    print(show_table(header, rows))
    print(f"written to {save_json('matrix', {'length': LENGTH, **result})}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure", action="store_true", help="Time what is missing first.")
    parser.add_argument("--device", help="Measure this one only, and print nothing.")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--models-dir", type=Path, default=DEFAULT_DIR)
    parser.add_argument("--clock", choices=list(CLOCKS), default="cpu")
    asked = parser.parse_args()
    works = problems(packs(asked.models_dir, asked.models), LENGTH)
    if asked.device:
        (group,) = (g for g in GROUPS if asked.device in g)
        measure(asked.device, [n for n in group if table_of(n).times], works, asked.clock)
        return
    if asked.measure:
        for name in (n for group in GROUPS for n in group if table_of(n).times):
            command = [sys.executable, __file__, "--device", name, *sys.argv[1:]]
            subprocess.run([c for c in command if c != "--measure"], check=True)
    report(works)


if __name__ == "__main__":
    main()
