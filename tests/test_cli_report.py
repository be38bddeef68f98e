"""`webrt bench --kernels` and `--report`; the live view of `webrt tune`, and Ctrl-C in it."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from webrt.cli import report, tuning
from webrt.cli.main import run_app
from webrt.cli.report import Ceilings
from webrt.runtime.profile import KernelTime
from webrt.schedule.contract import ContractSchedule
from webrt.tune.background import TuneProgress
from webrt.tune.records import Key, Record, Records, Trial, cache_file

CPU = ("--device", "wasm", "--threads", "1")


pytestmark = pytest.mark.usefixtures("own_cache")


def kernel(name: str, ms: float, operations: int, size: int) -> KernelTime:
    schedule = {"family": "contract", "rows": 8, "lanes_k": 0, "flat": False}
    return KernelTime(
        number=0, name=name, family="Contract", node="<script>node</script>", problem="Contract",
        schedule=schedule, tuned=False, count=2, ms=ms, operations=operations, bytes=size,
    )  # fmt: skip


KERNELS = (kernel("contract_0", 2.0, 8_000_000, 1_000_000), kernel("map_1", 1.0, 0, 2_000_000))
RESULT: dict[str, Any] = {
    "adapter": "a & b", "dims": {"rows": 2}, "load_ms": 1.0, "first_run_ms": 2.0,
    "median_ms": 3.0, "p90_ms": 4.0, "runs": 5,
}  # fmt: skip


def record(*milliseconds: float | None) -> Record:
    schedule = ContractSchedule(8, 8, 4, 8)
    trials = tuple(
        Trial(replace(schedule, lanes_m=j + 1), ms, None if ms else "wrong")
        for j, ms in enumerate(milliseconds)
    )
    return Record(Key("device", "0.1", "contract:1", ()), 2.0, trials)


class _Parts(HTMLParser):
    """What a page refers to, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.places: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        wanted = ("src", "href", "xlink:href", "data", "action")
        self.places += [value for name, value in attrs if name in wanted and value]


def test_a_report_is_one_page_that_loads_nothing() -> None:
    records = [("contract_0", record(2.0, None, 1.0))]
    figures = report.Figures("a<b", RESULT, KERNELS, Ceilings(10.0, 5.0), records)
    page = report.render(figures)
    parts = _Parts(page)
    assert not {"script", "link", "img", "iframe"} & set(parts.tags)
    assert all(place.startswith("#") for place in parts.places)
    assert "url(http" not in page
    assert "@import" not in page
    assert "a&lt;b" in page
    assert "a &amp; b" in page
    assert "<script>" not in page
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 3
    referred: set[str] = set()
    for drawing in drawings:
        ElementTree.fromstring(drawing)
        names = set(re.findall(r"""url\(#([^)]*)\)|href="#([^"]*)\"""", drawing))
        found = {first or second for first, second in names}
        assert found
        assert not found & referred  # what one drawing refers to isn't another's
        referred |= found
    assert "3 trials, 1 of them rejected" in page
    assert "rows 8<" in page  # what is off isn't shown


def test_progress_never_grows_and_counts_bad_trials() -> None:
    found = record(2.0, 3.0, None, 1.0, 1.5)
    numbers, shares = report.progress_of(found, False)
    assert numbers == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert shares == [1.0, 1.0, 1.0, 0.5, 0.5]
    timed = tuple(replace(t, at=0.5 * j) for j, t in enumerate(found.trials))
    assert report.progress_of(replace(found, trials=timed), True)[0] == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_a_kernel_beyond_a_ceiling_raises_the_roof() -> None:
    assert report.roofs(KERNELS, Ceilings(1.0, 0.5)) == (4.0, 2.0)
    assert report.roofs(KERNELS, Ceilings(10.0, 5.0)) == (10.0, 5.0)


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run_app([*arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_bench_reports(tiny_pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    sizes = ("--dim", "rows=2", "--dim", "time=3")
    result = output_of(
        capsys,
        "bench",
        str(tiny_pack),
        *CPU,
        "--runs",
        "1",
        *sizes,
        "--report",
        str(page),
        "--json",
    )
    assert result["report"] == str(page)
    assert sum(k["share"] for k in result["kernels"]) == pytest.approx(1, abs=1e-4)
    assert min(result["ceilings"].values()) > 0
    text = page.read_text()
    for found in result["kernels"]:
        assert found["name"] in text
    assert "Nothing was tuned" in text
    assert "rows = 2, time = 3" in text


def test_bench_prints_kernels(tiny_pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["bench", str(tiny_pack), *CPU, "--runs", "1", "--kernels"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["kernel", "dispatches"]
    assert len(lines) >= 3
    assert all(len(line) == len(lines[1]) for line in lines[2:])


@pytest.mark.parametrize(
    ("hidden", "place", "message"),
    [
        (True, "page.html", r"can't be loaded .*: pip install 'webrt\[report\]'"),
        (False, "no/where.html", r"no/where\.html: can't be written: No such file"),
    ],
)
def test_what_can_t_be_drawn_ends_in_one_line(
    hidden: bool, place: str, message: str, tiny_pack: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if hidden:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    arguments = ["bench", str(tiny_pack), *CPU, "--runs", "1", "--report", str(tmp_path / place)]
    assert run_app(arguments) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1


def progress(count: int) -> TuneProgress:
    problems = tuple(
        {"id": f"contract_{j}", "count": 2, "space": 9, "trials": 3, "rejected": j % 2,
         "default_ms": 1.0 + j, "best_ms": 0.5 + j, "speedup": 2.0, "schedule": {}}
        for j in range(count)
    )  # fmt: skip
    return TuneProgress(3 * count, 8.0, 4.0, problems)


def test_the_live_view_shows_what_takes_longest() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with tuning.live_view(console) as show:
        show(progress(15), 12.3)
    text = screen.getvalue()
    assert "45 trials, 12 s left: 8.00 ms → 4.00 ms a run (2.00 ×)" in re.sub(r"\s+", " ", text)
    assert "contract_14" in text
    assert "contract_2 " not in text
    assert "and 3 smaller ones" in text


def test_ctrl_c_keeps_what_was_found(tiny_pack: Path) -> None:
    heard = []

    def interrupt(report: TuneProgress, left: float) -> None:
        heard.append(left)
        if report.trials > 4:
            raise KeyboardInterrupt

    result = tuning.tune(tiny_pack, "wasm", 1, 60.0, ["rows=2", "time=3"], interrupt)
    assert result["interrupted"]
    assert "interrupted; what was found is kept" in tuning.tune_text(result)
    assert result["trials"] > 4
    assert sum(len(r.trials) for r in Records.read(cache_file())) == result["trials"]
    assert heard == sorted(heard, reverse=True)
