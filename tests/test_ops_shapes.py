"""Shape arithmetic in the exporters' spellings: evaluated on symbols, it leaves nothing to run."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest
from runtimes import lowered

from webrt.errors import ShapeError
from webrt.frontend.onnx import from_proto
from webrt.graph.evaluate import evaluate
from webrt.graph.ir import Graph
from webrt.kernel.reference import Array
from webrt.ops.registry import compute
from webrt.passes.lower import lower


def _graph(text: str, opset: int = 17) -> Graph:
    header = f'<ir_version: 8, opset_import: ["" : {opset}]>\n'
    return from_proto(onnx.parser.parse_model(header + text), "m.onnx")


def _shapes(graph: Graph) -> list[str]:
    return ["[" + ", ".join(map(str, v.shape)) + "]" for v in graph.outputs]


def _both(graph: Graph, **feeds: Array) -> list[Array]:
    """The outputs by the problems, held to those by the references."""
    expected = evaluate(graph, feeds, compute)
    found = lowered(graph, feeds)
    for value, array in zip(graph.outputs, found, strict=True):
        np.testing.assert_allclose(array, expected[value], rtol=1e-5, atol=1e-6)
    return found


SPLIT_HEADS = """g (float[batch, seq, 12] x) => (float[a, b, c, d] y) {
    shape = Shape (x)
    zero = Constant <value = int64 {0}> ()
    one = Constant <value = int64 {1}> ()
    b0 = Gather <axis = 0> (shape, zero)
    s0 = Gather <axis = 0> (shape, one)
    axes = Constant <value_ints = [0]> ()
    b1 = Unsqueeze (b0, axes)
    s1 = Unsqueeze (s0, axes)
    three = Constant <value_ints = [3]> ()
    four = Constant <value_ints = [4]> ()
    target = Concat <axis = 0> (b1, s1, three, four)
    r = Reshape (x, target)
    y = Transpose <perm = [0, 2, 1, 3]> (r)
}"""

EXPAND_WITH_EQUAL = """g (float[batch, seq] x) => (float[a, b] y) {
    shape = Shape (x)
    rank = Shape (shape)
    ones = ConstantOfShape <value = int64[1] {1}> (rank)
    minus = Constant <value = int64 {-1}> ()
    target = Mul (ones, minus)
    same = Equal (shape, target)
    chosen = Where (same, ones, shape)
    seed = Constant <value = float[1, 1] {2}> ()
    e = Expand (seed, chosen)
    y = Add (e, x)
}"""

POSITIONS = """g (int64[batch, seq] ids) => (int64[a, b] y) {
    shape = Shape (ids)
    one = Constant <value_ints = [1]> ()
    two = Constant <value_ints = [2]> ()
    s = Slice (shape, one, two)
    axes = Constant <value_ints = [0]> ()
    length = Squeeze (s, axes)
    zero = Constant <value_int = 0> ()
    step = Constant <value_int = 1> ()
    range = Range (zero, length, step)
    row = Unsqueeze (range, axes)
    e = Expand (row, shape)
    y = Add (e, one)
}"""

FLATTEN_BACK = """g (float[batch, seq, 4] x) => (float[a, b, 4] y, int64 size) {
    minus = Constant <value_ints = [-1, 4]> ()
    flat = Reshape (x, minus)
    shape = Shape <start = 0, end = 2> (x)
    four = Constant <value_ints = [4]> ()
    target = Concat <axis = 0> (shape, four)
    y = Reshape (flat, target)
    size = Size (x)
}"""


@pytest.mark.parametrize(
    ("text", "ops", "shapes"),
    [
        (SPLIT_HEADS, ["Reshape", "Transpose"], ["[s0, 3, s1, 4]"]),
        (EXPAND_WITH_EQUAL, ["Expand", "Add"], ["[s0, s1]"]),
        (POSITIONS, ["Range", "Unsqueeze", "Expand", "Add"], ["[s0, s1]"]),
        (FLATTEN_BACK, ["Reshape", "Reshape"], ["[s0, s1, 4]", "[]"]),
    ],
)
def test_shape_arithmetic_leaves_nothing(text: str, ops: list[str], shapes: list[str]) -> None:
    graph = _graph(text)
    assert [n.op for n in graph.nodes] == ops
    assert _shapes(graph) == shapes
    info = graph.inputs[0]
    feed = np.arange(24).reshape(2, 12) if len(info.shape) == 2 else np.ones((2, 3, 12))
    if len(info.shape) == 3 and info.shape[2] == 4:
        feed = np.ones((2, 3, 4))
    _both(graph, **{info.name: feed.astype(info.dtype.onnx_name)})


def test_a_shape_that_is_an_output_is_written() -> None:
    graph = _graph("g (float[n, 3, m] x) => (int64[3] y) { y = Shape (x) }")
    assert graph.nodes == ()
    np.testing.assert_array_equal(_both(graph, x=np.ones((2, 3, 4), np.float32))[0], [2, 3, 4])


@pytest.mark.parametrize(
    ("start", "end", "step", "shape", "expected"),
    [
        (1, 2**63 - 1, 1, "[s0 - 1]", [1, 2, 3, 4, 5, 6]),
        (0, -1, 1, "[s0 - 1]", [0, 1, 2, 3, 4, 5]),
        (-1, -(2**63), -1, "[s0]", [6, 5, 4, 3, 2, 1, 0]),
        (0, 4, 1, "[min(4, s0)]", [0, 1, 2, 3]),
        (0, 2**63 - 1, 2, "[((s0 + 1) // 2)]", [0, 2, 4, 6]),
    ],
)
def test_slices_of_a_dynamic_dim(
    start: int, end: int, step: int, shape: str, expected: list[int]
) -> None:
    graph = _graph(f"""g (float[n] x) => (float[m] y) {{
        s = Constant <value_ints = [{start}]> ()
        e = Constant <value_ints = [{end}]> ()
        a = Constant <value_ints = [0]> ()
        k = Constant <value_ints = [{step}]> ()
        y = Slice (x, s, e, a, k)
    }}""")
    assert _shapes(graph) == [shape]
    np.testing.assert_array_equal(_both(graph, x=np.arange(7, dtype=np.float32))[0], expected)


def test_a_table_of_positions_is_cut_to_the_length() -> None:
    graph = _graph("""g (float[batch, seq, 2] x) => (float[a, b, 2] y) {
        positions = Constant <value = int64[1, 5] {0, 1, 2, 3, 4}> ()
        zero = Constant <value_ints = [0]> ()
        one = Constant <value_ints = [1]> ()
        shape = Shape (x)
        length = Gather <axis = 0> (shape, one)
        cut = Slice (positions, zero, length, one)
        table = Constant <value = float[5, 2] {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}> ()
        rows = Gather (table, cut)
        y = Add (x, rows)
    }""")
    assert _shapes(graph) == ["[s0, s1, 2]"]
    found = _both(graph, x=np.zeros((1, 3, 2), np.float32))[0]
    np.testing.assert_array_equal(found[0], [[0, 1], [2, 3], [4, 5]])
    (values,) = [n for n in lower(graph).nodes if n.name.startswith("Slice")]
    assert values.inputs == ()  # the positions count up: no memory holds them


@pytest.mark.parametrize("parts", [2, 3])
def test_a_dynamic_dim_splits_unevenly_since_opset_18(parts: int) -> None:
    names = ", ".join(f"y{j}" for j in range(parts))
    outputs = ", ".join(f"float[m{j}] y{j}" for j in range(parts))
    graph = _graph(
        f"g (float[n] x) => ({outputs}) {{ {names} = Split <num_outputs = {parts}> (x) }}", 18
    )
    x = np.arange(7, dtype=np.float32)
    expected = [x[:4], x[4:]] if parts == 2 else [x[:3], x[3:6], x[6:]]
    for found, wanted in zip(_both(graph, x=x), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_dynamic_dims_that_must_be_equal_are_one_symbol() -> None:
    graph = _graph("""g (float[a, 2] x, float[b, c] z, float[?, 3] u, float[?, ?] w)
        => (float[d, e] y) {
            xz = Add (x, z)
            xzu = Concat <axis = 1> (xz, u)
            y = MatMul (xzu, w)
    }""")
    assert [s.name for s in graph.symbols] == ["a", "w.1"]
    shapes = ["s0 2", "s0 2", "s0 3", "5 s1"]
    assert [" ".join(map(str, v.shape)) for v in graph.inputs] == shapes


def test_dims_that_can_t_be_equal_don_t_broadcast() -> None:
    text = "g (float[a, 2] x) => (float[c, 2] y) { z = Concat <axis = 0> (x, x, x) y = Add (x, z) }"
    message = (
        r"node 'Add_1' \(Add\): expected shapes that broadcast, found \[s0, 2\] and \[3\*s0, 2\]"
    )
    with pytest.raises(ShapeError, match=message):
        _graph(text)


def test_gather_nd_through_ranges_stays_in_bounds() -> None:
    graph = _graph("""g (bool[batch, seq] mask) => (bool[a, b] y) {
        shape = Shape (mask)
        i0 = Constant <value_int = 0> ()
        i1 = Constant <value_int = 1> ()
        n = Gather (shape, i0)
        m = Gather (shape, i1)
        rows = Range (i0, n, i1)
        columns = Range (i0, m, i1)
        last = Constant <value_ints = [-1]> ()
        first = Constant <value_ints = [0]> ()
        r1 = Unsqueeze (rows, last)
        r = Expand (r1, shape)
        c1 = Unsqueeze (columns, first)
        c = Expand (c1, shape)
        r2 = Unsqueeze (r, last)
        c2 = Unsqueeze (c, last)
        index = Concat <axis = -1> (r2, c2)
        y = GatherND (mask, index)
    }""")
    mask = np.array([[True, False, True], [False, False, True]])
    np.testing.assert_array_equal(_both(graph, mask=mask)[0], mask)


def test_a_constant_scalar_stays_one() -> None:
    graph = _graph("""g (float[n] x) => (float[n] y) {
        two = Constant <value_float = 2.0> ()
        shape = Shape (two)
        same = Expand (two, shape)
        turned = Transpose (same)
        y = Mul (x, turned)
    }""")
    (found,) = _both(graph, x=np.array([1, 2], np.float32))
    assert found.tolist() == [2, 4]


def test_an_empty_constant_expands_to_a_dynamic_batch() -> None:
    graph = _graph("""g (float[batch, 2] x) => (float[b, c, 2] y) {
        shape = Shape <start = 0, end = 1> (x)
        one = Constant <value_ints = [1]> ()
        target = Concat <axis = 0> (shape, one, one)
        none = Constant <value = float[1, 0, 2] {}> ()
        empty = Expand (none, target)
        row = Unsqueeze (x, one)
        y = Concat <axis = 1> (empty, row)
    }""")
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(_both(graph, x=x)[0], x[:, None])


def test_padding_to_a_multiple_is_known_by_shapes() -> None:
    """(4 - n mod 4) mod 4, as exporters spell it for blocks of a sequence."""
    graph = _graph("""g (float[n] x) => (float[m] y) {
        length = Shape (x)
        four = Constant <value_ints = [4]> ()
        minus = Constant <value_ints = [-1]> ()
        zero = Constant <value_ints = [0]> ()
        over = Mod (length, four)
        under = Mul (over, minus)
        most = Add (four, under)
        missing = Mod (most, four)
        pads = Concat <axis = 0> (zero, missing)
        y = Pad (x, pads)
    }""")
    assert len(graph.nodes) == 1  # nothing is read from the device
    for count in (4, 5, 7):
        x = np.arange(1, count + 1, dtype=np.float32)
        expected = np.pad(x, (0, -count % 4))
        np.testing.assert_array_equal(_both(graph, x=x)[0], expected)


def test_a_quotient_that_may_be_negative_rounds_to_zero() -> None:
    graph = _graph("""g (float[n] x) => (int64[m] y) {
        zero = Constant <value = int64 {0}> ()
        one = Constant <value = int64 {1}> ()
        two = Constant <value = int64 {2}> ()
        four = Constant <value = int64 {4}> ()
        shape = Shape (x)
        length = Gather <axis = 0> (shape, zero)
        less = Sub (length, four)
        half = Div (less, two)
        count = Add (half, two)
        y = Range (zero, count, one)
    }""")
    assert [n.op for n in graph.nodes] == ["Range"]
    for count, length in ((1, 1), (2, 1), (3, 2), (4, 2), (7, 3)):
        x = np.zeros(count, np.float32)
        np.testing.assert_array_equal(_both(graph, x=x)[0], np.arange(length))
