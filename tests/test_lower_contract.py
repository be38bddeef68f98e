"""Contract: every schedule of a random problem computes what the oracle does, on a device too."""

from __future__ import annotations

import gpu
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import assert_close

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel.expr import Const, Expr, Load, Ref, as_index, call, f32
from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Contract, Operand, Output, Problem
from webrt.kernel.reference import evaluate_problem
from webrt.lower import lower
from webrt.schedule import Limits, default, from_json, space, to_json
from webrt.schedule.contract import ContractSchedule

F32 = DType.F32
B, M, N, K = (symbol(name) for name in ("b0", "m", "n", "k"))
ACC = Ref("acc", F32)


def contract(
    m: Dim, n: Dim, k: Dim, batch: tuple[Dim, ...] = (), *, turn_a: bool = False,
    turn_b: bool = False, epilogue: str = "bias", prologue: bool = False, heads: int = 1,
) -> Contract:  # fmt: skip
    """a [b, m, k] or [b, k, m], b [b, k, n] or [b, n, k], bias [n], residual [b, m, n]."""
    count: Dim = batch[0] if batch else 1
    at: Dim = B if batch else 0
    a: Expr = Load(0, at * m * k + (K * m + M if turn_a else M * k + K), F32)
    if prologue:  # zero the even places of a: an expression that isn't a plain load
        even = call("eq", as_index((M + K) % 2), as_index(0))
        a = call("select", even, f32(0.0), call("mul", a, f32(2.0)))
    b = Load(1, at * n * k + (N * k + K if turn_b else K * n + N), F32)
    flat = at * m * n + M * n + N
    # [b, heads, m, n / heads] where there are heads
    size = n // heads
    split = at * m * n + (N // size) * (m * size) + M * size + N % size
    operands = [Operand(F32, count * m * k), Operand(F32, count * k * n, True)]
    result: Expr = ACC
    if epilogue in ("bias", "gelu"):
        operands.append(Operand(F32, n, True))
        result = call("add", result, Load(2, N, F32))
    if epilogue == "gelu":
        inner = call("add", call("erf", call("mul", result, f32(0.70710678))), f32(1.0))
        result = call("mul", call("mul", result, f32(0.5)), inner)
    if epilogue == "residual":
        operands.append(Operand(F32, count * m * n))
        result = call("add", result, Load(2, flat, F32))
    outputs = [Output(F32, count * m * n, split, result)]
    if epilogue == "two":
        positive = call("gt", ACC, Const(0.0, F32))
        outputs.append(Output(DType.BOOL, count * m * n, flat, positive))
    return Contract(batch, m, n, k, tuple(operands), a, b, tuple(outputs))


@st.composite
def contracts(draw: st.DrawFn) -> tuple[Contract, dict[str, int]]:
    m, k = draw(st.integers(1, 40)), draw(st.integers(1, 21))
    heads = draw(st.sampled_from([1, 1, 2, 3]))
    n = heads * draw(st.sampled_from([1, 2, 4, 5, 8, 12, 20, 24]))
    count = draw(st.sampled_from([0, 1, 3]))
    batch: tuple[Dim, ...] = (symbol("s1"),) if count else ()
    rows: Dim = m
    kind = draw(st.sampled_from(["literal", "symbol", "product"]))
    if kind != "literal":
        rows = symbol("s0") * (2 if kind == "product" else 1)
    bindings = {"s0": m, "s1": count}
    flags = {name: draw(st.booleans()) for name in ("turn_a", "turn_b", "prologue")}
    epilogue = draw(st.sampled_from(["none", "bias", "gelu", "residual", "two"]))
    return contract(rows, n, k, batch, heads=heads, epilogue=epilogue, **flags), bindings


def feeds(problem: Problem, bindings: dict[str, int], seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [
        random.normal(size=dims.evaluate(o.size, bindings)).astype(np.float32)
        for o in problem.operands
    ]


def check(
    problem: Contract,
    schedule: ContractSchedule,
    bindings: dict[str, int],
    drivers: tuple[str, ...],
) -> None:
    """The interpreter and the devices against the oracle."""
    arrays = feeds(problem, bindings)
    expected = evaluate_problem(problem, arrays, bindings)
    kernel = lower(problem, schedule)
    length = dims.evaluate(problem.k, bindings)
    results = [run_problem(kernel, problem, arrays, bindings)]
    results += [gpu.run(kernel, problem, arrays, bindings, driver) for driver in drivers]
    for result in results:
        for output, actual, wanted in zip(problem.outputs, result, expected, strict=True):
            if output.dtype is DType.BOOL:  # the sign of a sum that is about zero may differ
                assert np.mean(actual != wanted) < 0.02
            else:
                assert_close(actual, wanted, output.dtype, length, scale=4.0)


def of_dtypes(operands: DType, result: DType) -> Contract:
    """[5, 9] · [9, 8], accumulated in `result`."""
    a, b = Load(0, M * 9 + K, operands), Load(1, K * 8 + N, operands)
    inputs = (Operand(operands, 45), Operand(operands, 72, True))
    output = Output(result, 40, M * 8 + N, Ref("acc", result))
    return Contract((), 5, 8, 9, inputs, a, b, (output,))


@pytest.mark.parametrize("dtype", [DType.F16, DType.I32])
def test_dtypes(dtype: DType) -> None:
    """Halves are added up in f32, integers as they are."""
    problem = of_dtypes(dtype, F32 if dtype.is_float else dtype)
    random = np.random.default_rng(0)
    arrays = [(random.normal(size=o.size) * 4).astype(gpu.NUMPY[dtype]) for o in problem.operands]
    a, b = (x.astype(np.float32).reshape(s) for x, s in zip(arrays, ((5, 9), (9, 8)), strict=True))
    (actual,) = gpu.run(lower(problem, default(problem)), problem, arrays)
    assert_close(actual, (a @ b).reshape(-1).astype(actual.dtype), problem.outputs[0].dtype, 9, 16)


@pytest.mark.parametrize("size", [1, 6, 8, 19])
def test_every_extent_may_be_a_symbol(size: int) -> None:
    problem = contract(symbol("s0"), symbol("s1"), symbol("s2"), (symbol("s3"),), turn_b=True)
    bindings = {"s0": 5, "s1": size, "s2": size + 1, "s3": 2}
    for schedule in space(problem)[::5]:
        check(problem, schedule, bindings, ())
    check(problem, default(problem), bindings, ("lavapipe",))


@settings(max_examples=60)
@given(contracts(), st.data())
def test_random_problems_and_schedules(
    problem: tuple[Contract, dict[str, int]], data: st.DataObject
) -> None:
    contract, bindings = problem
    schedule = data.draw(st.sampled_from(space(contract)))
    check(contract, schedule, bindings, ())


@settings(max_examples=12)
@given(contracts(), st.data())
def test_random_problems_on_a_device(
    problem: tuple[Contract, dict[str, int]], data: st.DataObject
) -> None:
    contract, bindings = problem
    schedule = data.draw(st.sampled_from(space(contract)[::3]))
    check(contract, schedule, bindings, ("lavapipe",))


EVERY = contract(symbol("s0"), 24, 22, turn_b=True)
QUADS = contract(symbol("s0"), 72, 24)
THIN = contract(1, 24, 70)


@pytest.mark.parametrize("schedule", space(EVERY), ids=str)
def test_every_schedule_of_a_problem(schedule: ContractSchedule) -> None:
    check(EVERY, schedule, {"s0": 19}, ())


@pytest.mark.parametrize(
    "schedule", [s for s in space(QUADS) if s.stage or s.lanes_k > 1][::2], ids=str
)
def test_workgroup_memory_on_a_device(schedule: ContractSchedule) -> None:
    check(QUADS, schedule, {"s0": 19}, ("lavapipe",))


@pytest.mark.swiftshader
@pytest.mark.parametrize("problem", [EVERY, QUADS, THIN], ids=["turned", "quads", "thin"])
def test_defaults_on_swiftshader(problem: Contract) -> None:
    check(problem, default(problem), {"s0": 9}, ("swiftshader",))  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [1, 7, 33])
def test_one_kernel_serves_every_length(length: int) -> None:
    problem = contract(symbol("s0") * symbol("s1"), 12, 8, epilogue="gelu")
    check(problem, default(problem), {"s0": 2, "s1": length}, ("lavapipe",))  # type: ignore[arg-type]


def test_more_rows_than_a_grid_has_places() -> None:
    """A grid folds where an extent may exceed 65535."""
    problem = contract(symbol("s0"), 4, 4, epilogue="none")
    schedule = ContractSchedule(1, 4, 1, 1)
    kernel = lower(problem, schedule)
    rows = 70000
    assert [dims.evaluate(g, {"s0": rows}) for g in kernel.grid] == [65535, 2, 1]
    arrays = feeds(problem, {"s0": rows})
    (expected,) = evaluate_problem(problem, arrays, {"s0": rows})
    (actual,) = gpu.run(kernel, problem, arrays, {"s0": rows})
    assert_close(actual, expected, F32, 4, scale=4.0)


def test_a_space_is_small_legal_and_starts_with_the_default() -> None:
    for problem in (EVERY, QUADS, THIN):
        schedules = space(problem)
        assert schedules[0] == default(problem)
        assert len(set(schedules)) == len(schedules) <= 64
        assert all(s.lanes <= 256 for s in schedules)  # type: ignore[union-attr]


def test_limits_prune_a_space() -> None:
    few = space(QUADS, Limits(lanes=32, workgroup_bytes=2048))
    assert 1 < len(few) < len(space(QUADS))
    assert all(s.lanes <= 32 for s in few)  # type: ignore[union-attr]
    assert all(s.workgroup_bytes <= 2048 for s in few)  # type: ignore[union-attr]


def test_schedules_survive_json() -> None:
    for schedule in space(QUADS):
        assert from_json(to_json(schedule)) == schedule


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 0}, {"columns": 6}, {"rows": "8"}, {"rows": True}, {"lanes_m": 512},
        {"family": "none"}, {"extra": 1}, {"stage": 3}, {"stage": 16, "lanes_k": 2},
    ],
    ids=str,
)  # fmt: skip
def test_malformed_schedules_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"schedule|tile|lanes|stage|is no|has \["):
        from_json({**to_json(ContractSchedule(8, 8, 4, 8)), **change})
