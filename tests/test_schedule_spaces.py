"""Spaces: small, legal, ordered, without twins; what isn't in one knows the rule that says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import test_lower_attention
import test_lower_contract
import wasm_runner
from cpu_problems import MAPS as CPU_MAPS
from cpu_problems import REDUCES as CPU_REDUCES
from problems import MAPS, REDUCES
from test_tune_records import matmul

from webrt import dims
from webrt.cli.main import run_app
from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Problem, specialise, symbols
from webrt.kernel.reference import NUMPY, evaluate_problem
from webrt.lower import lower
from webrt.lower.cpu.panels import repack
from webrt.runtime.device import DeviceInfo
from webrt.runtime.device import Limits as DeviceLimits
from webrt.schedule import CpuLimits, Limits, Schedule, allows, default, explain, from_json, space
from webrt.schedule.adapters import GPUS, UNKNOWN_CPU, UNKNOWN_GPU, cpu_class, gpu_class
from webrt.schedule.contract import ContractSchedule
from webrt.schedule.cpu.contract import CpuContractSchedule
from webrt.schedule.explore import MOST, Explored, Order, Rules
from webrt.schedule.reduce import ReduceSchedule
from webrt.tune.candidate import (
    Rates,
    candidates,
    generate,
    limits_of,
    may_serve,
    printed,
    reference,
)

EVERY: dict[str, Problem] = {
    **MAPS,
    **REDUCES,
    "product": specialise(matmul(24), {"s0": 40}),
    "attention": test_lower_attention.BERT,
    "quads": test_lower_contract.QUADS,
}
BIG = specialise(matmul(1152), {"s0": 128})
LIMITS = [
    Limits(), Limits(64, 8192, "discrete"), Limits(256, 32768, "cpu"), Limits(128, 0, "integrated"),
    CpuLimits(), CpuLimits(32, 1 << 16, 1 << 19),
]  # fmt: skip


def bound(problem: Problem) -> Problem:
    return specialise(problem, {name: 5 + j for j, name in enumerate(symbols(problem))})


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_a_space_is_small_legal_and_begins_with_the_default(
    name: str, limits: Limits | CpuLimits
) -> None:
    for problem in (EVERY[name], bound(EVERY[name])):
        found = explain(problem, limits)
        assert 1 <= len(found.kept) <= MOST
        assert len(set(found.kept)) == len(found.kept)
        others = [schedule for schedule, _ in (*found.left, *found.refused)]
        assert not set(found.kept) & set(others)
        assert all(rule for _, rule in (*found.left, *found.refused))
        assert all(found.allows(s) for s in found.kept)
        assert not any(found.allows(s) for s, _ in found.refused)
        assert space(problem, limits) == found.kept
        assert found.kept[0] == default(problem, limits)


def test_the_default_is_the_same_whatever_is_known_of_a_device() -> None:
    """A pack is made before any device is seen: what it holds is where every tuning begins."""
    for problem in EVERY.values():
        classes = [Limits(256, 16384, name, large_tiles=3.0, sharing=0.2) for name in GPUS]
        assert len({default(problem, limits) for limits in (Limits(), *classes)}) == 1
        assert len({default(problem, CpuLimits()), default(problem, CpuLimits(32))}) == 1


def test_a_rule_is_named_and_the_best_guesses_are_kept() -> None:
    rules: Rules[int] = Rules(
        must=(("even", lambda s: s % 2 == 0),), should=(("below 900", lambda s: s < 900),)
    )
    found = Explored(10, range(1000), rules, Order(lambda s: s + 1.0, lambda s: s % 4, 20, 90.0))
    assert found.kept[:4] == (10, 0, 2, 4)
    assert len(found.kept) <= MOST
    assert dict(found.refused)[11] == "even"
    assert dict(found.left)[900] == "below 900"
    assert set(dict(found.left).values()) >= {"behind the 20 best guesses of its kind"}
    assert found.allows(900)
    assert not found.allows(11)
    assert not found.allows(2000)


def test_what_is_far_from_the_best_guess_is_left_out() -> None:
    found = Explored(1, range(1, 100), Rules(()), Order(float, lambda s: s, 1, 2.0))
    assert found.kept == (1, 2, 3, 4)
    assert dict(found.left)[5] == "guessed at more than 2 times the best guess"


def test_kinds_take_turns() -> None:
    order = Order(float, lambda s: s // 10, turns=True)
    found = Explored(10, (10, 11, 12, 20, 21, 30, 13), Rules(()), order)
    assert found.kept == (10, 11, 20, 30, 12, 21, 13)


def test_classes_of_adapters() -> None:
    assert gpu_class("a new one") is UNKNOWN_GPU
    assert cpu_class("AMD64") is cpu_class("x86_64")
    assert cpu_class("arm64").registers == 32
    assert cpu_class("wasm32") is UNKNOWN_CPU
    large = {name: max(_tile(s) for s in _products(name)) for name in GPUS}
    assert large["integrated"] < large["discrete"] < large["cpu"]


def _products(adapter_class: str) -> list[ContractSchedule]:
    found = space(BIG, Limits(256, 32768, adapter_class))
    return [s for s in found[1:] if isinstance(s, ContractSchedule)]


def _tile(schedule: ContractSchedule) -> int:
    return schedule.rows * schedule.columns


def test_rates_order_the_spaces() -> None:
    first = {gain: _first(BIG, large_tiles=gain) for gain in (0.6, 1.9)}
    assert _tile(first[0.6]) < _tile(first[1.9])
    staged = [_first(BIG, staging=rate).stage > 0 for rate in (0.5, 1.0, 4.0)]
    assert staged == [False, False, True]
    rows = REDUCES["layer norm"] if "layer norm" in REDUCES else next(iter(REDUCES.values()))
    alone = space(bound(rows), Limits(sharing=0.5))[1]
    assert isinstance(alone, ReduceSchedule)
    assert alone.lanes == 1


def _first(problem: Problem, **rates: float) -> ContractSchedule:
    schedule = space(problem, Limits(256, 32768, "discrete", **rates))[1]
    assert isinstance(schedule, ContractSchedule)
    return schedule


def test_a_schedule_of_another_problem_or_device_is_not_served() -> None:
    problem = specialise(matmul(24), {"s0": 40})
    assert allows(problem, ContractSchedule(8, 8, 1, 1), Limits())
    assert not allows(problem, ContractSchedule(8, 8, 16, 16), Limits(lanes=64))
    assert not allows(problem, ReduceSchedule(), Limits())
    assert not allows(problem, CpuContractSchedule(4, 8), Limits())
    assert not allows(specialise(matmul(23), {"s0": 40}), ContractSchedule(8, 8, 4, 8, 1, 16))


def info(kind: str, adapter_class: str = "cpu", architecture: str = "x86_64") -> DeviceInfo:
    limits = DeviceLimits(1 << 28, 1 << 27, 8, 32768, 256, (256, 256, 64), 65535, 256)
    return DeviceInfo(kind, "A", "v", architecture, adapter_class, (), limits)


def test_limits_of_devices() -> None:
    assert limits_of(info("webgpu")) == Limits(256, 32768, "cpu")
    rates = Rates(1.5, 0.5, 0.7, 1.2)
    assert limits_of(info("webgpu"), rates) == Limits(256, 32768, "cpu", 1.5, 0.5, 0.7, 1.2)
    assert limits_of(info("wasm", architecture="aarch64")) == CpuLimits(32, 1 << 16, 1 << 19)
    assert may_serve(matmul(24), ContractSchedule(4, 4, 4, 8), info("webgpu"))
    assert not may_serve(matmul(24), ContractSchedule(4, 4, 4, 8), info("wasm"))


def test_what_prints_alike_is_known() -> None:
    problem = specialise(matmul(24), {"s0": 2})
    one, other = CpuContractSchedule(2, 8), CpuContractSchedule(2, 8, row_block=128)
    texts = {printed(generate(problem, s, info("wasm"))) for s in (one, other)}
    assert len(texts) == 1
    assert len({printed(generate(problem, s, info("webgpu"))) for s in _two(problem)}) == 2


def _two(problem: Problem) -> tuple[Schedule, ...]:
    return candidates(problem, info("webgpu"))[:2]


PLAIN: dict[str, Problem] = {
    **CPU_MAPS,
    **CPU_REDUCES,
    "product": matmul(24),
    "attention": test_lower_attention.BERT,
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_plainest_code_of_a_cpu_is_right(name: str) -> None:
    problem = PLAIN[name]
    bindings = {symbol: 5 + j for j, symbol in enumerate(symbols(problem))}
    schedule = reference(problem, info("wasm")).schedule
    assert getattr(schedule, "unroll", 1) == 1
    random = np.random.default_rng(1)
    arrays = [
        random.integers(0, 2, dims.evaluate(o.size, bindings)).astype(NUMPY[o.dtype.storage])
        for o in problem.operands
    ]
    wanted = evaluate_problem(problem, arrays, bindings)
    repacked, panels = repack(problem, schedule)
    assert not panels
    kernel = lower(repacked, schedule)
    for found in (
        run_problem(kernel, repacked, arrays, bindings),
        wasm_runner.run_problem(kernel, repacked, arrays, bindings),
    ):
        for left, right in zip(found, wanted, strict=True):
            np.testing.assert_allclose(left, right.reshape(-1), rtol=1e-4, atol=1e-4)


def test_info_shows_a_space_and_why_nothing_else_is_in_it(
    tiny_pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["info", str(tiny_pack), "--space", "--kernel", "0", "--device", "wasm"]
    assert run_app([*asked, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (kernel,) = result["kernels"]
    schedules = [from_json(s) for s in kernel["space"]]
    assert 1 < len(schedules) <= MOST
    assert sum(kernel["rules"].values()) == len(kernel["dropped"])
    assert {part["rule"] for part in kernel["dropped"]} == set(kernel["rules"])
    assert not {from_json(part["schedule"]) for part in kernel["dropped"]} & set(schedules)
    assert run_app(asked) == 0
    text = capsys.readouterr().out
    assert f"{len(schedules)} candidates of {len(schedules) + len(kernel['dropped'])}" in text
    assert all(rule in text for rule in kernel["rules"])


def test_info_names_the_kernels_there_are(
    tiny_pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(["info", str(tiny_pack), "--space", "--kernel", "x", "--device", "wasm"]) == 2
    assert "unknown kernel 'x'" in capsys.readouterr().err
    assert run_app(["info", str(tiny_pack), "--space", "--device", "tpu"]) == 2
    assert "unknown device 'tpu'" in capsys.readouterr().err


def test_limits_are_data() -> None:
    assert replace(Limits(), lanes=32).lanes == 32
