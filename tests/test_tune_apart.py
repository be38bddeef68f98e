"""Tuning in a process apart: bad candidates cost themselves, a session serves all the while."""

from __future__ import annotations

import re
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from adapters import opened
from test_tune_live import bound, feeds, same

import webrt
from webrt import dims
from webrt.codegen import wasm, wgsl
from webrt.errors import DeviceError, UsageError
from webrt.kernel.expr import Const
from webrt.kernel.loop import For, Kernel, Store
from webrt.kernel.problem import Contract, Problem, specialise
from webrt.lower import lower
from webrt.pack.read import read_manifest
from webrt.pack.wasm import plan_wasm
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync
from webrt.schedule import Schedule
from webrt.tune.apart import DIED, HUNG, PATIENCE, Apart
from webrt.tune.background import HotShape, TuneProgress, Tuning
from webrt.tune.candidate import candidates
from webrt.tune.code import Code, CpuCode, GpuCode, code_to_json
from webrt.tune.records import Records, Trial, cache_file

HARDLY = 6.0
"""Seconds of silence that a test of what never ends waits for; machines may be busy."""


pytestmark = pytest.mark.usefixtures("own_cache")


FAULTS = {
    "wasm-1": ("wrong", "broken", "endless", "fatal"),
    "wasm-2": ("endless", "fatal"),  # wasmtime 50 aborts the process where two modules share memory
    "llvmpipe": ("wrong", "broken"),  # it ends every loop after 65535 turns
    "SwiftShader": ("endless",),  # nothing loses a device that is software
}


def spoilt(kernel: Kernel, fault: str) -> Kernel:
    """A kernel that stores nothing, runs for a few hundred years, or writes where it must not."""
    body = kernel.body
    if fault == "wrong":
        body = ()
    elif fault == "endless":
        for depth in range(2):
            body = (For(f"turn{depth}", 0, (1 << 31) - 1, 1, body),)
    elif fault == "fatal":
        out = len(kernel.bindings) - 1
        body = (Store(out, 1 << 28, Const(1.0, kernel.bindings[out].dtype)),)
    return replace(kernel, body=body)


def planted_code(problem: Problem, schedule: Schedule, kind: str, fault: str) -> Code:
    """What stands in for the code of a schedule."""
    if kind == "wasm":
        plan = plan_wasm([problem], [schedule])
        code = (spoilt(plan.code[0], fault), *plan.code[1:])
        module = b"no module" if fault == "broken" else wasm.module(code, True)
        entry = plan.kernels[0]
        units = dims.evaluate(entry.units, {})
        return CpuCode(module, units, entry.scratch, plan.packers, entry.panels)
    kernel = spoilt(lower(problem, schedule, "planted"), fault)
    source = "fn main( {" if fault == "broken" else wgsl.generate(kernel)
    x, y, z = (dims.evaluate(extent, {}) for extent in kernel.grid)
    return GpuCode(source, (x, y, z))


def contract_of(session: Session) -> int:
    problems = session.pack.plan.problems
    return next(j for j, p in enumerate(problems) if isinstance(p, Contract))


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        pytest.param(k, f, marks=pytest.mark.swiftshader if k == "SwiftShader" else ())
        for k, faults in FAULTS.items()
        for f in faults
    ],
)
def test_a_bad_candidate_costs_itself(kind: str, fault: str, tiny_pack: Path) -> None:
    with opened(kind) as device:
        session = run_sync(Session.open(FolderSource(tiny_pack), device))
        wanted = session.run(feeds(session, 5))
        bindings, number = bound(session, 5), contract_of(session)
        problem = specialise(session.pack.plan.problems[number], bindings)
        space = candidates(problem, device.info)
        bad = space[1]
        code = planted_code(problem, bad, device.info.kind, fault)
        planted = [{"problem": number, "position": 1, "code": code_to_json(code)}]
        records = Records()
        tuning = Tuning(
            session, read_manifest(tiny_pack), bindings, 240, records,
            patience=HARDLY if fault == "endless" else PATIENCE, planted=planted,
        )  # fmt: skip
        seen: list[int] = []

        def enough(report: TuneProgress) -> None:
            seen.append(report.trials)
            if (
                any(t.schedule == bad for t in found_bad(records))
                and report.trials > len(report.problems) + 3
            ):
                tuning.cancel()

        tuning.listen(enough)
        tuning.run()
        (trial,) = [t for t in found_bad(records) if t.schedule == bad]
        reasons = {"wrong": "results are wrong", "broken": "doesn't compile"}
        reasons |= {"endless": HUNG, "fatal": f"{DIED}|out of bounds"}
        assert trial.failed is not None
        assert re.search(reasons[fault], trial.failed)
        assert seen[-1] > len(session.pack.plan.problems)  # it went on
        same(session.run(feeds(session, 5)), wanted)


def found_bad(records: Records) -> list[Trial]:
    return [t for r in records for t in r.trials if t.ms is None]


