"""The tuner on a real adapter: it finds, validates, records, goes on and rejects what is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from test_tune_records import matmul

from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.kernel.problem import Contract, Problem
from webrt.plan.plan import Home, ModelSymbol, Plan, Step, Tensor
from webrt.runtime.device import Device, DeviceInfo, Dispatch, KernelCode
from webrt.runtime.devices import wgpu
from webrt.runtime.kernels import Candidate
from webrt.runtime.sync import run_sync
from webrt.runtime.timing import Timer
from webrt.schedule import Schedule
from webrt.schedule.contract import ContractSchedule
from webrt.tune import tuner as tuner_module
from webrt.tune.candidate import Rates, candidates, generate
from webrt.tune.records import Records, make_key
from webrt.tune.trial import RejectedError, Trials
from webrt.tune.tuner import Tuner

BINDINGS = {"s0": 40}


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    opened = run_sync(wgpu.open_device("llvmpipe"))
    yield opened
    opened.close()


def plan(*problems: Problem) -> Plan:
    """Each problem once, on tensors of its own."""
    tensors: list[Tensor] = []
    steps = []
    for index, problem in enumerate(problems):
        first = len(tensors)
        for operand in problem.operands:
            home = Home.CONSTANT if operand.constant else Home.INPUT
            tensors.append(Tensor(operand.dtype, (operand.size,), home))
        tensors += [Tensor(o.dtype, (o.size,), Home.OUTPUT) for o in problem.outputs]
        places = range(first, len(tensors))
        count = len(problem.operands)
        steps.append(Step(index, tuple(places[:count]), tuple(places[count:]), f"node {index}"))
    symbols = (ModelSymbol("s0", "rows"),)
    return Plan(symbols, (), (), tuple(tensors), problems, tuple(steps))


def ticking() -> Callable[[], float]:
    """A clock that moves by a second each time it is read: trials are counted, not timed."""
    ticks = itertools.count()
    return lambda: float(next(ticks))


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first candidates of each space: a software driver compiles the largest for seconds."""
    monkeypatch.setattr(tuner_module, "candidates", few)


def few(problem: Problem, info: DeviceInfo, rates: Rates | None = None) -> tuple[Schedule, ...]:
    space = candidates(problem, info, rates)
    return (space[0], *sorted(space[1:], key=size)[:8])


def size(schedule: Schedule) -> int:
    assert isinstance(schedule, ContractSchedule)
    return schedule.rows * schedule.columns


def test_every_candidate_is_valid_and_timed(device: Device) -> None:
    records = Records()
    tuner = Tuner(device, plan(matmul(24)), BINDINGS, records)
    report = run_sync(tuner.run(120))
    (found,) = report.problems
    assert found.trials == found.space == len(few(matmul(24), device.info))
    assert found.rejected == 0
    assert found.best_ms <= found.default_ms
    assert report.after_ms <= report.before_ms
    (record,) = records
    assert record.key == make_key(device.info, matmul(24), BINDINGS)
    assert record.best is not None
    assert record.best.ms == pytest.approx(min(t.ms for t in record.trials if t.ms))


def test_a_second_time_costs_no_trial(device: Device) -> None:
    records = Records()
    first = run_sync(Tuner(device, plan(matmul(8)), BINDINGS, records).run(120))

    class Untouchable:
        info = device.info

    second = run_sync(Tuner(Untouchable(), plan(matmul(8)), BINDINGS, records).run(120))  # type: ignore[arg-type]
    assert second.problems[0].schedule == first.problems[0].schedule
    assert second.after_ms == pytest.approx(first.after_ms)


