"""`webrt bench --report`: one self-contained page of where a run's time goes, and of its tuning."""

from __future__ import annotations

import html
import io
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webrt.cli.output import at_text
from webrt.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from webrt.runtime.profile import KernelTime
    from webrt.tune.records import Record

BARS = 16
"""Kernels that have a bar of their own; the table shows all."""

_FAMILIES = {"Contract": "C0", "Attention": "C1", "Reduce": "C2", "Map": "C3", "Fold": "C4"}


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What a device was seen to do at most (`tune/probe.py`)."""

    gflops: float
    gbs: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What a report shows: `webrt bench`'s result, the kernels, the device's ceilings, records.

    `records` pairs the problems of the plan that were tuned at these dims with what was tried.
    """

    title: str
    result: Mapping[str, Any]
    kernels: Sequence[KernelTime]
    ceilings: Ceilings
    records: Sequence[tuple[str, Record]]


def require_matplotlib() -> None:
    """Raise UsageError where the plots can't be drawn: before anything is measured for them."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"--report draws with matplotlib, which can't be loaded ({error}):"
            " pip install 'webrt[report]'"
        ) from error


def write(path: Path, figures: Figures) -> None:
    """Write the page; raises UsageError where the file can't be written."""
    try:
        path.write_text(render(figures), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: can't be written: {error.strerror or error}") from error


def render(figures: Figures) -> str:
    """The page: no script, nothing that is loaded from elsewhere."""
    sections = [
        ("Where the time goes", _svg(_shares(figures.kernels))),
        ("Roofline", _svg(_roofline(figures.kernels, figures.ceilings)) + _roofline_text(figures)),
        ("Kernels", _table(figures.kernels, figures.ceilings)),
        ("Tuning", _tuning(figures.records)),
    ]
    body = "\n".join(f"<h2>{title}</h2>\n{content}" for title, content in sections)
    title = html.escape(figures.title)
    return _PAGE.format(title=title, summary=_summary(figures.result), body=body)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1a1a; background: #fff }}
svg {{ max-width: 100%; height: auto }}
table {{ border-collapse: collapse; font-size: 13px; width: 100% }}
th, td {{ padding: .2rem .5rem; text-align: right; border-bottom: 1px solid #ddd }}
th:first-child, td:first-child, .text {{ text-align: left }}
td.text {{ overflow-wrap: anywhere }}
p.note {{ color: #555 }}
</style>
</head>
<body>
<h1>{title}</h1>
{summary}
{body}
</body>
</html>
"""


def _summary(result: Mapping[str, Any]) -> str:
    at = at_text(result["dims"])
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    parts = [
        f"on {result['adapter']}{at}",
        f"load {result['load_ms']:.0f} ms",
        f"first run {result['first_run_ms']:.1f} ms",
        f"median {result['median_ms']:.2f} ms, 90th percentile {result['p90_ms']:.2f} ms"
        f" over {result['runs']} runs",
        made,
    ]
    return f"<p>{html.escape('; '.join(parts))}.</p>"


def _figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True, alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


_numbers = itertools.count()


def _svg(figure: Figure) -> str:
    """A figure as an element of the page; ids of several in one page must differ."""
    import matplotlib

    buffer = io.StringIO()
    salt = f"webrt {next(_numbers)}"
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    drawn = text[text.index("<svg") :]
    # What the library says of itself is metadata that names other sites.
    return re.sub(r"\s*<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)


def _shares(kernels: Sequence[KernelTime]) -> Figure:
    """A bar a kernel, longest first."""
    shown = list(kernels[:BARS])
    figure, axes = _figure(1.0 + 0.32 * max(len(shown), 1))
    labels = [f"{k.name} × {k.count}" for k in shown]
    whole = sum(k.total_ms for k in kernels) or 1.0
    bars = axes.barh(
        labels, [k.total_ms for k in shown], color=[_FAMILIES.get(k.family, "C4") for k in shown]
    )
    axes.bar_label(bars, [f" {100 * k.total_ms / whole:.1f} %" for k in shown], fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("milliseconds of a run")
    return figure


def roofs(kernels: Sequence[KernelTime], ceilings: Ceilings) -> tuple[float, float]:
    """GFLOP/s and GB/s: the measured ceilings, or what a kernel reached beyond them."""
    return (
        max([ceilings.gflops, *(k.gflops for k in kernels)]),
        max([ceilings.gbs, *(k.gbs for k in kernels if k.intensity < 1)]),
    )


def _roofline(kernels: Sequence[KernelTime], ceilings: Ceilings) -> Figure:
    """GFLOP/s over operations a byte, beneath what memory and the arithmetic units allow."""
    figure, axes = _figure(5.0)
    peak, bandwidth = roofs(kernels, ceilings)
    counted = [k for k in kernels if k.operations]
    found = [k.intensity for k in counted]
    left, right = min([0.1, *found]) / 2, max([100.0, *found]) * 2
    ridge = peak / bandwidth
    axes.loglog(
        [left, ridge, right], [left * bandwidth, peak, peak], color="black", linewidth=1.2,
        label=f"{peak:.1f} GFLOP/s, {bandwidth:.1f} GB/s",
    )  # fmt: skip
    for family, color in _FAMILIES.items():
        some = [k for k in counted if k.family == family]
        if some:
            sizes = [20 + 400 * k.total_ms / sum(c.total_ms for c in counted) for k in some]
            axes.scatter(
                [k.intensity for k in some], [k.gflops for k in some], s=sizes, color=color,
                alpha=0.7, label=family,
            )  # fmt: skip
    for kernel in counted[:BARS]:
        axes.annotate(
            kernel.name, (kernel.intensity, kernel.gflops), textcoords="offset points",
            xytext=(5, 4), fontsize=8,
        )  # fmt: skip
    axes.set_xlabel("operations a byte")
    axes.set_ylabel("GFLOP/s")
    axes.legend(loc="lower right", fontsize=9)
    return figure


def _roofline_text(figures: Figures) -> str:
    ceilings = figures.ceilings
    return (
        '<p class="note">Probed on this device with generated kernels:'
        f" {ceilings.gflops:.1f} GFLOP/s of a small product, {ceilings.gbs:.1f} GB/s of a copy;"
        " where a kernel is beyond, it makes the roof. A kernel's bytes are what must move: caches"
        " may let it exceed memory's roof. Areas are shares of the run.</p>"
    )


def _table(kernels: Sequence[KernelTime], ceilings: Ceilings) -> str:
    whole = sum(k.total_ms for k in kernels) or 1.0
    peak, bandwidth = roofs(kernels, ceilings)
    heads = ("kernel", "dispatches", "ms each", "ms", "share", "GFLOP/s", "GB/s", "of its roof")
    rows = []
    for k in kernels:
        if k.operations:
            part = k.gflops / min(peak, k.intensity * bandwidth)
        else:
            part = k.gbs / bandwidth
        figures = (
            f"{k.ms:.3f}", f"{k.total_ms:.2f}", f"{100 * k.total_ms / whole:.1f} %",
            f"{k.gflops:.2f}", f"{k.gbs:.2f}", f"{100 * part:.0f} %",
        )  # fmt: skip
        rows.append((k.name, k.count, *figures, show_schedule(k.schedule), k.node))
    head = "".join(f"<th>{name}</th>" for name in heads)
    head += '<th class="text">schedule</th><th class="text">node</th>'
    lines = [f"<tr>{head}</tr>"]
    for row in rows:
        cells = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row[:-2])
        cells += "".join(f'<td class="text">{html.escape(str(cell))}</td>' for cell in row[-2:])
        lines.append(f"<tr>{cells}</tr>")
    return f"<table>\n{chr(10).join(lines)}\n</table>"


def show_schedule(schedule: Mapping[str, object]) -> str:
    """A schedule on one line: what isn't zero or off."""
    fields = [f"{name} {value}" for name, value in schedule.items() if name != "family" and value]
    return ", ".join(fields)


def _tuning(records: Sequence[tuple[str, Record]]) -> str:
    """The best time so far, over the default's, a line a problem: as tuning went on."""
    found = [record for _, record in records if len(record.trials) > 1]
    timed = all(trial.at is not None for record in found for trial in record.trials)
    if not found:
        return (
            '<p class="note">Nothing was tuned on this device at this shape:'
            " <code>webrt tune</code> does that.</p>"
        )
    figure, axes = _figure(4.5)
    for name, record in [(n, r) for n, r in records if len(r.trials) > 1][:10]:
        axes.step(*progress_of(record, timed), where="post", label=name)
    axes.set_xlabel("seconds of tuning" if timed else "trials")
    axes.set_ylabel("best time so far / default's")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, ncols=2)
    bad = sum(t.ms is None for _, r in records for t in r.trials)
    tried = sum(len(r.trials) for _, r in records)
    return _svg(figure) + f'<p class="note">{tried} trials, {bad} of them rejected.</p>'


def progress_of(record: Record, timed: bool) -> tuple[list[float], list[float]]:
    """When each trial ended, or its number; the best time so far as a share of the default's."""
    best = 1.0
    curve = []
    for trial in record.trials:
        if trial.ms is not None:
            best = min(best, trial.ms / record.default_ms)
        curve.append(best)
    numbers = [float(j + 1) for j in range(len(curve))]
    return [t.at or 0.0 for t in record.trials] if timed else numbers, curve
