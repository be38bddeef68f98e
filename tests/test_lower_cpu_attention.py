"""Attention for CPUs: every schedule of a random problem computes what the oracle does, in wasm
too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import strategies
import wasm_runner
from hypothesis import given, settings
from hypothesis import strategies as st
from test_lower_attention import LOWEST, D, E, Q, T, attention, feeds
from tolerances import assert_close

from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.errors import CompileError
from webrt.kernel.expr import Expr, Load, Ref, as_dim, as_index, call, cast, f32
from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Attention, Operand, Output
from webrt.kernel.reference import evaluate_problem
from webrt.lower import lower
from webrt.schedule import CpuLimits, Schedule, default, from_json, space, to_json
from webrt.schedule.cpu.attention import CpuAttentionSchedule

F32, I32, BOOL = DType.F32, DType.I32, DType.BOOL
CPU = CpuLimits()
B = symbol("b0")


def check(
    problem: Attention,
    schedule: Schedule,
    bindings: dict[str, int],
    arrays: list[np.ndarray] | None = None,
    scale: float = 2.0,
    interpret: bool = False,
) -> None:
    """Wasm, relaxed and not, and the interpreter (slow) against the oracle."""
    arrays = feeds(problem, bindings) if arrays is None else arrays
    expected = evaluate_problem(problem, arrays, bindings)
    kernel = lower(problem, schedule)
    results = [run_problem(kernel, problem, arrays, bindings)] if interpret else []
    for relaxed in (False, True):
        results.append(wasm_runner.run_problem(kernel, problem, arrays, bindings, relaxed))
    for actual in results:
        for output, found, wanted in zip(problem.outputs, actual, expected, strict=True):
            assert not np.isnan(wanted).any()
            assert_close(found, wanted, output.dtype, 64, scale=scale)


def default_of(problem: Attention) -> CpuAttentionSchedule:
    schedule = default(problem, CPU)
    assert isinstance(schedule, CpuAttentionSchedule)
    return schedule


@st.composite
def attentions(draw: st.DrawFn, longest: int) -> tuple[Attention, dict[str, int]]:
    bindings = {
        f"s{j}": draw(st.integers(1, top)) for j, top in enumerate((2, longest // 2, longest))
    }
    sizes: tuple[Dim, Dim, Dim] = (symbol("s0"), symbol("s1"), symbol("s2"))
    if draw(st.booleans()):
        sizes = (bindings["s0"], bindings["s1"], bindings["s2"])
    d, e = (draw(st.sampled_from([4, 5, 8, 12, 32])) for _ in range(2))
    mask = draw(st.sampled_from(["none", "padding", "full", "causal"]))
    heads = draw(st.integers(1, 3))
    return attention(sizes, heads, d, e, mask=mask, turn_key=draw(st.booleans())), bindings


@settings(max_examples=40)
@given(attentions(longest=150), st.data())
def test_random_problems_and_schedules(
    problem: tuple[Attention, dict[str, int]], data: st.DataObject
) -> None:
    attention, bindings = problem
    check(attention, data.draw(st.sampled_from(space(attention, CPU))), bindings)


@settings(max_examples=10)
@given(attentions(longest=12), st.data())
def test_random_problems_in_the_interpreter(
    problem: tuple[Attention, dict[str, int]], data: st.DataObject
) -> None:
    attention, bindings = problem
    schedule = data.draw(st.sampled_from(space(attention, CPU)))
    check(attention, schedule, bindings, interpret=True)


@settings(max_examples=60)
@given(strategies.attentions(), st.integers(1, 3), st.integers(1, 5), st.data())
def test_any_legal_problem(
    problem: Attention, first: int, second: int, data: st.DataObject
) -> None:
    bindings = {"s0": first, "s1": second}
    arrays = strategies.random_operands(problem, bindings)
    expected = evaluate_problem(problem, arrays, bindings)
    kernel = lower(problem, data.draw(st.sampled_from(space(problem, CPU))))
    strategies.assert_close(expected, run_problem(kernel, problem, arrays, bindings))
    strategies.assert_close(expected, wasm_runner.run_problem(kernel, problem, arrays, bindings))


LENGTHS = [(1, 1), (1, 7), (1, 300), (7, 128), (128, 7), (33, 65), (300, 300)]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("mask", ["none", "padding", "full", "causal"])
@pytest.mark.parametrize("symbolic", [False, True])
def test_lengths(lengths: tuple[int, int], mask: str, symbolic: bool) -> None:
    """Whole blocks of keys and rows, tails of all kinds; one kernel serves every length."""
    sizes: tuple[Dim, Dim, Dim] = (2, *lengths)
    if symbolic:
        sizes = (symbol("s0"), symbol("s1"), symbol("s2"))
    problem = attention(sizes, 2, 8, 12, mask=mask)
    bindings = {"s0": 2, "s1": lengths[0], "s2": lengths[1]}
    check(problem, default_of(problem), bindings)


@pytest.mark.parametrize(
    ("d", "e"), [(32, 32), (64, 64), (80, 80), (5, 5), (64, 20), (3, 7), (4, 300)]
)
@pytest.mark.parametrize("turn_key", [False, True])
@pytest.mark.parametrize("q", [1, 9])
def test_depths(d: int, e: int, turn_key: bool, q: int) -> None:
    problem = attention((1, q, 70), 3, d, e, turn_key=turn_key)
    check(problem, default_of(problem), {})


BERT = attention((symbol("s0"), symbol("s1"), symbol("s1")), 2, 8, 20)


@pytest.mark.parametrize("schedule", space(BERT, CPU), ids=str)
@pytest.mark.parametrize("length", [1, 75, 97])
def test_every_schedule_of_a_problem(schedule: CpuAttentionSchedule, length: int) -> None:
    check(BERT, schedule, {"s0": 1, "s1": length})


@pytest.mark.parametrize("symbolic", ["d", "e", "de"])
def test_dynamic_depths(symbolic: str) -> None:
    d, e = (symbol("s0" if name == "d" else "s1") if name in symbolic else 8 for name in "de")
    operands = tuple(Operand(F32, size) for size in (9 * d, 70 * d, 70 * e))
    problem = Attention(
        (), 9, 70, d, e, operands, Load(0, Q * d + D, F32), Load(1, T * d + D, F32),
        Load(2, T * e + E, F32), Ref("score", F32),
        (Output(F32, 9 * e, Q * e + E, Ref("acc", F32)),),
    )  # fmt: skip
    for schedule in space(problem, CPU)[:3]:
        for size in (6, 150):
            check(problem, schedule, {"s0": size, "s1": size}, scale=4.0)


def test_several_outputs_bias_and_gathered_keys() -> None:
    """Rows of keys by number, a bias by head, outputs of two types in two layouts."""
    q, t, d, e = 6, 21, 8, 12
    operands = (
        Operand(F32, 2 * q * d), Operand(F32, 50 * d), Operand(F32, 2 * t * e), Operand(I32, t),
        Operand(F32, 2 * q * t), Operand(BOOL, t), Operand(F32, e),
    )  # fmt: skip
    row = as_dim(Load(3, T, I32))
    score: Expr = call("add", Ref("score", F32), Load(4, (B * q + Q) * t + T, F32))
    score = call("select", Load(5, T, BOOL), score, f32(LOWEST))
    plus = call("add", Ref("acc", F32), Load(6, E, F32))
    outputs = (
        Output(F32, 2 * q * e, (B * q + Q) * e + E, plus),
        Output(F32, 2 * q * e, (B * e + E) * q + Q, call("tanh", Ref("acc", F32))),
        Output(I32, 2 * q * e, (B * q + Q) * e + E, as_index(Q * 3 + E)),
    )
    problem = Attention(
        (2,), q, t, d, e, operands, Load(0, (B * q + Q) * d + D, F32), Load(1, row * d + D, F32),
        Load(2, (B * t + T) * e + E, F32), score, outputs,
    )  # fmt: skip
    random = np.random.default_rng(1)
    arrays: list[np.ndarray] = [
        random.normal(size=int(o.size)).astype(np.float32)  # type: ignore[arg-type]
        for o in operands
    ]
    arrays[3] = random.integers(0, 50, t).astype(np.int32)
    arrays[5] = random.random(t) < 0.6
    for schedule in (default_of(problem), space(problem, CPU)[-1]):
        check(problem, schedule, {}, arrays)


@pytest.mark.parametrize("q", [1, 5])
@pytest.mark.parametrize("low", [LOWEST, -3.0e38, -np.inf])
def test_a_row_without_keys_is_the_mean_of_values(low: float, q: int) -> None:
    """Whatever number, or sum of numbers, masks: those scores are one and the same."""
    problem = attention((1, q, 70), 1, 4, 4, mask="full")
    arrays = feeds(problem, {})
    arrays[3] = np.full(q * 70, low, np.float32)
    arrays[3][::2] = LOWEST
    mean = np.tile(arrays[2].reshape(70, 4).mean(axis=0), q)
    kernel = lower(problem, default_of(problem))
    for relaxed in (False, True):
        (actual,) = wasm_runner.run_problem(kernel, problem, arrays, {}, relaxed)
        assert_close(actual, mean, F32, 70)


def test_large_scores_do_not_overflow() -> None:
    problem = attention((1, 5, 70), 1, 4, 4, mask="none")
    arrays = [a * 100 for a in feeds(problem, {})]
    check(problem, default_of(problem), {}, arrays, scale=200.0)


def test_units_run_in_any_order_on_several_threads() -> None:
    arrays = feeds(BERT, {"s0": 2, "s1": 75})
    (expected,) = evaluate_problem(BERT, arrays, {"s0": 2, "s1": 75})
    kernel = lower(BERT, default_of(BERT))
    (actual,) = wasm_runner.run_problem(kernel, BERT, arrays, {"s0": 2, "s1": 75}, threads=3)
    assert_close(actual, expected, F32, 64, scale=2.0)


def test_a_space_is_small_and_starts_with_the_default() -> None:
    for problem in (BERT, attention((1, 1, 9), 1, 5, 300), attention((1, 9, 9), 1, 600, 4)):
        schedules = space(problem, CPU)
        assert schedules[0] == default(problem, CPU)
        assert len(set(schedules)) == len(schedules) <= 64
        assert all(from_json(to_json(s)) == s for s in schedules)


@pytest.mark.parametrize(
    "change",
    [{"rows": 0}, {"columns": 6}, {"keys": 5}, {"few": True}, {"row_block": 7}, {"width": 2}],
    ids=str,
)
def test_malformed_schedules_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"range|four by four|is no|tile|eight|columns"):
        from_json({**to_json(default(BERT, CPU)), **change})


def test_rows_of_unknown_depth_have_no_place_in_scratch() -> None:
    problem = replace(attention((1, 9, 9), 1, 4, 4), d=symbol("s0"))
    with pytest.raises(ValueError, match="d = s0"):
        lower(problem, default_of(BERT))


def test_halves_are_refused() -> None:
    half = Output(DType.F16, 4, E, cast(Ref("acc", F32), DType.F16))
    problem = attention((1, 1, 9), 1, 4, 4)
    with pytest.raises(CompileError, match="no f16"):
        lower(replace(problem, outputs=(half,)), default_of(problem))
