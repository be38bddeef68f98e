"""Every schedule of a Fold computes it: in the interpreter, as wasm, on a software adapter."""

from __future__ import annotations

import gpu
import numpy as np
import pytest
import wasm_runner
from strategies import assert_close

from webrt import lower
from webrt.kernel.check import check_problem
from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Fold
from webrt.kernel.reference import Array, evaluate_problem
from webrt.kernel.text import parse_problem, print_problem
from webrt.schedule import space
from webrt.schedule.base import CpuLimits, Limits

# Sums of rows that lie anywhere, in lists of any length; an update that is looked up in each turn.
SUMS = """fold
  over i0 < 5, i1 < {width}, t < s0
  in x0: i32[6]
  in x1: i32[s0]
  in x2: f32[s0*{width}]
  in x3: f32[5*{width}]
  start = x0.i32[i0]
  stop = x0.i32[i0 + 1]
  first = x3.f32[{width}*i0 + i1]
  step = acc.f32 + x2.f32[{width}*[x1.i32[t]] + i1]
  out x4: f32[5*{width}] at {width}*i0 + i1 = acc.f32 * 2.0
"""
# The number of keys less than i1 - 3, of a list in order: acc is an index.
HALVES = """fold
  over i0 < 3, i1 < s0, t < 4
  in x0: i32[30]
  start = 0
  stop = 4
  first = 0
  step = select(int([acc.i32] + [shift_left(1, int(-t + 3))]) <= 10 & x0.i32[10*i0 + min([acc.i32] + [shift_left(1, int(-t + 3))], 10) - 1] < int(i1 - 3), int([acc.i32] + [shift_left(1, int(-t + 3))]), acc.i32)
  out x1: i32[3*s0] at i0*s0 + i1 = acc.i32
"""  # noqa: E501
# Bounds that lie outside of 0 … limit, none of them common to two points.
OUTSIDE = """fold
  over i0 < s0, t < 7
  in x0: i32[s0]
  in x1: u32[7]
  start = x0.i32[i0] * 3 - 4
  stop = x0.i32[i0] * 3
  first = 4000000000_u32
  step = min(acc.u32, x1.u32[t])
  out x2: u32[s0] at i0 = acc.u32
"""
PROBLEMS = {
    **{f"sums of {width}": SUMS.format(width=width) for width in (1, 7, 8, 23)},
    "halves": HALVES,
    "outside": OUTSIDE,
}


def problem_of(name: str) -> Fold:
    found = parse_problem(PROBLEMS[name])
    assert isinstance(found, Fold)
    return found


def operands_of(name: str, size: int) -> list[Array]:
    generator = np.random.default_rng(size)
    if name == "halves":
        return [np.sort(generator.integers(-5, 12, (3, 10)), axis=1).astype(np.int32).reshape(-1)]
    if name == "outside":
        return [np.arange(size, dtype=np.int32), generator.integers(0, 99, 7).astype(np.uint32)]
    width = int(name.split()[-1])
    cuts = np.sort(generator.integers(0, size + 1, 6)).astype(np.int32)
    values = [generator.standard_normal(n * width).astype(np.float32) for n in (size, 5)]
    return [cuts, generator.permutation(size).astype(np.int32), *values]


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_schedule(name: str) -> None:
    problem = problem_of(name)
    assert parse_problem(print_problem(problem)) == problem
    for size in (1, 9):
        operands, bindings = operands_of(name, size), {"s0": size}
        expected = evaluate_problem(problem, operands, bindings, strict=name != "outside")
        for cpu in space(problem, CpuLimits()):
            kernel = lower.lower(problem, cpu)
            assert_close(expected, run_problem(kernel, problem, operands, bindings))
            assert_close(expected, wasm_runner.run_problem(kernel, problem, operands, bindings))
        for one in space(problem, Limits()):
            kernel = lower.lower(problem, one)
            assert_close(expected, run_problem(kernel, problem, operands, bindings))
        found = gpu.run(
            lower.lower(problem, space(problem, Limits())[0]), problem, operands, bindings
        )
        assert_close(expected, found)


def test_what_a_loop_computes() -> None:
    (found,) = evaluate_problem(
        problem_of("outside"), [np.array([0, 1, 2, 3, 4], np.int32), np.arange(9, 2, -1)], {"s0": 5}
    )
    assert found.tolist() == [4000000000, 7, 4, 3, 4000000000]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("start = x0.i32[i0] * 3 - 4", "start = int(t)", "no index t"),
        ("stop = x0.i32[i0] * 3", "stop = 3.0", "counts in i32"),
        ("step = min(acc.u32, x1.u32[t])", "step = 3", "makes i32 of u32"),
        ("first = 4000000000_u32", "first = acc.u32", "no acc"),
    ],
)
def test_a_loop_that_means_nothing(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_problem(parse_problem(OUTSIDE.replace(old, new)))