def test_a_default_that_never_ends_stops_tuning(tiny_pack: Path) -> None:
    with opened("wasm-1") as device:
        session = run_sync(Session.open(FolderSource(tiny_pack), device))
        bindings, number = bound(session, 5), contract_of(session)
        problem = specialise(session.pack.plan.problems[number], bindings)
        default = candidates(problem, device.info)[0]
        code = planted_code(problem, default, "wasm", "endless")
        planted = [{"problem": number, "position": 0, "code": code_to_json(code)}]
        apart = Apart(
            read_manifest(tiny_pack),
            device.info,
            bindings,
            Records(),
            patience=HARDLY,
            planted=planted,
        )
        with pytest.raises(DeviceError, match=HUNG):
            apart.run(60)


def test_another_device_than_the_session_s_is_refused(tiny_pack: Path) -> None:
    with opened("wasm-1") as device:
        session = run_sync(Session.open(FolderSource(tiny_pack), device))
        other = replace(device.info, adapter="another")
        apart = Apart(read_manifest(tiny_pack), other, bound(session, 5), Records())
        with pytest.raises(DeviceError, match="another can't be opened once more"):
            apart.run(10)


def test_the_first_run_comes_before_any_trial_and_answers_stay(tiny_pack: Path) -> None:
    heard: list[TuneProgress] = []
    done = threading.Event()

    def hear(report: TuneProgress) -> None:
        heard.append(report)
        if report.trials > 8:
            done.set()

    with webrt.load(
        tiny_pack, "wasm", threads=1, tune="background", budget=60, on_tune=hear
    ) as session:
        hot = session.tuning
        assert isinstance(hot, HotShape)
        assert hot.tuning is None
        wanted = session.run(feeds(session, 5))
        before = {rows: session.run(feeds(session, rows)) for rows in (3, 9)}
        while not done.is_set():
            same(session.run(feeds(session, 5)), wanted)
        hot.cancel()
        assert hot.wait(30)
        assert hot.report is not None
        assert hot.report.trials >= heard[-1].trials > 8
        same(session.run(feeds(session, 5)), wanted)
        for rows, outputs in before.items():
            same(session.run(feeds(session, rows)), outputs)
    kept = Records.read(cache_file())
    assert sum(len(r.trials) for r in kept) >= 8
    assert {r.key.dims for r in kept if r.key.dims} == {(("s0", 5), ("s1", 5))}


def test_closing_a_session_ends_its_tuning(tiny_pack: Path) -> None:
    session = webrt.load(tiny_pack, "wasm", threads=1, tune="background", budget=600)
    session.run(feeds(session, 5))
    hot = session.tuning
    assert isinstance(hot, HotShape)
    assert hot.tuning is not None
    assert hot.tuning.is_running
    session.close()
    assert not hot.tuning.is_running
    assert not [t for t in threading.enumerate() if t.name == "webrt tuning"]


def test_cancelled_between_a_child_s_question_and_its_answer(tiny_pack: Path) -> None:
    with opened("wasm-1") as device:
        session = run_sync(Session.open(FolderSource(tiny_pack), device))
        asked: list[None] = []

        def turn() -> AbstractContextManager[object]:
            asked.append(None)
            apart.cancel()
            return nullcontext()

        apart = Apart(
            read_manifest(tiny_pack), device.info, bound(session, 5), Records(), turn=turn
        )
        apart.run(60)
        assert len(asked) == 1


def test_now_tunes_before_it_returns(tiny_pack: Path) -> None:
    reports: list[TuneProgress] = []
    sizes = {"rows": 2, "time": 4}
    with webrt.load(
        tiny_pack, "wasm", threads=1, tune="now", budget=3, dims=sizes, on_tune=reports.append
    ) as session:
        assert reports
        assert len(reports[-1].problems) == len(session.pack.plan.problems)
        assert {r.key.dims for r in Records.read(cache_file())} == {(("s0", 2), ("s1", 4))}


def test_a_second_visit_runs_no_trial(tiny_pack: Path) -> None:
    sizes = {"rows": 2, "time": 4}
    first: list[TuneProgress] = []
    second: list[TuneProgress] = []
    options: dict[str, Any] = {"threads": 1, "tune": "now", "dims": sizes}
    with webrt.load(tiny_pack, "wasm", budget=3, on_tune=first.append, **options):
        pass
    kept = cache_file().read_text()
    assert first
    with webrt.load(tiny_pack, "wasm", budget=3, on_tune=second.append, **options):
        assert not second
    assert cache_file().read_text() == kept
    with webrt.load(tiny_pack, "wasm", budget=8, on_tune=second.append, **options):
        assert second  # there are five seconds more
    with webrt.load(tiny_pack, "wasm", threads=1, tune="background", budget=3) as session:
        session.run(feeds(session, 9))
        hot = session.tuning
        assert isinstance(hot, HotShape)
        assert hot.tuning is not None  # another shape
        hot.cancel()
    cache_file().with_name("tuned.json").write_text("[1]")  # not in form: nothing is known
    with webrt.load(tiny_pack, "wasm", budget=1, on_tune=first.append, **options):
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tune": "later"}, "tune='later': expected off, background or now"),
        ({"tune": "now", "budget": 0}, "budget=0: expected some seconds"),
        ({"tune": "now", "dims": {"lines": 3}}, "unknown dim 'lines': this model's are rows, time"),
    ],
)
def test_bad_arguments_are_refused(arguments: Any, message: str, tiny_pack: Path) -> None:
    with pytest.raises(UsageError, match=message):
        webrt.load(tiny_pack, "wasm", threads=1, **arguments)
