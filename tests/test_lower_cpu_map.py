"""Every schedule of a Map for CPUs computes the Map, in the interpreter and as wasm."""

from __future__ import annotations

import pytest
import wasm_runner
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import MAPS
from strategies import SYMBOLS, assert_close, maps, random_operands

from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Map
from webrt.kernel.reference import evaluate_problem
from webrt.kernel.text import parse_kernel, print_kernel
from webrt.lower.cpu.map import lower
from webrt.schedule.base import CpuLimits
from webrt.schedule.cpu.map import CpuMapSchedule, space

BINDINGS = [{"s0": 2, "s1": 5}, {"s0": 3, "s1": 16}, {"s0": 1, "s1": 1}]


@pytest.mark.parametrize("name", MAPS)
def test_every_schedule_as_wasm(name: str) -> None:
    problem = MAPS[name]
    for bindings in BINDINGS:
        operands = random_operands(problem, bindings, rows=100)
        expected = evaluate_problem(problem, operands, bindings, strict=True)
        for j, schedule in enumerate(space(problem, CpuLimits())):
            kernel = lower(problem, schedule, name)
            found = wasm_runner.run_problem(kernel, problem, operands, bindings, j % 2 == 1)
            assert_close(expected, found)


@given(maps(), st.data())
@settings(max_examples=100, deadline=None)
def test_random_maps(problem: Map, data: st.DataObject) -> None:
    schedule = data.draw(st.sampled_from(space(problem, CpuLimits())))
    operands = random_operands(problem, SYMBOLS)
    expected = evaluate_problem(problem, operands, SYMBOLS, strict=True)
    kernel = lower(problem, schedule, "main")
    assert parse_kernel(print_kernel(kernel)) == kernel
    assert_close(expected, run_problem(kernel, problem, operands, SYMBOLS))
    assert_close(expected, wasm_runner.run_problem(kernel, problem, operands, SYMBOLS))


@pytest.mark.parametrize("name", MAPS)
def test_a_space_is_small_and_without_doubles(name: str) -> None:
    found = space(MAPS[name], CpuLimits())
    assert 0 < len(found) <= 64
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("fields", [(8, 4, 1), (4096, 2, 1), (4096, 4, 0), (4096, 4, 9)])
def test_schedules_that_are_refused(fields: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not a Map schedule for CPUs"):
        CpuMapSchedule(*fields)
