"""Every schedule of a Reduce for CPUs computes the Reduce, in the interpreter and as wasm."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import REDUCES
from strategies import SYMBOLS, assert_close, random_operands, reduces

from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Reduce
from webrt.kernel.reference import evaluate_problem
from webrt.kernel.text import parse_kernel, print_kernel
from webrt.lower.cpu.reduce import lower
from webrt.schedule.base import CpuLimits
from webrt.schedule.cpu.reduce import space

BINDINGS = [{"s0": 2, "s1": 5}, {"s0": 3, "s1": 16}, {"s0": 1, "s1": 1}]


@pytest.mark.parametrize("name", REDUCES)
def test_every_schedule_in_the_interpreter(name: str) -> None:
    problem = REDUCES[name]
    for bindings in BINDINGS:
        operands = random_operands(problem, bindings, rows=100)
        expected = evaluate_problem(problem, operands, bindings, strict=True)
        for schedule in space(problem, CpuLimits()):
            kernel = lower(problem, schedule, name)
            assert_close(expected, run_problem(kernel, problem, operands, bindings))


@given(reduces(), st.data())
@settings(max_examples=60, deadline=None)
def test_random_reduces(problem: Reduce, data: st.DataObject) -> None:
    schedule = data.draw(st.sampled_from(space(problem, CpuLimits())))
    operands = random_operands(problem, SYMBOLS)
    expected = evaluate_problem(problem, operands, SYMBOLS, strict=True)
    kernel = lower(problem, schedule, "main")
    assert parse_kernel(print_kernel(kernel)) == kernel
    assert_close(expected, run_problem(kernel, problem, operands, SYMBOLS))
