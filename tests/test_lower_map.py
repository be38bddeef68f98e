"""Every schedule of a Map computes the Map: in the interpreter, and on a software adapter."""

from __future__ import annotations

import gpu
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import MAPS, i0, i1, operand, s0, s1, x
from strategies import SYMBOLS, assert_close, maps, random_operands

from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.axes import collapse_map
from webrt.kernel.expr import Load, lanes_of, walk
from webrt.kernel.interpret import run_problem
from webrt.kernel.loop import Kernel
from webrt.kernel.problem import Map, Output
from webrt.kernel.reference import evaluate_problem
from webrt.kernel.text import parse_kernel, parse_problem, print_kernel
from webrt.lower.common import exprs_of, statements_of
from webrt.lower.map import lower
from webrt.schedule.base import Limits
from webrt.schedule.map import MapSchedule, space

BINDINGS = [{"s0": 2, "s1": 5}, {"s0": 3, "s1": 16}, {"s0": 1, "s1": 1}]


@pytest.mark.parametrize("name", MAPS)
def test_every_schedule_in_the_interpreter(name: str) -> None:
    problem = MAPS[name]
    for bindings in BINDINGS[:1] if "bias" in name else BINDINGS[::2]:
        operands = random_operands(problem, bindings, rows=100)
        expected = evaluate_problem(problem, operands, bindings, strict=True)
        for schedule in space(problem, Limits()):
            kernel = lower(problem, schedule)
            assert_close(expected, run_problem(kernel, problem, operands, bindings))


@pytest.mark.parametrize("bindings", BINDINGS, ids=str)
@pytest.mark.parametrize("name", MAPS)
def test_some_schedules_on_an_adapter(name: str, bindings: dict[str, int]) -> None:
    problem = MAPS[name]
    operands = random_operands(problem, bindings, rows=100)
    expected = evaluate_problem(problem, operands, bindings)
    for schedule in space(problem, Limits())[::7]:
        found = gpu.run(lower(problem, schedule), problem, operands, bindings)
        assert_close(expected, found)


@given(maps(), st.data())
@settings(max_examples=60)
def test_random_maps(problem: Map, data: st.DataObject) -> None:
    schedule = data.draw(st.sampled_from(space(problem, Limits())))
    operands = random_operands(problem, SYMBOLS)
    expected = evaluate_problem(problem, operands, SYMBOLS, strict=True)
    kernel = lower(problem, schedule)
    assert parse_kernel(print_kernel(kernel)) == kernel
    assert_close(expected, run_problem(kernel, problem, operands, SYMBOLS))


@given(maps())
@settings(max_examples=15)
def test_random_maps_on_an_adapter(problem: Map) -> None:
    operands = random_operands(problem, SYMBOLS)
    expected = evaluate_problem(problem, operands, SYMBOLS)
    kernel = lower(problem, space(problem, Limits())[0])
    assert_close(expected, gpu.run(kernel, problem, operands, SYMBOLS))


@given(maps())
@settings(max_examples=60)
def test_collapsing_axes_changes_nothing(problem: Map) -> None:
    operands = random_operands(problem, SYMBOLS)
    merged = collapse_map(problem)
    assert len(merged.axes) <= len(problem.axes)
    expected = evaluate_problem(problem, operands, SYMBOLS)
    assert_close(expected, evaluate_problem(merged, operands, SYMBOLS, strict=True))


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("add_and_compare", "(7*s0*s1,)"),
        ("bias_gelu", "(s0*s1, 384)"),
        ("transpose", "(s0, 12, s1, 32)"),
        ("transpose_inner", "(s0, 384, s1)"),
        ("scalar", "()"),
    ],
)
def test_axes_that_need_no_index_are_merged(name: str, axes: str) -> None:
    found = collapse_map(MAPS[name]).axes
    assert str(found).replace("<", "").replace(">", "") == axes


