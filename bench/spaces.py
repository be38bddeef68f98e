"""How good the spaces are: all of each space, what 30 s of tuning choose, and a far larger sweep.

`python bench/spaces.py` does it all for lavapipe, SwiftShader and wasm (natively), and the problems
of MiniLM-L6, RoBERTa-base and the T5-small encoder at length 128. Every part can be stopped and
goes on where it was: times are kept in `results/sweep-DEVICE.json`, what tuning chose in
`results/tuned-DEVICE.json`, the comparison in `results/spaces.json`.

    python bench/spaces.py sweep DEVICE [--large N]   time every space, and N more a problem
    python bench/spaces.py tune DEVICE                30 s of tuning a model, from no records
    python bench/spaces.py report                     compare

A device is one of `sweep.DEVICES`; `gpu` is the machine's own (`--devices gpu --clock wall`).
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import DEFAULT_DIR, build
from results import table as show_table
from sweep import (
    CLOCKS,
    DEVICES,
    RESULTS,
    Sweep,
    Table,
    Time,
    Work,
    best_of,
    bindings,
    open_device,
    open_sweep,
    problems,
    sample,
    save_json,
    sweep,
)

import webrt
from webrt.kernel.problem import specialise
from webrt.pack.read import read_pack
from webrt.runtime.sync import run_sync
from webrt.schedule import Schedule, explain, from_json, to_json
from webrt.tune.candidate import limits_of
from webrt.tune.probe import probe
from webrt.tune.probe import to_json as probe_to_json
from webrt.tune.records import Records, problem_key
from webrt.tune.tuner import Tuner

if TYPE_CHECKING:
    from engine import EngineSweep

MODELS = ("minilm-l6", "t5-encoder", "roberta-base")
LENGTH = 128
WITHIN_SPACE, WITHIN_LARGE = 1.05, 1.10
"""What is asked of 30 s of tuning, and of the spaces."""


def packs(folder: Path, names: Sequence[str]) -> list[Path]:
    """The packs of these models beside the models; made where they aren't there."""
    found = []
    for name in names:
        target = folder / f"{name}.pack"
        if not (target / "manifest.json").exists():
            webrt.pack(build(name, folder), target)
        found.append(target)
    return found


def table_of(device: str) -> Table:
    return Table(RESULTS / f"sweep-{device}.json")


def run_sweep(name: str, folders: Sequence[Path], large: int, clock: str, seconds: float) -> None:
    """Time what isn't in the table yet; at most for so many seconds."""
    device = open_device(name)
    table = table_of(name)
    table.device = device.info.adapter
    until = time.monotonic() + seconds
    for work in problems(folders, LENGTH):
        explored = explain(work.problem, limits_of(device.info))
        more = sample([s for s, _ in explored.left], large, work.key)
        done = sweep(device, table, work, [*explored.kept, *more], CLOCKS[clock], until)
        rows = table.times[work.key]
        _, best = best_of(rows, rows)
        print(f"{name} {work.key[:20]} {len(rows)} schedules, best {best:.3f} ms", flush=True)
        if not done:
            return
    device.close()


