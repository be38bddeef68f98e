"""Every schedule of a Reduce computes the Reduce: in the interpreter, and on a software adapter."""

from __future__ import annotations

import gpu
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import F32, REDUCES, i0, operand, p, s0, x
from strategies import SYMBOLS, assert_close, random_operands, reduces

from webrt import dims
from webrt.dims import symbol
from webrt.kernel import expr as ex
from webrt.kernel import loop
from webrt.kernel.axes import collapse_reduce
from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Output, Pass, Reduce
from webrt.kernel.reference import evaluate_problem
from webrt.kernel.text import parse_kernel, print_kernel
from webrt.lower.common import statements_of
from webrt.lower.reduce import lower
from webrt.schedule.base import Limits
from webrt.schedule.reduce import ReduceSchedule, space

BINDINGS = [{"s0": 2, "s1": 5}, {"s0": 3, "s1": 16}, {"s0": 1, "s1": 1}]


def barriers(kernel: loop.Kernel) -> int:
    return sum(isinstance(s, loop.Barrier) for s in statements_of(kernel.body))


@pytest.mark.parametrize("name", REDUCES)
def test_many_schedules_in_the_interpreter(name: str) -> None:
    problem, bindings = REDUCES[name], BINDINGS[0]
    operands = random_operands(problem, bindings)
    expected = evaluate_problem(problem, operands, bindings, strict=True)
    for schedule in space(problem, Limits())[::3]:
        kernel = lower(problem, schedule)
        assert_close(expected, run_problem(kernel, problem, operands, bindings))


@pytest.mark.parametrize("bindings", BINDINGS, ids=str)
@pytest.mark.parametrize("name", REDUCES)
def test_some_schedules_on_an_adapter(name: str, bindings: dict[str, int]) -> None:
    problem = REDUCES[name]
    operands = random_operands(problem, bindings)
    expected = evaluate_problem(problem, operands, bindings)
    for schedule in space(problem, Limits())[::9]:
        found = gpu.run(lower(problem, schedule), problem, operands, bindings)
        assert_close(expected, found)


@given(reduces(), st.data())
@settings(max_examples=60)
def test_random_reduces(problem: Reduce, data: st.DataObject) -> None:
    schedule = data.draw(st.sampled_from(space(problem, Limits())))
    operands = random_operands(problem, SYMBOLS)
    expected = evaluate_problem(problem, operands, SYMBOLS, strict=True)
    kernel = lower(problem, schedule)
    assert parse_kernel(print_kernel(kernel)) == kernel
    assert_close(expected, run_problem(kernel, problem, operands, SYMBOLS))


@given(reduces())
@settings(max_examples=15)
def test_random_reduces_on_an_adapter(problem: Reduce) -> None:
    operands = random_operands(problem, SYMBOLS)
    expected = evaluate_problem(problem, operands, SYMBOLS)
    kernel = lower(problem, space(problem, Limits())[0])
    assert_close(expected, gpu.run(kernel, problem, operands, SYMBOLS))


@given(reduces())
@settings(max_examples=60)
def test_collapsing_axes_changes_nothing(problem: Reduce) -> None:
    operands = random_operands(problem, SYMBOLS)
    expected = evaluate_problem(problem, operands, SYMBOLS)
    merged = collapse_reduce(problem)
    assert_close(expected, evaluate_problem(merged, operands, SYMBOLS, strict=True))


def test_collapsing_names_what_is_left_of_a_row_anew() -> None:
    """A row of 1 × 3: r1 becomes r0, whose extent isn't 1 any more."""
    i, r = symbol("i0"), symbol("r1")
    place = dims.dim_max(i + 2 * r - 1, 0)
    inside = ex.call("ge", ex.as_index(i + 2 * r - 1), ex.i32(0))
    tap = ex.select(inside, ex.Load(0, place, F32), ex.f32(0.0))
    out = Output(F32, 2, i, ex.Ref("p0", F32))
    problem = Reduce((2,), (1, 3), (operand(6),), (Pass("sum", tap),), (out,))
    operands = random_operands(problem, {})
    expected = evaluate_problem(problem, operands, {}, strict=True)
    merged = collapse_reduce(problem)
    assert merged.reduced == (3,)
    assert_close(expected, evaluate_problem(merged, operands, {}, strict=True))


@pytest.mark.parametrize("name", REDUCES)
def test_a_space_is_small_and_holds_a_barrier_free_kernel(name: str) -> None:
    found = space(REDUCES[name], Limits())
    assert len(found) <= 64
    assert len(set(found)) == len(found)
    assert any(barriers(lower(REDUCES[name], s)) == 0 for s in found)
    assert all(s.lanes * s.rows <= 64 for s in space(REDUCES[name], Limits(lanes=64)))


@pytest.mark.parametrize(
    ("name", "lanes", "width"),
    [
        ("layer_norm", 4, 4),
        ("softmax", 4, 1),
        ("max_pool", 1, 1),
        ("masked_mean", 1, 1),
        ("one_long_row", 64, 4),
        ("minimum_of_all", 64, 1),
    ],
)
def test_the_default_fits_the_shape(name: str, lanes: int, width: int) -> None:
    best = space(REDUCES[name], Limits())[0]
    assert (best.lanes, best.width) == (lanes, width)


@pytest.mark.parametrize("name", ["depthwise", "softmax_between_rows"])
def test_windows_go_four_rows_at_a_time(name: str) -> None:
    best = space(REDUCES[name], Limits())[0]
    assert best.across
    text = print_kernel(lower(REDUCES[name], best))
    assert "x0.f32x4[" in text
    assert "vec4(" not in text


def test_passes_that_need_nothing_of_each_other_share_a_loop() -> None:
    kernel = lower(REDUCES["masked_mean"], ReduceSchedule())
    assert sum(isinstance(s, loop.For) for s in statements_of(kernel.body)) == 1


@pytest.mark.parametrize(("lanes", "rounds"), [(1, 0), (16, 1), (32, 2), (256, 2)])
def test_lanes_meet_in_at_most_two_rounds(lanes: int, rounds: int) -> None:
    out = Output(F32, s0, i0, p(0))
    passes = (Pass("sum", x(0, i0 * 64 + symbol("r0"))),)
    problem = Reduce((s0,), (64,), (operand(s0 * 64),), passes, (out,))
    assert barriers(lower(problem, ReduceSchedule(lanes, 1, 4))) == rounds


def test_what_is_the_same_for_a_row_is_computed_once() -> None:
    text = print_kernel(lower(REDUCES["layer_norm"], ReduceSchedule(4, 16, 4)))
    assert text.count("inverse_sqrt") == 1
    assert "inverse_sqrt" not in text[text.rindex("for ") :]


def test_neighbouring_lanes_read_neighbours() -> None:
    along = lower(REDUCES["softmax"], ReduceSchedule(4, 16))
    across = lower(REDUCES["masked_mean"], ReduceSchedule(4, 16))
    assert (along.workgroup, across.workgroup) == ((4, 16, 1), (16, 4, 1))


def test_width_4_needs_fours() -> None:
    with pytest.raises(ValueError, match="are no multiple of 4"):
        lower(REDUCES["softmax"], ReduceSchedule(4, 16, 4))


@pytest.mark.parametrize("fields", [(3, 4, 1), (0, 4, 1), (4, 0, 1), (64, 32, 1), (4, 4, 2)])
def test_schedules_that_are_refused(fields: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"not a Reduce schedule|more lanes than a workgroup has"):
        ReduceSchedule(*fields)
