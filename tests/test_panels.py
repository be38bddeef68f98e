"""Constants in panels: what a packer makes, which operands get one, which problems stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import wasm_runner
from test_lower_contract import B, contract

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel.check import check_problem
from webrt.kernel.expr import Load, Ref, as_dim, call
from webrt.kernel.problem import Contract, Map, Operand, Output
from webrt.kernel.reference import evaluate_problem
from webrt.lower import lower
from webrt.lower.cpu.panels import in_panels, repack
from webrt.schedule import CpuLimits, default
from webrt.schedule.cpu.contract import CpuContractSchedule

F32, I32 = DType.F32, DType.I32
M, N, K = (symbol(name) for name in ("m", "n", "k"))
EIGHT = CpuContractSchedule(4, 8)


def panels_of(matrix: np.ndarray, columns: int) -> np.ndarray:
    """[k, n] as [n / columns][k][columns], zeros behind the last column."""
    k, n = matrix.shape
    padded = np.zeros((k, -(-n // columns) * columns), matrix.dtype)
    padded[:, :n] = matrix
    return np.ascontiguousarray(padded.reshape(k, -1, columns).swapaxes(0, 1)).reshape(-1)


@pytest.mark.parametrize("n", [1, 7, 8, 21, 24])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("columns", [4, 8, 12])
def test_a_packer_lays_a_matrix_out(n: int, turned: bool, columns: int) -> None:
    problem = contract(symbol("s0"), n, 5, turn_b=turned)
    repacked, (panel,) = repack(problem, replace(EIGHT, columns=columns, column_block=columns))
    assert panel.operand == 1
    check_problem(repacked)
    check_problem(panel.problem)
    b = np.random.default_rng(0).normal(size=(5, n)).astype(np.float32)
    (made,) = evaluate_problem(panel.problem, [b.T if turned else b], {}, strict=True)
    np.testing.assert_array_equal(made, panels_of(b, columns))
    assert repacked.operands[1] == Operand(F32, made.size, True)
    assert in_panels(repacked, columns)  # type: ignore[arg-type]


def test_a_packed_problem_means_the_same_and_is_not_packed_again() -> None:
    problem = contract(symbol("s0"), 21, 5)
    repacked, (panel,) = repack(problem, EIGHT)
    random = np.random.default_rng(0)
    a, b, bias = (random.normal(size=size).astype(np.float32) for size in (15, 105, 21))
    (expected,) = evaluate_problem(problem, [a, b, bias], {"s0": 3})
    (panels,) = evaluate_problem(panel.problem, [b], {})
    (found,) = evaluate_problem(repacked, [a, panels, bias], {"s0": 3})
    np.testing.assert_array_equal(found, expected)
    assert repack(repacked, EIGHT) == (repacked, ())


def test_packers_run_as_kernels_of_their_own() -> None:
    _, (panel,) = repack(contract(symbol("s0"), 21, 5, turn_b=True), EIGHT)
    b = np.random.default_rng(0).normal(size=(21, 5)).astype(np.float32)
    kernel = lower(panel.problem, default(panel.problem, CpuLimits()))
    (made,) = wasm_runner.run_problem(kernel, panel.problem, [b], {})
    np.testing.assert_array_equal(made, panels_of(b.T, 8))


def test_problems_that_lay_out_alike_share_a_packer() -> None:
    first, second = (contract(m, 21, 5, epilogue=e) for m, e in ((7, "bias"), (8, "none")))
    assert repack(first, EIGHT)[1] == repack(second, EIGHT)[1]


def test_a_batch_of_constants() -> None:
    """b has a matrix for every b0; b1, a symbol, it doesn't depend on."""
    b1 = symbol("b1")
    a = Load(0, ((B * symbol("s0") + b1) * 3 + M) * 5 + K, F32)
    b = Load(1, (B * 5 + K) * 10 + N, F32)
    rows = symbol("s0") * 2
    offset = ((B * symbol("s0") + b1) * 3 + M) * 10 + N
    output = Output(F32, rows * 30, offset, Ref("acc", F32))
    operands = (Operand(F32, rows * 15), Operand(F32, 100, True))
    problem = Contract((2, symbol("s0")), 3, 10, 5, operands, a, b, (output,))
    repacked, (panel,) = repack(problem, EIGHT)
    matrices = np.random.default_rng(0).normal(size=(2, 5, 10)).astype(np.float32)
    (made,) = evaluate_problem(panel.problem, [matrices], {}, strict=True)
    np.testing.assert_array_equal(made, np.concatenate([panels_of(x, 8) for x in matrices]))
    check_problem(repacked)
    assert isinstance(panel.problem, Map)
    assert panel.problem.axes == (2, 2, 5, 8)


def simple(b: Load, size: Dim, constant: bool = True, n: Dim = 10) -> Contract:
    rows = symbol("s0")
    operands = (Operand(F32, rows * 5), Operand(b.dtype, size, constant), Operand(I32, 5))
    output = Output(F32, rows * n, M * n + N, Ref("acc", F32))
    return Contract((), rows, n, 5, operands, Load(0, M * 5 + K, F32), b, (output,))


@pytest.mark.parametrize(
    "problem",
    [
        simple(Load(1, K * 10 + N, F32), 50, constant=False),
        simple(Load(1, K * symbol("s1") + N, F32), symbol("s1") * 5, n=symbol("s1")),
        simple(Load(1, as_dim(Load(2, K, I32)) * 10 + N, F32), 50),
        simple(Load(1, K * symbol("s1") + N, F32), 5000),
    ],
    ids=["no constant", "unknown columns", "gathered", "a stride of the model"],
)
def test_what_stays_as_it_is(problem: Contract) -> None:
    assert repack(problem, EIGHT) == (problem, ())


def test_a_constant_that_something_else_reads_stays() -> None:
    problem = simple(Load(1, K * 10 + N, F32), 50)
    assert repack(problem, EIGHT)[1]
    (output,) = problem.outputs
    biased = replace(output, expr=call("add", output.expr, Load(1, N, F32)))
    used = replace(problem, outputs=(biased,))
    assert repack(used, EIGHT) == (used, ())


def test_schedules_that_want_no_panels_get_none() -> None:
    problem = contract(symbol("s0"), 21, 5)
    assert repack(problem, replace(EIGHT, panels=False)) == (problem, ())


def test_panels_hold_what_they_must_and_no_more() -> None:
    _, (panel,) = repack(contract(symbol("s0"), 50257, 768), EIGHT)
    assert dims.evaluate(panel.problem.outputs[0].size, {}) == 50264 * 768
