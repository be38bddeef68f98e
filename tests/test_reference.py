"""The NumPy reference against NumPy written by hand, and what its strict mode sees."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from problems import BOOL, F32, MAPS, REDUCES, i0, i1, operand, s0, x
from strategies import SYMBOLS, assert_close, problems, random_operands

from webrt import dims
from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.kernel.erf import erf
from webrt.kernel.expr import Call, Const, Ref, as_dim, as_index, call, f32, select
from webrt.kernel.problem import Attention, Contract, Map, Operand, Output, Pass, Problem, Reduce
from webrt.kernel.reference import CHUNK, apply, evaluate_problem

generator = np.random.default_rng(7)


def floats(*shape: int) -> np.ndarray:
    return generator.standard_normal(shape).astype(np.float32)


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected.reshape(-1), rtol=2e-5, atol=2e-5)


def test_transpose() -> None:
    data = floats(2, 5, 12, 32)
    (found,) = evaluate_problem(MAPS["transpose"], [data], {"s0": 2, "s1": 5}, strict=True)
    close(found, data.transpose(0, 2, 1, 3))


def test_gather() -> None:
    rows, table = np.array([3, 0, 99], np.int32), floats(100, 8)
    (found,) = evaluate_problem(MAPS["gather"], [rows, table], {"s0": 3}, strict=True)
    close(found, table[rows])


def test_pad_and_concat_read_out_of_range_only_where_nothing_is_selected() -> None:
    data, more = floats(2, 5, 8), floats(2, 3)
    (padded,) = evaluate_problem(MAPS["pad"], [data], {"s0": 2, "s1": 5}, strict=True)
    close(padded, np.pad(data, [(0, 0), (1, 1), (0, 0)]))
    first = floats(2, 5)
    (joined,) = evaluate_problem(MAPS["concat"], [first, more], {"s0": 2, "s1": 5}, strict=True)
    close(joined, np.concatenate([first, more], axis=1))


def test_softmax_and_layer_norm() -> None:
    scores = floats(2, 5, 5)
    (found,) = evaluate_problem(REDUCES["softmax"], [scores], {"s0": 2, "s1": 5}, strict=True)
    power = np.exp(scores - scores.max(-1, keepdims=True))
    close(found, power / power.sum(-1, keepdims=True))
    data, scale, shift = floats(10, 384), floats(384), floats(384)
    (found,) = evaluate_problem(REDUCES["layer_norm"], [data, scale, shift], {"s0": 2, "s1": 5})
    centred = data - data.mean(-1, keepdims=True)
    close(found, centred / np.sqrt(data.var(-1, keepdims=True) + 1e-5) * scale + shift)


def test_arg_max_takes_the_first() -> None:
    data = np.zeros((2, 1000), np.float32)
    data[0, [7, 500]], data[1, 999] = 1, 1
    (found,) = evaluate_problem(REDUCES["arg_max"], [data], {"s0": 2}, strict=True)
    assert found.tolist() == [7, 999]
    assert found.dtype == np.int32


def test_contraction_with_prologue_and_epilogue() -> None:
    b0, m, n, k = (symbol(name) for name in ("b0", "m", "n", "k"))
    problem = Contract(
        (2,), s0, 6, 5, (operand(2 * s0 * 5), operand(30), operand(6)),
        call("mul", x(0, (b0 * s0 + m) * 5 + k), f32(2)), x(1, k * 6 + n),
        (Output(F32, 2 * s0 * 6, (m * 2 + b0) * 6 + n, call("add", Ref("acc", F32), x(2, n))),),
    )  # fmt: skip
    a, b, bias = floats(2, 4, 5), floats(5, 6), floats(6)
    (found,) = evaluate_problem(problem, [a, b, bias], {"s0": 4}, strict=True)
    close(found, (2 * a @ b + bias).transpose(1, 0, 2))


def attention(score: object = None) -> Attention:
    q, t, d, e = (symbol(name) for name in "qtde")
    kept = select(x(3, t, BOOL), Ref("score", F32), f32(-3.4e38))
    return Attention(
        (), 3, s0, 4, 5, (operand(12), operand(s0 * 4), operand(s0 * 5), operand(s0, BOOL)),
        x(0, q * 4 + d), x(1, t * 4 + d), x(2, t * 5 + e), kept,
        (Output(F32, 15, q * 5 + e, Ref("acc", F32)),),
    )  # fmt: skip


def test_attention_under_a_mask() -> None:
    query, key, value = floats(3, 4), floats(6, 4), floats(6, 5)
    mask = np.array([1, 0, 1, 1, 0, 1], bool)
    (found,) = evaluate_problem(attention(), [query, key, value, mask], {"s0": 6}, strict=True)
    power = np.exp(query @ key.T) * mask
    close(found, power / power.sum(-1, keepdims=True) @ value)


def test_attention_with_everything_masked_is_the_mean() -> None:
    value, mask = floats(6, 5), np.zeros(6, np.uint32)
    arrays = [floats(3, 4), floats(6, 4), value, mask]
    (found,) = evaluate_problem(attention(), arrays, {"s0": 6})
    close(found, np.tile(value.mean(0), (3, 1)))


def test_large_spaces_are_cut_into_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = floats(2, 5, 384)
    bindings = {"s0": 2, "s1": 5}
    arrays = [rows, floats(384), floats(384)]
    whole = evaluate_problem(REDUCES["layer_norm"], arrays, bindings)
    assert CHUNK > 10 * 384
    monkeypatch.setattr("webrt.kernel.reference.CHUNK", 400)
    assert_close(whole, evaluate_problem(REDUCES["layer_norm"], arrays, bindings, strict=True))


@given(problems())
@settings(max_examples=40)
def test_windows_and_strictness_change_nothing(problem: Problem) -> None:
    arrays = random_operands(problem, SYMBOLS)
    expected = evaluate_problem(problem, arrays, SYMBOLS, strict=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("webrt.kernel.reference.CHUNK", 16)
        assert_close(expected, evaluate_problem(problem, arrays, SYMBOLS))


def test_strict_sees_a_load_out_of_range() -> None:
    problem = Map((4,), (operand(4),), (Output(F32, 4, i0, x(0, i0 + 1)),))
    evaluate_problem(problem, [floats(4)], {})
    with pytest.raises(IndexError, match="output 0 depends on a load that is out of range"):
        evaluate_problem(problem, [floats(4)], {}, strict=True)


def test_strict_sees_a_gather_out_of_range() -> None:
    table = [np.array([0, 1, 100], np.int32), floats(100, 8)]
    with pytest.raises(IndexError, match="out of range"):
        evaluate_problem(MAPS["gather"], table, {"s0": 3}, strict=True)


def test_strict_sees_an_output_that_is_no_bijection() -> None:
    twice = Map((4,), (), (Output(F32, 4, i0 // 2, f32(1)),))
    with pytest.raises(IndexError, match="element 0 is written 2 times"):
        evaluate_problem(twice, [], {}, strict=True)


def test_a_store_out_of_range_raises() -> None:
    problem = Map((4,), (), (Output(F32, 4, i0 + 1, f32(1)),))
    with pytest.raises(IndexError, match="a store at i0 \\+ 1 is out of range"):
        evaluate_problem(problem, [], {})


def test_an_operand_of_another_size_raises() -> None:
    with pytest.raises(ValueError, match="operand 0 has 3 elements, expected 4"):
        evaluate_problem(Map((4,), (operand(4),), (Output(F32, 4, i0, x(0, i0)),)), [floats(3)], {})


def test_a_prefix_sum_of_integers_stays_integer() -> None:
    r0 = symbol("r0")
    kept = call("le", as_index(r0), as_index(i0))
    value = select(kept, x(0, r0, DType.I32), Const(0, DType.I32))
    problem = Reduce(
        (5,), (5,), (Operand(DType.I32, 5),), (Pass("sum", value),),
        (Output(DType.I32, 5, i0, Ref("p0", DType.I32)),),
    )  # fmt: skip
    data = np.array([1 << 30, 1, 1, 1 << 30, -5], np.int32)
    (found,) = evaluate_problem(problem, [data], {}, strict=True)
    assert found.tolist() == np.cumsum(data, dtype=np.int32).tolist()


def test_erf_is_exact_to_float() -> None:
    points = np.linspace(-7, 7, 10001, dtype=np.float32)
    expected = np.array([math.erf(p) for p in points.tolist()])
    assert np.abs(erf(points) - expected).max() < 1e-7


@pytest.mark.parametrize(
    ("op", "args", "expected"),
    [
        ("div", [-7, 2], -3), ("div", [7, -2], -3), ("div", [5, 0], 0), ("mod", [-7, 2], 1),
        ("mod", [7, -2], -1), ("mod", [7, 0], 0), ("add", [2**31 - 1, 1], -(2**31)),
        ("mul", [1 << 20, 1 << 20], 0), ("pow", [3, 4], 81), ("sign", [-9], -1), ("abs", [-3], 3),
    ],
)  # fmt: skip
def test_integer_operations(op: str, args: list[int], expected: int) -> None:
    with np.errstate(all="ignore"):
        found = apply(op, [np.array([a], np.int32) for a in args], DType.I32)
    assert found.tolist() == [expected]


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (-1.7, DType.I32, -1), (3e9, DType.I32, 2**31 - 1), (-1.0, DType.U32, 0),
        (0.3, DType.BOOL, True), (-0.0, DType.BOOL, False),
    ],
)  # fmt: skip
def test_casts(value: float, dtype: DType, expected: int) -> None:
    assert apply("cast", [np.array([value], np.float32)], dtype).tolist() == [expected]


def test_float_operations() -> None:
    half = np.array([0.5, 1.5, -2.5], np.float32)
    assert apply("round", [half], DType.F32).tolist() == [0, 2, -2]
    two = np.array([2, 2, 2], np.float32)
    assert apply("mod", [-half - 2, two], DType.F32).tolist() == [-0.5, -1.5, 0.5]


def test_a_problem_has_no_four_lanes() -> None:
    wide = Call("splat", (f32(1),), F32, 4)
    with pytest.raises(ValueError, match="has no place in a problem"):
        evaluate_problem(Map((4,), (), (Output(F32, 4, i0, wide),)), [], {})


def test_an_index_of_a_loaded_index() -> None:
    first = as_dim(x(0, i0, DType.I32))
    second = as_dim(x(0, first, DType.I32))
    problem = Map((4, 2), (Operand(DType.I32, 4),), (
        Output(DType.I32, 8, i0 * 2 + i1, as_index(second * 10 + i1)),))  # fmt: skip
    data = np.array([3, 2, 1, 0], np.int32)
    (found,) = evaluate_problem(problem, [data], {}, strict=True)
    assert found.tolist() == [10 * data[data[j]] + k for j in range(4) for k in range(2)]
    assert dims.evaluate(problem.outputs[0].size, {}) == 8