def run_tune(name: str, folders: Sequence[Path], budget: float, clock: str) -> None:
    """Tune each model from no records; where the clock is the CPU's, so is the budget."""
    device = open_device(name)
    counted = CLOCKS[clock]
    start = counted()
    probed = None if device.info.kind == "wasm" else run_sync(probe(device, counted))
    spent = counted() - start
    path = RESULTS / f"tuned-{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"models": {}}
    found |= {"device": device.info.adapter, "clock": clock, "budget": budget}
    found["probe"] = None if probed is None else probe_to_json(probed) | {"seconds": spent}
    rates = None if probed is None else probed.rates
    for folder in folders:
        plan = read_pack(folder).plan
        bound = bindings(plan, LENGTH)
        tuner = Tuner(device, plan, bound, Records(), counted, rates=rates, stopwatch=counted)
        report = run_sync(tuner.run(budget))
        chosen = {}
        for problem in report.problems:
            symbolic = plan.problems[int(problem.id.rpartition("_")[2])]
            chosen[problem_key(specialise(symbolic, bound))] = to_json(problem.schedule)
        found["models"][folder.stem] = {
            "trials": report.trials, "seconds": report.seconds, "chosen": chosen,
        }  # fmt: skip
        print(f"{name} {folder.stem}: {report.trials} trials in {report.seconds:.0f} s", flush=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
    device.close()


def chosen_by_key(found: dict[str, Any]) -> dict[str, dict[str, Schedule]]:
    """What tuning chose: by problem, then by model."""
    result: dict[str, dict[str, Schedule]] = {}
    for model, part in found["models"].items():
        for key, schedule in part["chosen"].items():
            result.setdefault(key, {})[model] = from_json(schedule)
    return result


def run_finals(name: str, folders: Sequence[Path], clock: str) -> None:
    """Time what the report tells of beside each other."""
    device = open_device(name)
    table = table_of(name)
    limits = limits_of(device.info)
    path = RESULTS / f"tuned-{name}.json"
    tuned = chosen_by_key(json.loads(path.read_text())) if path.exists() else {}
    for work in problems(folders, LENGTH):
        rows = table.times.get(work.key, {})
        if rows:
            made = open_sweep(device, work.problem, CLOCKS[clock])
            picked = list(tuned.get(work.key, {}).values())
            try:
                found = settle(made, rows, explain(work.problem, limits).kept, picked)
            finally:
                made.close()
            table.finals[work.key] = found
            table.write()
            default, least = next(iter(found.values())), min(found.values())
            print(f"{name} {work.key[:20]} default {default:.3f} ms, best {least:.3f}", flush=True)
    device.close()


LEADING = 6
"""So many of a table's fastest are timed once more: luck wins sweeps, and moments differ."""


def settle(
    made: Sweep | EngineSweep, rows: dict[Schedule, Time], space: Sequence[Schedule],
    picked: Sequence[Schedule],
) -> dict[Schedule, float]:  # fmt: skip
    """Milliseconds of the default, of `picked`, and of the best in the space and in all rows.

    The leading ones are timed beside the default; who wins there is timed anew, or luck would
    have chosen once more.
    """
    default = space[0]

    def leading(among: Iterable[Schedule]) -> list[Schedule]:
        timed = [(t.ms, s) for s in among if (t := rows.get(s)) and t.ms is not None]
        return [s for _, s in sorted(timed, key=lambda pair: pair[0])[:LEADING]]

    group = list(dict.fromkeys([default, *picked, *leading(space), *leading(rows)]))
    ratios = dict(zip(group, made.ratios(group), strict=True))
    winners = [min((s for s in group if s in among), key=ratios.__getitem__)
               for among in (set(space), ratios)]  # fmt: skip
    last = list(dict.fromkeys([default, *picked, *winners]))
    known = rows[default].ms or math.nan
    return {s: known * ratio for s, ratio in zip(last, made.ratios(last), strict=True)}


def compare(name: str, works: Sequence[Work]) -> dict[str, Any]:
    """A device's totals by model: default, tuned, best of the spaces, best of the large sweep."""
    table = table_of(name)
    path = RESULTS / f"tuned-{name}.json"
    tuned = json.loads(path.read_text()) if path.exists() else {"models": {}}
    chosen = chosen_by_key(tuned)
    limits = limits_from(name)
    models: dict[str, Any] = {}
    for model in MODELS:
        totals = dict.fromkeys(("default", "tuned", "space", "large"), 0.0)
        counts = {"problems": 0, "missing": 0, "space": 0, "large": 0}
        for work in works:
            times = work.counts.get(f"{model}.pack", 0)
            if not times:
                continue
            rows, finals = table.times.get(work.key, {}), table.finals.get(work.key, {})
            space = explain(work.problem, limits).kept
            if not finals or any(s not in rows for s in space):
                counts["missing"] += 1
                continue
            counts["problems"] += 1
            counts["space"] += len(space)
            counts["large"] += len(rows)
            picked = chosen.get(work.key, {}).get(model)
            totals["default"] += times * finals[space[0]]
            totals["space"] += times * min(ms for s, ms in finals.items() if s in space)
            totals["large"] += times * min(finals.values())
            totals["tuned"] += times * (finals.get(picked, math.nan) if picked else math.nan)
        if counts["large"] <= counts["space"]:  # no larger sweep was made
            totals["large"] = math.nan
        ms = {name: None if math.isnan(value) else value for name, value in totals.items()}
        models[model] = {"ms": ms, **counts}
    return {"device": table.device, "models": models}


def _ms(ms: float | None) -> float:
    return math.nan if ms is None else ms


def limits_from(name: str) -> Any:
    """What prunes a device's spaces: of the bench's software adapters known without opening one."""
    from webrt.schedule import CpuLimits, Limits

    if name.startswith(("wasm", "chromium")):
        return CpuLimits()
    if name == "gpu":
        return limits_of(open_device(name).info)
    return Limits({"swiftshader": 256, "lavapipe": 1024}[name], 32768, "cpu")


def report(devices: Sequence[str], works: Sequence[Work]) -> None:
    every = {name: compare(name, works) for name in devices if table_of(name).times}
    rows = []
    for name, found in every.items():
        for model, part in found["models"].items():
            ms = part["ms"]
            if not part["problems"]:
                continue
            tuned, large = (_ms(ms[name]) for name in ("tuned", "large"))
            rows.append(
                [
                    name, model, f"{part['problems']}/{part['problems'] + part['missing']}",
                    f"{ms['default']:.1f}", f"{tuned:.1f}", f"{ms['space']:.1f}",
                    f"{large:.1f}", str(part["large"]),
                    f"{tuned / ms['space']:.3f}", f"{ms['space'] / large:.3f}",
                ]
            )  # fmt: skip
    header = [
        "device", "model", "problems", "default ms", "tuned", "space", "large", "schedules",
        f"tuned/space (≤ {WITHIN_SPACE})", f"space/large (≤ {WITHIN_LARGE})",
    ]  # fmt: skip
    print(show_table(header, rows))
    print(f"written to {save_json('spaces', {'length': LENGTH, 'devices': every})}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", nargs="?", default="all",
                        choices=["all", "sweep", "tune", "finals", "report"])  # fmt: skip
    parser.add_argument("device", nargs="?", choices=DEVICES)
    parser.add_argument("--devices", nargs="+", default=["lavapipe", "swiftshader", "wasm"])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--models-dir", type=Path, default=DEFAULT_DIR)
    parser.add_argument("--large", type=int, default=0, help="More schedules a problem.")
    parser.add_argument("--budget", type=float, default=30.0)
    parser.add_argument("--clock", choices=list(CLOCKS), default="cpu")
    parser.add_argument("--seconds", type=float, default=math.inf, help="Of a sweep, at most.")
    asked = parser.parse_args()
    folders = packs(asked.models_dir, asked.models)
    if asked.part == "report":
        report(asked.devices, problems(folders, LENGTH))
    elif asked.part == "sweep":
        run_sweep(asked.device, folders, asked.large, asked.clock, asked.seconds)
    elif asked.part == "tune":
        run_tune(asked.device, folders, asked.budget, asked.clock)
    elif asked.part == "finals":
        run_finals(asked.device, folders, asked.clock)
    else:
        # A process a device: its driver is chosen before the first adapter is looked for.
        shared = [a for a in sys.argv[1:] if a != "all"]
        for name in asked.devices:
            for part in ("sweep", "tune", "finals"):
                subprocess.run([sys.executable, __file__, part, name, *shared], check=True)
        subprocess.run([sys.executable, __file__, "report", *shared], check=True)


if __name__ == "__main__":
    main()
