"""Attention: every schedule of a random problem computes what the oracle does, on a device too."""

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
from webrt.kernel.expr import Expr, Load, Ref, as_index, call, f32
from webrt.kernel.interpret import run_problem
from webrt.kernel.problem import Attention, Operand, Output
from webrt.kernel.reference import evaluate_problem
from webrt.lower import lower
from webrt.schedule import default, from_json, space, to_json
from webrt.schedule.attention import AttentionSchedule

F32 = DType.F32
B, H, Q, T, D, E = (symbol(name) for name in ("b0", "b1", "q", "t", "d", "e"))
LOWEST = -3.4028234663852886e38


def attention(
    sizes: tuple[Dim, Dim, Dim], heads: int, d: int, e: int, *, mask: str = "padding",
    turn_key: bool = False,
) -> Attention:  # fmt: skip
    """query [b, q, h·d], key [b, t, h·d] or [b, h, d, t], value [b, t, h·e], out [b, q, h·e]."""
    batch, q, t = sizes
    turned, plain = ((B * heads + H) * d + D) * t + T, (B * t + T) * heads * d + H * d + D
    operands = [
        Operand(F32, batch * q * heads * d),
        Operand(F32, batch * t * heads * d),
        Operand(F32, batch * t * heads * e),
    ]
    score: Expr = call("mul", Ref("score", F32), f32(d**-0.5))
    if mask == "padding":
        operands.append(Operand(F32, batch * t))
        score = call("add", score, Load(3, B * t + T, F32))
    elif mask == "full":
        operands.append(Operand(F32, q * t))
        score = call("add", score, Load(3, Q * t + T, F32))
    elif mask == "causal":
        seen = call("le", as_index(T), as_index(Q))
        score = call("select", seen, score, f32(LOWEST))
    out = (B * q + Q) * heads * e + H * e + E
    return Attention(
        (batch, heads), q, t, d, e, tuple(operands),
        Load(0, (B * q + Q) * heads * d + H * d + D, F32),
        Load(1, turned if turn_key else plain, F32),
        Load(2, (B * t + T) * heads * e + H * e + E, F32),
        score, (Output(F32, batch * q * heads * e, out, Ref("acc", F32)),),
    )  # fmt: skip


def feeds(problem: Attention, bindings: dict[str, int]) -> list[np.ndarray]:
    """Random q, k, v; of a mask, every third value and the whole last row are masked out."""
    random = np.random.default_rng(0)
    sizes = [dims.evaluate(o.size, bindings) for o in problem.operands]
    arrays = [random.normal(size=size).astype(np.float32) * 2 for size in sizes]
    if len(arrays) == 4:
        mask = np.where(np.arange(sizes[3]) % 3 == 1, LOWEST, 0.0)
        mask[-dims.evaluate(problem.t, bindings) :] = LOWEST
        arrays[3] = mask.astype(np.float32)
    return arrays


def check(
    problem: Attention, schedule: object, bindings: dict[str, int], drivers: tuple[str, ...] = ()
) -> None:
    """The interpreter and the devices against the oracle."""
    arrays = feeds(problem, bindings)
    (expected,) = evaluate_problem(problem, arrays, bindings)
    kernel = lower(problem, schedule)  # type: ignore[arg-type]
    results = [run_problem(kernel, problem, arrays, bindings)]
    results += [gpu.run(kernel, problem, arrays, bindings, driver) for driver in drivers]
    assert not np.isnan(expected).any()
    for (actual,) in results:
        assert_close(actual, expected, F32, 64, scale=2.0)


@st.composite
def attentions(draw: st.DrawFn) -> tuple[Attention, dict[str, int]]:
    bindings = {f"s{j}": draw(st.integers(1, top)) for j, top in enumerate((2, 19, 21))}
    symbolic = draw(st.booleans())
    sizes: tuple[Dim, Dim, Dim] = (symbol("s0"), symbol("s1"), symbol("s2"))
    if not symbolic:
        sizes = (bindings["s0"], bindings["s1"], bindings["s2"])
    d, e = (draw(st.sampled_from([4, 5, 8, 12, 32])) for _ in range(2))
    mask = draw(st.sampled_from(["none", "padding", "full", "causal"]))
    heads = draw(st.integers(1, 3))
    return attention(sizes, heads, d, e, mask=mask, turn_key=draw(st.booleans())), bindings


