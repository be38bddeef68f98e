"""Problems and kernels as text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import PROBLEMS
from strategies import kernels, problems

from webrt.kernel.check import check_problem
from webrt.kernel.loop import Kernel
from webrt.kernel.problem import Problem
from webrt.kernel.text import parse_kernel, parse_problem, print_kernel, print_problem
from webrt.lower.map import lower as lower_map
from webrt.schedule.map import MapSchedule

SOFTMAX = """\
reduce
  over i0 < s0, i1 < s1
  row r0 < s1
  in x0: f32[s0*s1*s1]
  p0 = max of x0.f32[i0*s1*s1 + i1*s1 + r0]
  p1 = sum of exp(x0.f32[i0*s1*s1 + i1*s1 + r0] - p0.f32)
  each x1: f32[s0*s1*s1] at i0*s1*s1 + i1*s1 + r0 = exp(x0.f32[i0*s1*s1 + i1*s1 + r0] - p0.f32) / p1.f32
"""  # noqa: E501

GATHER = """\
kernel main(x0: i32, x1: readonly f32x4, x2: f32x4; s0)
  workgroup 64, 1, 1
  grid min(((2*s0 + 63) // 64), 65535), ((((2*s0 + 63) // 64) + 65534) // 65535), 1
  let number = int(lane0 + 64*wg0 + 4194240*wg1)
  if int(number) < int(2*s0) {
    let rest = int((number // 2))
    let axis1 = int(number - 2*rest)
    let index = x0.i32[rest]
    x2[4*axis1 + 8*rest] = x1.f32x4[4*axis1 + 8*index]
  }
"""


@given(problems())
@settings(max_examples=60)
def test_problems_round_trip(problem: Problem) -> None:
    check_problem(problem)
    assert parse_problem(print_problem(problem)) == problem


@given(kernels())
@settings(max_examples=25)
def test_kernels_round_trip(kernel: Kernel) -> None:
    assert parse_kernel(print_kernel(kernel)) == kernel


def test_what_a_problem_looks_like() -> None:
    assert print_problem(PROBLEMS["softmax"]) == SOFTMAX
    assert parse_problem(SOFTMAX) == PROBLEMS["softmax"]


def test_what_a_kernel_looks_like() -> None:
    problem = PROBLEMS["gather"]
    kernel = lower_map(problem, MapSchedule(64, 4))  # type: ignore[arg-type]
    assert print_kernel(kernel) == GATHER
    assert parse_kernel(GATHER) == kernel


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("reduce\n", "matmul\n"), "not a problem: 'matmul"),
        (("over i0", "over i1"), "indices i1, i1: expected i0 …"),
        (("x0: f32", "x1: f32"), "expected 'x0', found 'x1' in"),
        (("p1 = sum", "p1 = mean"), "pass 1: no mean of f32"),
        (("p1 =", "p2 ="), "no line p2 where p1 may follow"),
        (("f32[s0*s1*s1] at", "i32[s0*s1*s1] at"), "output 0 of i32 stores f32"),
        (("in x0: f32", "in x0: f16"), "pass 0: no operand 0 of f32"),
        (("in x0: f32", "in x0: i64"), "operand 0: i64 isn't stored on a device"),
        (("each x1", "out x1"), "output 0: no index r0 there"),
        (("- p0.f32)\n  each", "- p1.f32)\n  each"), "pass 1: no p1 of f32 there"),
        (("s0*s1*s1]\n", "s0*t1*s1]\n"), "operand 0: no index t1 there"),
        (("- p0.f32) /", "- p0.f32 /"), "expected ')', found the end in"),
        (("  each", "  p0 = max of 1.0\n  each"), "no line p0 where p2 may follow"),
    ],
)
def test_problems_that_are_refused(change: tuple[str, str], message: str) -> None:
    assert change[0] in SOFTMAX
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_problem(SOFTMAX.replace(*change, 1))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("kernel", "colonel"), "expected 'kernel', found 'colonel' in"),
        (("64, 1, 1", "64, 1"), "a workgroup and a grid have three sizes"),
        (("  }\n", ""), "a kernel that ends before its blocks do"),
        (("  }\n", "  }\n  }\n"), "a bracket closes no block"),
        (("int(number) < int(2*s0)", "int(number)"), "a condition is one bool, found '{' in"),
        (("let rest =", "let rest"), "expected '=', found 'int' in"),
        (("rest] = x1", "rest] += x1"), "expected '=', found '+' in"),
        (("let number", "number"), "not a statement, found '=' in"),
    ],
)
def test_kernels_that_are_refused(change: tuple[str, str], message: str) -> None:
    assert change[0] in GATHER
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_kernel(GATHER.replace(*change, 1))
    assert str(caught.value).startswith(message)


@given(st.data())
def test_damaged_problems_raise_nothing_else(data: st.DataObject) -> None:
    lines = SOFTMAX.split("\n")
    place = data.draw(st.integers(0, len(lines) - 1))
    column = data.draw(st.integers(0, len(lines[place])))
    other = data.draw(st.text(alphabet="x01.[]()+-*/% fis3,={}\n", max_size=3))
    lines[place] = lines[place][:column] + other + lines[place][column + 1 :]
    try:
        found = parse_problem("\n".join(lines))
    except ValueError:
        return
    assert parse_problem(print_problem(found)) == found
