"""The work of `webrt tune`, and its live view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from webrt import api
from webrt.cli import feeds as feeding
from webrt.errors import UsageError
from webrt.pack.read import read_pack
from webrt.plan.example import example_bindings
from webrt.runtime.sync import run_sync
from webrt.schedule import to_json
from webrt.tune import live
from webrt.tune.records import Records, cache_file
from webrt.tune.tuner import Progress, Tuner, TuneReport

Result = dict[str, Any]
ROWS = 12
"""Problems that the live view shows: those that take most of a run."""


def tune(
    folder: Path,
    device: str,
    threads: int | None,
    seconds: float,
    sizes: Sequence[str],
    show: Progress,
) -> Result:
    """Tune a pack and keep what was found in the user's cache."""
    if seconds <= 0:
        raise UsageError(f"--budget {seconds}: expected some seconds")
    bindings = example_bindings(read_pack(folder).plan, feeding.parse_dims(sizes))
    file = cache_file()
    records = Records.read(file)
    tuners: list[Tuner] = []
    with api.load(folder, device, threads=threads) as session:
        try:
            report = run_sync(live.tune(session, bindings, seconds, records, show, tuners.append))
        finally:
            # Another process may have written meanwhile: its records stay.
            merged = Records.read(file)
            for record in records:
                merged.add(record)
            merged.write(file)
        names = {s.id: s.name for s in session.pack.plan.symbols}
        return describe(report) | {
            "adapter": session.adapter,
            "dims": {names[name]: value for name, value in bindings.items()},
            "records": str(file),
        }


def describe(report: TuneReport) -> Result:
    """A report as `--json` prints it."""
    problems = []
    for problem in report.problems:
        shown = asdict(problem) | {
            "schedule": to_json(problem.schedule),
            "speedup": round(problem.speedup, 4),
        }
        problems.append(shown)
    return {
        "trials": report.trials,
        "seconds": round(report.seconds, 3),
        "before_ms": round(report.before_ms, 4),
        "after_ms": round(report.after_ms, 4),
        "problems": problems,
    }


def tune_text(result: Result) -> str:
    at = ", ".join(f"{name} = {value}" for name, value in result["dims"].items())
    gain = result["before_ms"] / result["after_ms"] if result["after_ms"] else 1.0
    return (
        f"{result['adapter']}{' at ' + at if at else ''}: kernels of a run took"
        f" {result['before_ms']:.2f} ms, now {result['after_ms']:.2f} ms ({gain:.2f} times faster)"
        f" after {result['trials']} trials in {result['seconds']:.0f} s"
    )


@contextmanager
def live_view() -> Iterator[Progress]:
    """A table that follows the tuner on a terminal's standard error; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda report: None
        return
    with Live(console=console, transient=True, refresh_per_second=4) as view:
        yield lambda report: view.update(_table(report))


def _table(report: TuneReport) -> Table:
    title = (
        f"{report.trials} trials in {report.seconds:.0f} s:"
        f" {report.before_ms:.2f} ms → {report.after_ms:.2f} ms"
    )
    table = Table(title=title)
    for name in ("problem", "dispatches", "tried", "default ms", "best ms", "speedup"):
        table.add_column(name, justify="left" if name == "problem" else "right")
    ranked = sorted(report.problems, key=lambda p: -p.count * p.default_ms)
    for problem in ranked[:ROWS]:
        table.add_row(
            problem.id,
            str(problem.count),
            f"{problem.trials}/{problem.space}",
            f"{problem.default_ms:.3f}",
            f"{problem.best_ms:.3f}",
            f"{problem.speedup:.2f}",
        )
    return table
