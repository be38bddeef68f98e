"""A few curated kernels as WAT, word for word; each also validates and matches the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import wasm_runner
import wasmtime
from problems import REDUCES
from strategies import random_operands
from test_lower_attention import attention
from test_lower_attention import feeds as attention_feeds
from test_lower_contract import contract
from test_lower_contract import feeds as contract_feeds
from test_lower_cpu_contract import run as run_contract
from tolerances import assert_close
from wat import disassemble, functions

from webrt.codegen import wasm
from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.kernel.expr import Load, call, f32
from webrt.kernel.interpret import run_problem
from webrt.kernel.loop import Kernel
from webrt.kernel.problem import Attention, Contract, Map, Operand, Output, Problem
from webrt.kernel.reference import Array, evaluate_problem
from webrt.lower import lower
from webrt.lower.cpu.panels import repack
from webrt.schedule import Schedule
from webrt.schedule.cpu.attention import CpuAttentionSchedule
from webrt.schedule.cpu.contract import CpuContractSchedule
from webrt.schedule.cpu.map import CpuMapSchedule
from webrt.schedule.cpu.reduce import CpuReduceSchedule

S0, I0 = symbol("s0"), symbol("i0")
BINDINGS = {"s0": 5, "s1": 7}


def swish_and_add() -> Map:
    """out[i] = x[i] / (1 + exp(-x[i])) + y[i]."""
    x, y = (Load(memory, I0, DType.F32) for memory in (0, 1))
    swish = call("div", x, call("add", f32(1.0), call("exp", call("neg", x))))
    operands = (Operand(DType.F32, S0 * 8), Operand(DType.F32, S0 * 8))
    return Map((S0 * 8,), operands, (Output(DType.F32, S0 * 8, I0, call("add", swish, y)),))


KERNELS: dict[str, tuple[Problem, Schedule]] = {
    "map": (swish_and_add(), CpuMapSchedule(4096, 4, 1)),
    "reduce": (REDUCES["softmax"], CpuReduceSchedule(4096, 4, 1)),
    "contract": (
        contract(S0, 8, 6), CpuContractSchedule(2, 8, 2, row_block=4, column_block=8),
    ),
    "attention": (
        attention((1, 4, 8), 1, 4, 4, mask="none"), CpuAttentionSchedule(1, 4, 1, 4, 8, 4, 4),
    ),
}  # fmt: skip


def kernel_of(name: str) -> Kernel:
    problem, schedule = KERNELS[name]
    if isinstance(schedule, CpuContractSchedule):
        assert isinstance(problem, Contract)
        problem, _ = repack(problem, schedule)
    return lower(problem, schedule)


@pytest.mark.parametrize("relaxed", [False, True])
@pytest.mark.parametrize("name", KERNELS)
def test_text_makes_the_same_bytes(name: str, relaxed: bool) -> None:
    code = wasm.module([kernel_of(name)], relaxed)
    assert bytes(wasmtime.wat2wasm(disassemble(code))) == code
    wasmtime.Module.validate(wasm_runner.engine(), code)


@pytest.mark.parametrize("name", KERNELS)
def test_golden(name: str, golden: Callable[[str, str], None]) -> None:
    """The kernel's function alone, in the module with relaxed SIMD."""
    golden(f"wasm/{name}.wat", functions(wasm.module([kernel_of(name)], True))[0])


def feeds(problem: Problem, bindings: Mapping[str, int]) -> list[Array]:
    if isinstance(problem, Contract):
        return contract_feeds(problem, dict(bindings))
    if isinstance(problem, Attention):
        return attention_feeds(problem, dict(bindings))
    return random_operands(problem, dict(bindings))


@pytest.mark.parametrize("relaxed", [False, True])
@pytest.mark.parametrize("name", KERNELS)
def test_golden_kernels_run(name: str, relaxed: bool) -> None:
    problem, schedule = KERNELS[name]
    arrays = feeds(problem, BINDINGS)
    found = [evaluate_problem(problem, arrays, BINDINGS)]
    if isinstance(problem, Contract):
        assert isinstance(schedule, CpuContractSchedule)
        for machine in ("interpreter", "relaxed" if relaxed else "plain"):
            found.append(run_contract(problem, schedule, arrays, dict(BINDINGS), machine))
    else:
        kernel = lower(problem, schedule)
        found.append(run_problem(kernel, problem, arrays, BINDINGS))
        found.append(wasm_runner.run_problem(kernel, problem, arrays, BINDINGS, relaxed))
    expected, *results = found
    for result in results:
        for output, actual, wanted in zip(problem.outputs, result, expected, strict=True):
            assert not np.isnan(wanted).any()
            assert_close(actual, wanted, output.dtype, 64, scale=2.0)
