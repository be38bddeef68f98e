"""What schedules tuned on one adapter are worth on another, and what its records save there.

`python bench/matrix.py` reads the times of `spaces.py` and prints, for the devices whose times it
has (GPU adapters and wasm engines apart, since their schedules differ):

- the matrix: how much longer the kernels of all models take with the default schedules, and with
  those that are the best on each other device, than with the device's own best;
- how many trials it takes to come within 5 % of the best of each space: in an order that is drawn
  by lot, in the space's own order, and in the order that records of another device give.

Schedules that a device wasn't timed with yet are timed first (`--measure`).
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections.abc import Sequence
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
from webrt.tune.order import Order, order, shape_of
from webrt.tune.records import Key, Record, Trial

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
    return Record(Key(name, "", work.key, ()), default, trials, shape_of(work.problem))


def trials_needed(times: dict[Schedule, float], first: Schedule, made: Order | None) -> int:
    """Trials up to the first within 5 % of the best; the default is always the first."""
    best, default = min(times.values()), times[first]
    waiting = [s for s in times if s != first]
    count = 1
    latest = default
    while latest > CLOSE * best:
        latest_schedule = waiting[0] if made is None else made.best(waiting)
        waiting.remove(latest_schedule)
        latest = times[latest_schedule]
        count += 1
        if made is not None:
            made.learn(latest_schedule, latest / default)
    return count


def by_lot(times: dict[Schedule, float], first: Schedule) -> float:
    """Trials needed on average where the order after the default is drawn by lot."""
    best = min(times.values())
    if times[first] <= CLOSE * best:
        return 1.0
    good = sum(ms <= CLOSE * best for ms in times.values())
    return 1 + len(times) / (good + 1)


def ordering(name: str, others: Sequence[str], works: Sequence[Work]) -> dict[str, Any]:
    """The trials that all problems of a device need, in each order."""
    table = table_of(name)
    told = [record_of(o, w) for o in others for w in known(o, works).values()]
    total = dict.fromkeys(("lot", "space", "learning", "records", "other_problems"), 0.0)
    mine = known(name, works)
    for key, work in mine.items():
        kept = kept_of(name, work.problem)
        times = {s: ms for s in kept if (ms := table.times[key][s].ms) is not None}
        strange = [r for r in told if r.key.problem != key]
        own, shape = Key(name, "", key, ()), shape_of(work.problem)
        total["lot"] += by_lot(times, kept[0])
        total["space"] += trials_needed(times, kept[0], None)
        total["learning"] += trials_needed(times, kept[0], Order(kept))
        total["records"] += trials_needed(times, kept[0], order(kept, own, shape, told))
        total["other_problems"] += trials_needed(times, kept[0], order(kept, own, shape, strange))
    return {"problems": len(mine), "from": list(others), "trials": total}


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
        [name, str(part["problems"]), *(f"{value:.0f}" for value in part["trials"].values())]
        for name, part in result["ordering"].items()
    ]
    print(f"trials until within {CLOSE - 1:.0%} of the best of the space, over all problems")
    header = ["device", "problems", "by lot", "space's order", "and what it learns",
              "other devices' records", "of other problems only"]  # fmt: skip
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