@settings(max_examples=50)
@given(attentions(), st.data())
def test_random_problems_and_schedules(
    problem: tuple[Attention, dict[str, int]], data: st.DataObject
) -> None:
    attention, bindings = problem
    check(attention, data.draw(st.sampled_from(space(attention))), bindings)


@settings(max_examples=6)
@given(attentions())
def test_random_problems_on_a_device(problem: tuple[Attention, dict[str, int]]) -> None:
    attention, bindings = problem
    check(attention, default(attention), bindings, ("lavapipe",))


SYMBOLIC = (symbol("s0"), symbol("s1"), symbol("s1"))
BERT = attention(SYMBOLIC, 2, 8, 8)


@pytest.mark.parametrize("schedule", space(BERT), ids=str)
def test_every_schedule_of_a_problem(schedule: AttentionSchedule) -> None:
    check(BERT, schedule, {"s0": 2, "s1": 9})


@pytest.mark.parametrize("driver", ["lavapipe", "swiftshader"])
def test_holding_the_query_on_a_device(driver: str) -> None:
    check(BERT, AttentionSchedule(2, 8, 8, 8, True), {"s0": 2, "s1": 9}, (driver,))


@pytest.mark.parametrize("length", [1, 21, 32])
def test_keys_through_workgroup_memory_on_a_device(length: int) -> None:
    schedule = AttentionSchedule(2, 4, 4, 8, False, 16)
    check(BERT, schedule, {"s0": 2, "s1": length}, ("lavapipe", "swiftshader"))


@pytest.mark.parametrize("length", [1, 7, 40])
@pytest.mark.parametrize("driver", ["lavapipe", "swiftshader"])
def test_one_kernel_serves_every_length(length: int, driver: str) -> None:
    check(BERT, default(BERT), {"s0": 2, "s1": length}, (driver,))


def test_large_heads_are_cut_into_columns() -> None:
    problem = attention((1, 5, 6), 1, 160, 132)
    assert default(problem).columns == 64  # type: ignore[union-attr]
    check(problem, default(problem), {}, ("lavapipe",))


@pytest.mark.parametrize("low", [LOWEST, -3.0e38, -np.inf])
def test_a_row_without_keys_is_the_mean_of_values(low: float) -> None:
    """Whatever number, or sum of numbers, masks: those scores are one and the same."""
    problem = attention((1, 3, 6), 1, 4, 4, mask="full")
    arrays = feeds(problem, {})
    arrays[3] = np.full(18, low, np.float32)
    arrays[3][::2] = LOWEST
    kernel = lower(problem, default(problem))
    mean = np.tile(arrays[2].reshape(6, 4).mean(axis=0), 3)
    for driver in ("lavapipe", "swiftshader"):
        (actual,) = gpu.run(kernel, problem, arrays, {}, driver)
        assert_close(actual, mean, F32, 6)


def test_large_scores_do_not_overflow() -> None:
    problem = attention((1, 4, 8), 1, 4, 4, mask="none")
    arrays = [a * 100 for a in feeds(problem, {})]
    (expected,) = evaluate_problem(problem, arrays, {})
    (actual,) = gpu.run(lower(problem, default(problem)), problem, arrays, {})
    assert_close(actual, expected, F32, 64, scale=200.0)


def test_a_space_is_small_and_starts_with_the_default() -> None:
    schedules = space(BERT)
    assert schedules[0] == default(BERT)
    assert len(set(schedules)) == len(schedules) <= 64
    assert all(from_json(to_json(s)) == s for s in schedules)


@pytest.mark.parametrize(
    "change",
    [{"rows": 0}, {"columns": 6}, {"keys": 5}, {"hold": 1}, {"lanes": 1000}, {"stage": 6}],
    ids=str,
)
def test_malformed_schedules_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"range|four by four|is no|stage"):
        from_json({**to_json(default(BERT)), **change})


def test_an_odd_depth_can_not_be_held() -> None:
    with pytest.raises(ValueError, match="d = 5"):
        lower(attention((1, 2, 2), 1, 5, 4), AttentionSchedule(1, 4, 4, 8, True))
