"""Every schedule of a Map for CPUs computes the Map, in the interpreter and as wasm."""

from __future__ import annotations

import pytest
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
from webrt.schedule.cpu.map import space

BINDINGS = [{"s0": 2, "s1": 5}, {"s0": 3, "s1": 16}, {"s0": 1, "s1": 1}]


@pytest.mark.parametrize("name", MAPS)
def test_every_schedule_in_the_interpreter(name: str) -> None:
    problem = MAPS[name]
    for bindings in BINDINGS:
        operands = random_operands(problem, bindings, rows=100)
        expected = evaluate_problem(problem, operands, bindings, strict=True)
        for schedule in space(problem, CpuLimits()):
            kernel = lower(problem, schedule, name)
            assert_close(expected, run_problem(kernel, problem, operands, bindings))


@given(maps(), st.data())
@settings(max_examples=60, deadline=None)
def test_random_maps(problem: Map, data: st.DataObject) -> None:
    schedule = data.draw(st.sampled_from(space(problem, CpuLimits())))
    operands = random_operands(problem, SYMBOLS)
    expected = evaluate_problem(problem, operands, SYMBOLS, strict=True)
    kernel = lower(problem, schedule, "main")
    assert parse_kernel(print_kernel(kernel)) == kernel
    assert_close(expected, run_problem(kernel, problem, operands, SYMBOLS))
