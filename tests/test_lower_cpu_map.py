"""Every schedule of a Map for CPUs computes the Map, in the interpreter and as wasm."""

from __future__ import annotations

from collections.abc import Sequence

import cpu_problems
import problems
import pytest
import wasm_runner
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SYMBOLS, assert_close, maps, random_operands

from webrt import dims
from webrt.dtypes import DType
from webrt.errors import CompileError
from webrt.kernel import loop
from webrt.kernel.expr import Load, lanes_of, walk
from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Map, Operand, Output
from webrt.kernel.reference import evaluate_problem
from webrt.kernel.text import parse_kernel, print_kernel
from webrt.lower.common import exprs_of, statements_of
from webrt.lower.cpu.map import lower
from webrt.schedule.base import CpuLimits
from webrt.schedule.cpu.map import CpuMapSchedule, space

MAPS = {**problems.MAPS, **cpu_problems.MAPS}
BINDINGS = [{"s0": 2, "s1": 5}, {"s0": 3, "s1": 16}, {"s0": 1, "s1": 1}]


def by_default(name: str) -> loop.Kernel:
    problem = MAPS[name]
    return lower(problem, space(problem, CpuLimits())[0], "main")


def loads_in(body: Sequence[loop.Stmt]) -> list[Load]:
    found = [e for s in statements_of(body) for x in exprs_of(s) for e in walk(x)]
    return [e for e in found if isinstance(e, Load)]


def loops_in(body: Sequence[loop.Stmt]) -> list[loop.For]:
    return [s for s in statements_of(body) if isinstance(s, loop.For)]


@pytest.mark.parametrize("name", MAPS)
def test_every_schedule_as_wasm(name: str) -> None:
    problem = MAPS[name]
    for bindings in BINDINGS:
        operands = random_operands(problem, bindings)
        expected = evaluate_problem(problem, operands, bindings, strict=True)
        for j, schedule in enumerate(space(problem, CpuLimits())):
            kernel = lower(problem, schedule, name)
            found = wasm_runner.run_problem(kernel, problem, operands, bindings, j % 2 == 1)
            assert_close(expected, found)


@given(maps(), st.data())
@settings(max_examples=100)
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


@pytest.mark.parametrize("name", ["bias_gelu", "transpose", "add_and_compare", "gather", "pad"])
def test_the_default_moves_four_elements_at_a_time(name: str) -> None:
    innermost = [f for f in loops_in(by_default(name).body) if not loops_in(f.body)]
    stores = [s for s in statements_of(innermost[0].body) if isinstance(s, loop.Store)]
    assert all(lanes_of(s.expr) == 4 for s in stores)
    floats = [e for e in loads_in(innermost[0].body) if e.dtype is DType.F32]
    assert floats
    assert all(e.lanes == 4 for e in floats)


@pytest.mark.parametrize("name", [n for n in MAPS if n not in ("enlarged twice", "heads split")])
def test_loops_over_elements_divide_nothing(name: str) -> None:
    for outer in loops_in(by_default(name).body):
        text = print_body(outer.body)
        assert "//" not in text
        assert "%" not in text


def print_body(body: tuple[loop.Stmt, ...]) -> str:
    return print_kernel(loop.Kernel("main", (), (), (), (1, 1, 1), (1, 1, 1), body))


def test_a_transpose_reads_sixteen_rows_side_by_side() -> None:
    (first, *_) = [f for f in loops_in(by_default("transpose_inner").body) if f.name == "t"]
    assert len(loads_in(first.body)) == 16
    for load in loads_in(first.body):
        assert dims.substitute(load.offset, {"t": dims.symbol("t") + 1}) - load.offset == 1


def test_what_is_known_of_a_row_is_decided_ahead_of_its_loop() -> None:
    text = print_kernel(by_default("pad"))
    assert text.count("if ") == 2
    assert "select" not in text
    assert "max(" not in text.partition("wg0")[2]


def test_a_row_of_a_table_is_found_once() -> None:
    text = print_kernel(by_default("indices of indices"))
    assert text.count("x1.i32[") == 1


def test_a_bias_by_position_is_computed_once_for_all_heads() -> None:
    kernel = by_default("a position's bias")
    text = print_kernel(kernel)
    assert text.count("* 2") == 1
    assert [e.lanes for e in loads_in(kernel.body)] == [4, 4]


def test_what_two_outputs_share_is_computed_once() -> None:
    (first, *_) = loops_in(by_default("add_and_compare").body)
    stores = [s for s in first.body if isinstance(s, loop.Store)]
    assert len(loads_in(first.body)) == len(stores)  # two operands, two outputs


@pytest.mark.parametrize("elements", [1024, 4096, 16384])
def test_a_unit_has_about_as_many_elements_as_asked(elements: int) -> None:
    problem = MAPS["bias_gelu"]
    kernel = lower(problem, CpuMapSchedule(elements), "main")
    units = dims.evaluate(kernel.grid[0], {"s0": 4, "s1": 500})
    assert elements / 2 <= 2000 * 384 / units <= elements * 2


def test_halves_are_refused() -> None:
    out = Output(DType.F16, 4, dims.symbol("i0"), Load(0, dims.symbol("i0"), DType.F16))
    problem = Map((4,), (Operand(DType.F16, 4),), (out,))
    with pytest.raises(CompileError, match="add: kernels for CPUs have no f16"):
        lower(problem, CpuMapSchedule(), "add")


@pytest.mark.parametrize("fields", [(8, 4, 1), (4096, 2, 1), (4096, 4, 0), (4096, 4, 9)])
def test_schedules_that_are_refused(fields: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not a Map schedule for CPUs"):
        CpuMapSchedule(*fields)
