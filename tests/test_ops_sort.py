"""TopK and cumulative sums over rows that take several steps, against NumPy."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_text
import pytest
from onnx import helper, numpy_helper

from webrt.kernel.check import check_problem
from webrt.passes.evaluate import evaluate_plan
from webrt.passes.pipeline import build


def _top_k(shape: list[int | str], axis: int, k: int, largest: bool) -> onnx.ModelProto:
    node = helper.make_node("TopK", ["x", "k"], ["v", "i"], axis=axis, largest=int(largest))
    kinds = onnx.TensorProto
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", kinds.FLOAT, shape)],
        [
            helper.make_tensor_value_info("v", kinds.FLOAT, None),
            helper.make_tensor_value_info("i", kinds.INT64, None),
        ],
        [numpy_helper.from_array(np.array([k], np.int64), "k")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(
    ("shape", "axis", "k"),
    [
        ((3, 200), 1, 200),  # one group
        ((2, 5000), 1, 9),  # a tournament of rounds of groups
        ((1500, 3), 0, 700),  # sorted whole, by the network
        ((1, 3000), 1, 600),  # sorted runs, and the better halves of pairs
    ],
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_the_best_come_in_order_and_equal_ones_by_place(
    shape: tuple[int, int], axis: int, k: int, largest: bool, symbolic: bool
) -> None:
    if symbolic and k > 512:
        pytest.skip("a network for any length has 200 steps: too slow to evaluate here")
    dims: list[int | str] = list(shape)
    if symbolic:
        dims[axis] = "n"
    built = build(onnx_text.graph(_top_k(dims, axis, k, largest)))
    for problem in built.plan.problems:
        check_problem(problem)
    x = np.round(np.random.default_rng(0).standard_normal(shape) * 20).astype(np.float32)
    x[:, 1] = -np.inf if largest else np.inf
    found = evaluate_plan(built, {"x": x})
    order = np.argsort(-x if largest else x, axis=axis, kind="stable").take(range(k), axis)
    np.testing.assert_array_equal(found["i"], order)
    np.testing.assert_array_equal(found["v"], np.take_along_axis(x, order, axis))


def test_a_k_is_what_there_is_of_at_most_so_many() -> None:
    """How detectors choose: the best 300 boxes, or all where an image has fewer."""
    proto = onnx_text.model("""
        g (float[n, h, w] x) => (float[n, k] v, int64[n, k] i) {
            rows = Constant <value_ints = [0, -1]> ()
            most = Constant <value_int = 7> ()
            one = Constant <value_ints = [1]> ()
            flat = Reshape (x, rows)
            shape = Shape (flat)
            length = Gather (shape, one)
            k = Clip (length, , most)
            v, i = TopK (flat, k)
        }""")
    built = build(onnx_text.graph(proto))
    assert not built.plan.flow  # nothing is read while it runs
    assert len(built.plan.steps) < 30  # a tournament, not a network for any length
    for shape in ((2, 1, 3), (1, 5, 40), (2, 30, 50)):
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        found = evaluate_plan(built, {"x": x})
        flat = x.reshape(shape[0], -1)
        order = np.argsort(-flat, kind="stable")[:, :7]
        np.testing.assert_array_equal(found["i"], order)
        np.testing.assert_array_equal(found["v"], np.take_along_axis(flat, order, 1))


def test_rows_of_many_dims_are_sorted_whole() -> None:
    """Two dims of up to 2^20 make a row of more: its network has the steps."""
    proto = onnx_text.model("""
        g (float[h, w] x) => (float[m] v, int64[m] i) {
            whole = Constant <value_ints = [-1]> ()
            flat = Reshape (x, whole)
            k = Shape (flat)
            v, i = TopK (flat, k)
        }""")
    built = build(onnx_text.graph(proto))
    merges = 28
    assert len(built.plan.steps) >= merges * (merges + 1) // 2


def test_a_tournament_s_work_grows_with_the_row_not_with_its_square() -> None:
    def work(n: int) -> int:
        built = build(onnx_text.graph(_top_k([1, n], 1, 10, True)))
        total = 0
        for problem in built.plan.problems:
            volume = 1
            for extent in (*problem.axes, *getattr(problem, "reduced", ())):  # type: ignore[union-attr]
                volume *= extent
            total += volume
        return total

    assert work(80_000) < 9 * work(10_000)


def test_a_k_beyond_the_row_is_refused() -> None:
    with pytest.raises(Exception, match="expected a k of at most 5, found 6"):
        onnx_text.graph(_top_k([5], 0, 6, True))


@pytest.mark.parametrize("op", ["CumSum", "CumProd"])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("n", ["70", "5000", "n"])
def test_cumulative(op: str, exclusive: int, reverse: int, n: str) -> None:
    text = f"""
        g (float[2, {n}, 3] x) => (float[2, {n}, 3] y) <int64 axis = {{1}}> {{
            y = {op} <exclusive = {exclusive}, reverse = {reverse}> (x, axis)
        }}"""
    built = build(onnx_text.graph(onnx_text.model(text, 26)))
    length = 4500 if n == "n" else int(n)
    x = np.random.default_rng(0).uniform(0.98, 1.02, (2, length, 3)).astype(np.float32)
    flipped = np.flip(x, 1) if reverse else x
    function = np.cumsum if op == "CumSum" else np.cumprod
    wanted = function(flipped.astype(np.float64), 1)
    if exclusive:
        start = np.full((2, 1, 3), 0.0 if op == "CumSum" else 1.0)
        wanted = np.concatenate([start, wanted[:, :-1]], 1)
    wanted = np.flip(wanted, 1) if reverse else wanted
    found = evaluate_plan(built, {"x": x})["y"]
    np.testing.assert_allclose(found, wanted, rtol=2e-5)
