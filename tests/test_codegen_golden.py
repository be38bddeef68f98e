"""A few curated kernels, word for word; each also compiles and matches the interpreter."""

from __future__ import annotations

from collections.abc import Callable

import gpu
import numpy as np
import pytest
from test_lower_attention import attention
from test_lower_attention import feeds as attention_feeds
from test_lower_contract import contract
from test_lower_contract import feeds as contract_feeds
from tolerances import assert_close

from webrt.codegen.wgsl import generate
from webrt.dims import symbol
from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Contract, Problem
from webrt.lower import lower
from webrt.schedule import Schedule
from webrt.schedule.attention import AttentionSchedule
from webrt.schedule.contract import ContractSchedule

ROWS = symbol("s0") * symbol("s1")
TOKENS = (symbol("s0"), symbol("s1"), symbol("s1"))

KERNELS: dict[str, tuple[Problem, Schedule]] = {
    "contract-symbolic": (contract(ROWS, 24, 16), ContractSchedule(2, 4, 2, 4)),
    "contract-literal": (contract(8, 16, 8, epilogue="residual"), ContractSchedule(2, 8, 4, 2)),
    "contract-odd": (contract(3, 5, 6, turn_b=True), ContractSchedule(2, 4, 1, 1)),
    "contract-split-k": (contract(1, 8, 64), ContractSchedule(1, 4, 1, 2, 4)),
    "contract-staged": (contract(ROWS, 32, 16), ContractSchedule(2, 4, 4, 4, 1, 8)),
    "attention": (attention(TOKENS, 2, 8, 8), AttentionSchedule(2, 8, 4, 8, False)),
    "attention-staged": (
        attention(TOKENS, 2, 8, 8), AttentionSchedule(2, 8, 4, 8, False, 8),
    ),
    "attention-held": (
        attention((1, 4, 4), 1, 4, 4, mask="none"), AttentionSchedule(1, 4, 4, 4, True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_golden(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.wgsl", generate(lower(*KERNELS[name])))


@pytest.mark.parametrize("name", KERNELS)
def test_golden_kernels_run(name: str) -> None:
    problem, schedule = KERNELS[name]
    bindings = {"s0": 2, "s1": 3}
    make = contract_feeds if isinstance(problem, Contract) else attention_feeds
    arrays: list[np.ndarray] = make(problem, bindings)  # type: ignore[arg-type]
    kernel = lower(problem, schedule)
    expected = run_problem(kernel, problem, arrays, bindings)
    for output, actual, wanted in zip(
        problem.outputs, gpu.run(kernel, problem, arrays, bindings), expected, strict=True
    ):
        assert_close(actual, wanted, output.dtype, 64, scale=2.0)
