"""The work of `webrt tune`, and its live view."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from webrt import api
from webrt.cli import feeds as feeding
from webrt.cli.output import at_text
from webrt.errors import UsageError
from webrt.pack.read import read_manifest, read_pack
from webrt.plan.example import example_bindings
from webrt.runtime.sync import run_sync
from webrt.tune import probe
from webrt.tune.background import TuneProgress, Tuning
from webrt.tune.records import Records, cache_file

Result = dict[str, Any]
Show = Callable[[TuneProgress, float], None]
"""Gets how tuning stands, and the seconds that are left."""

ROWS = 12
"""Problems that the live view shows: those that take most of a run."""


def tune(
    folder: Path,
    device: str,
    threads: int | None,
    seconds: float,
    sizes: Sequence[str],
    show: Show,
) -> Result:
    """Tune a pack and keep what was found in the user's cache; Ctrl-C ends it early."""
    if seconds <= 0:
        raise UsageError(f"--budget {seconds}: expected some seconds")
    plan = read_pack(folder).plan
    bindings = example_bindings(plan, feeding.parse_dims(sizes))
    file = cache_file()
    records = Records.read(file)
    begin = time.monotonic()

    def heard(report: TuneProgress) -> None:
        show(report, max(0.0, seconds - (time.monotonic() - begin)))

    with api.load(folder, device, threads=threads) as session:
        if session.device_info.kind == "webgpu":
            run_sync(probe.cached(session.device, probe.cache_file()))
        tuning = Tuning(
            session, read_manifest(folder), bindings, seconds, records, file=file, progress=heard
        )
        interrupted = False
        try:
            tuning.run()
        except KeyboardInterrupt:  # what was found until now is kept already
            interrupted = True
            tuning.cancel()
        symbols = {s.id: s for s in plan.symbols}
        return describe(tuning.report, time.monotonic() - begin) | {
            "adapter": session.adapter,
            "dims": {symbols[i].name: symbols[i].size(value) for i, value in bindings.items()},
            "records": str(file),
            "interrupted": interrupted,
        }


def describe(report: TuneProgress | None, seconds: float) -> Result:
    """A report as `--json` prints it."""
    report = report or TuneProgress(0, 0.0, 0.0, ())
    return {
        "trials": report.trials,
        "seconds": round(seconds, 3),
        "before_ms": round(report.before_ms, 4),
        "after_ms": round(report.after_ms, 4),
        "problems": [{**p, "speedup": round(p["speedup"], 4)} for p in report.problems],
    }


def tune_text(result: Result) -> str:
    at = at_text(result["dims"])
    gain = result["before_ms"] / result["after_ms"] if result["after_ms"] else 1.0
    return (
        f"{result['adapter']}{at}: kernels of a run took"
        f" {result['before_ms']:.2f} ms, now {result['after_ms']:.2f} ms ({gain:.2f} times faster)"
        f" after {result['trials']} trials in {result['seconds']:.0f} s"
        f"{', interrupted; what was found is kept' if result['interrupted'] else ''}"
    )


@contextmanager
def live_view(console: Console | None = None) -> Iterator[Show]:
    """A table that follows the tuner on a terminal's standard error; nothing elsewhere."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda report, left: None
        return
    with Live(console=console, transient=True, refresh_per_second=4) as view:
        yield lambda report, left: view.update(_table(report, left))


def _table(report: TuneProgress, left: float) -> Table:
    gain = report.before_ms / report.after_ms if report.after_ms else 1.0
    title = (
        f"{report.trials} trials, {left:.0f} s left:"
        f" {report.before_ms:.2f} ms → {report.after_ms:.2f} ms a run ({gain:.2f} ×)"
    )
    table = Table(title=title)
    for name in ("problem", "dispatches", "trials", "bad", "default ms", "best ms", "speedup"):
        table.add_column(name, justify="left" if name == "problem" else "right")
    ranked = sorted(report.problems, key=_share)
    for problem in ranked[:ROWS]:
        table.add_row(*_row(problem))
    if len(ranked) > ROWS:
        table.caption = f"and {len(ranked) - ROWS} smaller ones"
    return table


def _share(problem: Mapping[str, Any]) -> float:
    return -float(problem["count"] * problem["default_ms"])


def _row(problem: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        problem["id"],
        str(problem["count"]),
        f"{problem['trials']}/{problem['space']}",
        str(problem["rejected"] or ""),
        f"{problem['default_ms']:.3f}",
        f"{problem['best_ms']:.3f}",
        f"{problem['speedup']:.2f}",
    )
