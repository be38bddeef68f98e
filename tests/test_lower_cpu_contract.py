"""Contract on CPUs: every schedule of a random problem computes what the oracle does."""

from __future__ import annotations

import numpy as np
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from test_lower_contract import contracts, feeds
from tolerances import assert_close

from webrt import dims
from webrt.dtypes import DType
from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Contract
from webrt.kernel.reference import evaluate_problem
from webrt.lower import lower
from webrt.lower.cpu.panels import repack
from webrt.schedule import CpuLimits, space
from webrt.schedule.cpu.contract import CpuContractSchedule


def run(
    problem: Contract,
    schedule: CpuContractSchedule,
    arrays: list[np.ndarray],
    bindings: dict[str, int],
) -> list[np.ndarray]:
    """The outputs as the kernel computes them, of operands that were packed in panels first."""
    repacked, panels = repack(problem, schedule)
    packed = list(arrays)
    for panel in panels:
        (packed[panel.operand],) = evaluate_problem(panel.problem, [arrays[panel.operand]], {})
    kernel = lower(repacked, schedule)
    return run_problem(kernel, repacked, packed, bindings)


def check(problem: Contract, schedule: CpuContractSchedule, bindings: dict[str, int]) -> None:
    arrays = feeds(problem, bindings)
    expected = evaluate_problem(problem, arrays, bindings)
    result = run(problem, schedule, arrays, bindings)
    length = dims.evaluate(problem.k, bindings)
    for output, actual, wanted in zip(problem.outputs, result, expected, strict=True):
        if output.dtype is DType.BOOL:  # the sign of a sum that is about zero may differ
            assert np.mean(actual != wanted) < 0.02
        else:
            assert_close(actual, wanted, output.dtype, length, scale=4.0)


@settings(max_examples=60, deadline=None)
@given(contracts(), st.data())
def test_random_problems_and_schedules(
    problem: tuple[Contract, dict[str, int]], data: st.DataObject
) -> None:
    one, bindings = problem
    schedule = data.draw(st.sampled_from(space(one, CpuLimits())))
    check(one, schedule, bindings)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(strategies.contracts(), st.data())
def test_random_expressions(problem: Contract, data: st.DataObject) -> None:
    schedule = data.draw(st.sampled_from(space(problem, CpuLimits())))
    bindings = strategies.SYMBOLS
    arrays = strategies.random_operands(problem, bindings)
    expected = evaluate_problem(problem, arrays, bindings)
    strategies.assert_close(expected, run(problem, schedule, arrays, bindings))  # type: ignore[arg-type]
