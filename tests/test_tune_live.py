"""Tuning a session, and the commands for it: answers stay, records serve the next time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from adapters import DEVICES, opened

import webrt
from webrt.cli.main import run_app
from webrt.kernel.problem import Contract, specialise
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync
from webrt.tune import live
from webrt.tune.candidate import candidates, generate
from webrt.tune.records import Records, cache_file

pytestmark = pytest.mark.usefixtures("own_cache")


def feeds(session: Session, rows: int) -> dict[str, npt.NDArray[Any]]:
    random = np.random.default_rng(rows)
    made: dict[str, npt.NDArray[Any]] = {}
    for info in session.inputs:
        shape = [rows if isinstance(d, str) else d for d in info.shape]
        values = random.standard_normal(shape).astype(np.float32)
        made[info.name] = values if info.dtype == "float32" else random.integers(0, 10, shape)
    return made


def bound(session: Session, rows: int) -> dict[str, int]:
    return {s.id: rows for s in session.pack.plan.symbols}


def same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_allclose(value, right[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", DEVICES)
def test_answers_stay_while_kernels_are_swapped(kind: Any, tiny_pack: Path) -> None:
    with opened(kind) as device:
        session = run_sync(Session.open(FolderSource(tiny_pack), device))
        before = {rows: session.run(feeds(session, rows)) for rows in (5, 16)}
        records = Records()
        report = run_sync(live.tune(session, bound(session, 5), 3, records))
        assert report.trials >= len(report.problems)
        assert report.after_ms <= report.before_ms
        for rows, outputs in before.items():
            same(session.run(feeds(session, rows)), outputs)


@pytest.mark.parametrize("kind", DEVICES)
def test_every_schedule_can_be_swapped_in(kind: Any, tiny_pack: Path) -> None:
    with opened(kind) as device:
        session = run_sync(Session.open(FolderSource(tiny_pack), device))
        wanted = session.run(feeds(session, 5))
        bindings = bound(session, 5)
        for index, problem in enumerate(session.pack.plan.problems):
            here = specialise(problem, bindings)
            every = candidates(here, device.info)
            for schedule in every[::6] if isinstance(problem, Contract) else every[:4]:
                compiled = session.compiled_kernels
                run_sync(session.swap(bindings, index, generate(here, schedule, device.info)))
                assert session.compiled_kernels == compiled + 1
                same(session.run(feeds(session, 5)), wanted)


@pytest.mark.parametrize("kind", DEVICES)
def test_records_serve_the_next_session(kind: Any, tiny_pack: Path) -> None:
    records = Records()
    with opened(kind) as device:
        session = run_sync(Session.open(FolderSource(tiny_pack), device))
        assert live.shapes(session, records) == []
        run_sync(live.tune(session, bound(session, 5), 3, records))
        slower = [r for r in records if (b := r.best) and b.schedule != r.trials[0].schedule]
    with opened(kind) as device:
        session = run_sync(Session.open(FolderSource(tiny_pack), device))
        wanted = session.run(feeds(session, 5))
        assert live.shapes(session, records) == [bound(session, 5)]
        assert run_sync(live.apply(session, bound(session, 5), records)) >= len(slower)
        same(session.run(feeds(session, 5)), wanted)


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run_app([*arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_tunes_and_remembers(
    tiny_pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cpu = ("--device", "wasm", "--threads", "1")
    result = output_of(capsys, "tune", str(tiny_pack), *cpu, "--budget", "2", "--json")
    assert {"trials", "seconds", "before_ms", "after_ms", "problems", "dims"} <= result.keys()
    assert result["trials"] == sum(p["trials"] for p in result["problems"])
    for problem in result["problems"]:
        wanted = {"id", "space", "trials", "default_ms", "best_ms", "speedup"}
        assert wanted <= problem.keys()
        assert problem["best_ms"] <= problem["default_ms"]
        assert problem["speedup"] == pytest.approx(
            problem["default_ms"] / problem["best_ms"], rel=1e-3
        )
    (device,) = output_of(capsys, "records", "list", "--json")["devices"]
    assert device.startswith("wasm/")
    exported = tmp_path / "exported.json"
    assert run_app(["records", "export", str(exported)]) == 0
    assert run_app(["records", "clear", "--device", device]) == 0
    assert output_of(capsys, "records", "list", "--json")["devices"] == {}
    assert run_app(["records", "merge", str(exported)]) == 0
    assert list(output_of(capsys, "records", "list", "--json")["devices"]) == [device]
    assert len(Records.read(cache_file())) == len(result["problems"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["records", "clear", "--device", "x"], "no records of 'x'"),
        (["records", "merge", "/nowhere.json"], "/nowhere.json: no such file"),
        (["tune", "PACK", "--budget", "0"], "--budget 0.0: expected some seconds"),
        (["tune", "/nowhere"], "/nowhere/manifest.json: no such file"),
    ],
)
def test_bad_input_ends_in_one_line(
    arguments: list[str], message: str, tiny_pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app([str(tiny_pack) if a == "PACK" else a for a in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_broken_records_are_said_and_left_alone(
    tiny_pack: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache_file().parent.mkdir(parents=True)
    cache_file().write_text("{}")
    with webrt.load(tiny_pack, "wasm", threads=1) as session:
        session.run(feeds(session, 3))
    assert "not webrt's records" in caplog.text
    assert cache_file().read_text() == "{}"