def test_axes_run_as_the_output_lies() -> None:
    i2 = symbol("i2")
    out = Output(DType.F32, 8 * s0 * s0, (i2 * s0 + i0) * s0 + i1, x(0, i1 * 8 + i2))
    problem = Map((s0, s0, 8), (operand(8 * s0),), (out,))
    merged = collapse_map(problem)
    assert merged.axes == (8, s0, s0)
    assert merged.outputs[0].offset == (i0 * s0 + i1) * s0 + i2
    operands = random_operands(problem, {"s0": 5})
    expected = evaluate_problem(problem, operands, {"s0": 5})
    assert_close(expected, evaluate_problem(merged, operands, {"s0": 5}, strict=True))


@pytest.mark.parametrize("name", MAPS)
def test_a_space_is_small_and_without_doubles(name: str) -> None:
    found = space(MAPS[name], Limits())
    assert 0 < len(found) <= 64
    assert len(set(found)) == len(found)
    assert all(s.lanes <= 32 for s in space(MAPS[name], Limits(lanes=32)))


def loads_of(kernel: Kernel) -> list[Load]:
    found = [e for s in statements_of(kernel.body) for x in exprs_of(s) for e in walk(x)]
    return [e for e in found if isinstance(e, Load)]


@pytest.mark.parametrize("name", ["bias_gelu", "transpose", "gather"])
def test_the_default_moves_four_elements_at_a_time(name: str) -> None:
    kernel = lower(MAPS[name], space(MAPS[name], Limits())[0])
    stores = [s for s in statements_of(kernel.body) if isinstance(s, loop.Store)]
    assert [lanes_of(s.expr) for s in stores] == [4]
    assert all(e.lanes == 4 for e in loads_of(kernel) if e.dtype is DType.F32)


def test_what_two_outputs_share_is_computed_once() -> None:
    kernel = lower(MAPS["add_and_compare"], MapSchedule())
    assert len(loads_of(kernel)) == 2


def test_a_contiguous_map_divides_nothing() -> None:
    kernel = lower(MAPS["add_and_compare"], MapSchedule())
    assert "//" not in print_kernel(kernel).split("\n", 3)[3]


def test_a_grid_is_folded_below_the_limit() -> None:
    problem = Map((1 << 24,), (), (Output(DType.I32, 1 << 24, i0, x(0, 0, DType.I32)),))
    problem = Map(problem.axes, (operand(1, DType.I32),), problem.outputs)
    grid = lower(problem, MapSchedule(64)).grid
    assert grid == (65535, 5, 1)
    assert 65535 * 5 * 64 >= 1 << 24


def test_width_4_needs_fours() -> None:
    problem = Map((s0, 6), (operand(6 * s0),), (Output(DType.F32, s0 * 6, i0 * 6 + i1, x(0, i1)),))
    with pytest.raises(ValueError, match="the innermost extent 6 is no multiple of 4"):
        lower(problem, MapSchedule(64, 4))


@pytest.mark.parametrize("fields", [(0, 1), (2048, 1), (64, 2), (64, 4, 0), (64, 4, 17)])
def test_schedules_that_are_refused(fields: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not a Map schedule"):
        MapSchedule(*fields)


def test_a_kernel_names_the_symbols_that_it_reads() -> None:
    problem = Map((s0, s1), (operand(s1),), (Output(DType.F32, s0 * s1, i0 * s1 + i1, x(0, i1)),))
    kernel = lower(problem, space(problem, Limits())[0])
    assert kernel.symbols == ("s0", "s1")


def test_fours_that_are_stored_apart() -> None:
    """Of two outputs in different orders, one can't be stored four by four at once."""
    problem = parse_problem(
        "map\n  over i0 < 4, i1 < 8\n  in x0: f32[32]\n"
        "  out x1: f32[32] at 8*i0 + i1 = x0.f32[8*i0 + i1] + 1.0\n"
        "  out x2: f32[32] at i0 + 4*i1 = x0.f32[8*i0 + i1] * 2.0\n"
    )
    assert isinstance(problem, Map)
    operands = [np.arange(32, dtype=np.float32)]
    expected = evaluate_problem(problem, operands, {})
    found = run_problem(lower(problem, MapSchedule(32, 4), "turned"), problem, operands, {})
    assert_close(expected, found)
