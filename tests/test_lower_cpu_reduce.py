"""Every schedule of a Reduce for CPUs computes the Reduce, in the interpreter and as wasm."""

from __future__ import annotations

from collections.abc import Sequence

import cpu_problems
import problems
import pytest
import wasm_runner
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SYMBOLS, assert_close, random_operands, reduces

from webrt.kernel import loop
from webrt.kernel.expr import Load, walk
from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Reduce
from webrt.kernel.reference import evaluate_problem
from webrt.kernel.text import parse_kernel, parse_problem, print_kernel
from webrt.lower.common import exprs_of, statements_of
from webrt.lower.cpu.reduce import lower
from webrt.schedule.base import CpuLimits
from webrt.schedule.cpu.reduce import CpuReduceSchedule, space

REDUCES = {**problems.REDUCES, **cpu_problems.REDUCES}
BINDINGS = [{"s0": 2, "s1": 5}, {"s0": 3, "s1": 16}, {"s0": 1, "s1": 1}]


def by_default(name: str) -> loop.Kernel:
    problem = REDUCES[name]
    return lower(problem, space(problem, CpuLimits())[0], "main")


def loads_in(body: Sequence[loop.Stmt]) -> list[Load]:
    found = [e for s in statements_of(body) for x in exprs_of(s) for e in walk(x)]
    return [e for e in found if isinstance(e, Load)]


def innermost(kernel: loop.Kernel) -> list[loop.For]:
    loops = [s for s in statements_of(kernel.body) if isinstance(s, loop.For)]
    return [f for f in loops if not any(isinstance(s, loop.For) for s in statements_of(f.body))]


@pytest.mark.parametrize("name", REDUCES)
def test_every_schedule_as_wasm(name: str) -> None:
    problem = REDUCES[name]
    for bindings in BINDINGS:
        operands = random_operands(problem, bindings)
        expected = evaluate_problem(problem, operands, bindings, strict=True)
        for j, schedule in enumerate(space(problem, CpuLimits())):
            kernel = lower(problem, schedule, name)
            found = wasm_runner.run_problem(kernel, problem, operands, bindings, j % 2 == 1)
            assert_close(expected, found)


@given(reduces(), st.data())
@settings(max_examples=100)
def test_random_reduces(problem: Reduce, data: st.DataObject) -> None:
    schedule = data.draw(st.sampled_from(space(problem, CpuLimits())))
    operands = random_operands(problem, SYMBOLS)
    expected = evaluate_problem(problem, operands, SYMBOLS, strict=True)
    kernel = lower(problem, schedule, "main")
    assert parse_kernel(print_kernel(kernel)) == kernel
    assert_close(expected, run_problem(kernel, problem, operands, SYMBOLS))
    assert_close(expected, wasm_runner.run_problem(kernel, problem, operands, SYMBOLS))


@pytest.mark.parametrize(
    ("name", "guarded", "ends"),
    [
        ("windows of channels", False, True),
        ("windows whose edges count", True, False),
        ("windows with corners cut", True, True),
        ("windows whose edges are looked up", True, False),
    ],
)
def test_a_window_ends_at_the_edge(name: str, guarded: bool, ends: bool) -> None:
    """No element is guarded, but where a guard isn't about one side, or drops to what counts."""
    text = print_kernel(by_default(name))
    assert ("select" in text) == guarded
    assert ("int(max(0, " in text) == ends


def test_a_row_of_a_million() -> None:
    problem = parse_problem(
        "reduce\n  row r0 < 1000003\n  in x0: f32[1000003]\n  p0 = sum of x0.f32[r0]\n"
        "  p1 = max of x0.f32[r0]\n  out x1: f32[1] at 0 = p0.f32 + p1.f32\n"
    )
    assert isinstance(problem, Reduce)
    operands = random_operands(problem, {})
    expected = evaluate_problem(problem, operands, {})
    kernel = lower(problem, space(problem, CpuLimits())[0], "main")
    found = wasm_runner.run_problem(kernel, problem, operands, {})
    assert abs(found[0] - expected[0]) <= 1e-2


@pytest.mark.parametrize("name", REDUCES)
def test_a_space_is_small_and_without_doubles(name: str) -> None:
    found = space(REDUCES[name], CpuLimits())
    assert 0 < len(found) <= 64
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("name", "across"),
    [
        ("layer_norm", False),
        ("softmax", False),
        ("arg_max", False),
        ("max_pool", True),
        ("masked_mean", True),
        ("over the first axis", True),
        ("over the middle axis", True),
        ("a row of three", True),
    ],
)
def test_fours_are_neighbours(name: str, across: bool) -> None:
    assert space(REDUCES[name], CpuLimits())[0].across is across
    if name != "a row of three":
        assert any(e.lanes == 4 for e in loads_in(by_default(name).body))


def test_a_layer_norm_goes_over_its_row_three_times() -> None:
    loops = innermost(by_default("layer_norm"))
    assert [len(loads_in(f.body)) for f in loops] == [4, 4, 12]
    assert "inverse_sqrt" not in print_body(loops[-1])


def test_a_softmax_computes_its_powers_once() -> None:
    assert print_kernel(by_default("softmax")).count("exp(") == 6  # four, one, a single element
    loops = innermost(by_default("softmax"))
    assert all("exp" not in print_body(f) for f in loops[-3:])


def print_body(statement: loop.For) -> str:
    kernel = loop.Kernel("main", (), (), (), (1, 1, 1), (1, 1, 1), (statement,))
    return print_kernel(kernel)


def test_a_window_takes_no_loop() -> None:
    (only,) = innermost(by_default("max_pool"))
    assert len(loads_in(only.body)) == 18


@pytest.mark.parametrize("fields", [(8, 4, 1), (4096, 2, 1), (4096, 4, 0), (4096, 4, 9)])
def test_schedules_that_are_refused(fields: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not a Reduce schedule for CPUs"):
        CpuReduceSchedule(*fields)