def test_who_wins_has_to_win_twice(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate that had a lucky moment isn't served: workgroups of one lane are slow."""
    slowest, fairly = ContractSchedule(1, 4, 1, 1), Timer.ratio
    told: list[float] = []

    async def lucky(self: Timer, one: Dispatch, other: Dispatch) -> float:
        told.append(await fairly(self, one, other) if told else 0.001)
        return told[-1]

    monkeypatch.setattr(Timer, "ratio", lucky)
    monkeypatch.setattr(tuner_module, "candidates", lambda *a: (candidates(*a)[0], slowest))
    served: list[int] = []

    async def found(index: int, candidate: Candidate) -> None:
        served.append(index)

    report = run_sync(Tuner(device, plan(matmul(64)), BINDINGS, Records()).run(60, None, found))
    assert (report.trials, served) == (2, [])
    assert report.problems[0].schedule != slowest
    assert told[1] > 1


@pytest.mark.parametrize(("kept", "references"), [(tuner_module.KEPT_BYTES, 2), (0, 3)])
def test_references_are_kept_while_there_is_room(
    device: Device, monkeypatch: pytest.MonkeyPatch, kept: int, references: int
) -> None:
    """Two problems take turns; at the end nothing is left on the device."""
    made, closed = [], []
    set_reference, close = Trials.set_reference, Trials.close

    async def counted(self: Trials, candidate: Candidate) -> None:
        made.append(candidate.schedule)
        await set_reference(self, candidate)

    def noted(self: Trials) -> None:
        close(self)
        closed.append(self.held_bytes)

    tuner = Tuner(device, plan(matmul(8), matmul(16)), BINDINGS, Records())
    monkeypatch.setattr(Tuner, "_check_default", _unchecked)
    monkeypatch.setattr(Trials, "set_reference", counted)
    monkeypatch.setattr(Trials, "close", noted)
    monkeypatch.setattr(tuner_module, "KEPT_BYTES", kept)
    run_sync(tuner.run(120))
    assert len(made) == references if kept else len(made) >= references
    assert closed == [0] * len(made)


async def _unchecked(tuner: Tuner, work: object) -> None:
    """Defaults of these tests are known to be right."""


def test_time_that_is_up_with_the_first_default_is_reported(device: Device) -> None:
    seconds = iter(range(100))
    tuner = Tuner(device, plan(matmul(8), matmul(16)), BINDINGS, Records(), lambda: next(seconds))
    report = run_sync(tuner.run(2))
    assert (report.trials, len(report.problems)) == (1, 1)
    assert report.seconds >= 2


def test_it_stops_when_time_is_up_and_goes_on_later(device: Device) -> None:
    records = Records()
    tuner = Tuner(device, plan(matmul(8)), BINDINGS, records, ticking())
    some = run_sync(tuner.run(10)).trials
    assert 1 < some < len(few(matmul(8), device.info))
    again = Tuner(device, plan(matmul(8)), BINDINGS, records, ticking())
    assert run_sync(again.run(10)).trials > some


def test_it_can_be_cancelled(device: Device) -> None:
    tuner = Tuner(device, plan(matmul(8)), BINDINGS, Records())
    reports = []
    run_sync(tuner.run(120, lambda report: (reports.append(report), tuner.cancel())[0]))  # type: ignore[func-returns-value]
    assert len(reports) == 1


@pytest.mark.parametrize("fault", ["wrong", "broken", "empty"])
def test_a_bad_candidate_is_rejected_and_recorded(
    device: Device, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = few(matmul(8), device.info)[1]

    def sabotage(problem: Problem, schedule: Schedule, info: DeviceInfo) -> Candidate:
        made = generate(problem, schedule, info)
        if schedule != planted or not isinstance(problem, Contract):
            return made
        assert isinstance(made.code.source, str)
        source = {
            "wrong": made.code.source.replace("acc_0_0 +=", "acc_0_0 -="),
            "broken": "fn main( {",
            "empty": made.code.source.replace("if (", "if (false && ").replace("x2[", "x2[0 * "),
        }[fault]
        assert source != made.code.source
        return replace(made, code=KernelCode(made.code.name, source, made.code.bindings))

    monkeypatch.setattr(tuner_module, "generate", sabotage)
    records = Records()
    served = []

    async def found(index: int, candidate: Candidate) -> None:
        served.append(candidate.schedule)

    report = run_sync(Tuner(device, plan(matmul(8)), BINDINGS, records).run(120, found=found))
    assert report.problems[0].rejected == 1
    (record,) = records
    (bad,) = [t for t in record.trials if t.ms is None]
    assert bad.schedule == planted
    assert bad.failed is not None
    assert ("compile" if fault == "broken" else "results are wrong") in bad.failed
    assert planted not in served
    assert record.best is not None
    assert record.best.schedule != planted


def test_results_are_compared_element_by_element(device: Device) -> None:
    """The comparison sees one wrong element of many, wherever it stands."""
    n = 5000
    at = symbol("m") * n + symbol("n")
    problem = matmul(n)
    problem = replace(problem, outputs=(replace(problem.outputs[0], offset=at),))
    bound = replace(problem)
    trials = Trials(device, bound, {"s0": 3})
    good = generate(problem, candidates(problem, device.info)[0], device.info)
    run_sync(trials.set_reference(good))
    run_sync(trials.validate(good))
    assert isinstance(good.code.source, str)
    assert DType.F32 is problem.outputs[0].dtype
    body = good.code.source.rstrip().removesuffix("}")
    for element in (0, 4095, 4096, 3 * n - 1):
        vec = "vec4" in good.code.source.split("x2: ")[1].split(";")[0]
        place = f"x2[{element // 4}][{element % 4}]" if vec else f"x2[{element}]"
        spoiled = body + f"  storageBarrier();\n  {place} = 7.0;\n}}\n"
        bad = replace(good, code=replace(good.code, source=spoiled))
        with pytest.raises(RejectedError, match="results are wrong"):
            run_sync(trials.validate(bad))
    trials.close()
