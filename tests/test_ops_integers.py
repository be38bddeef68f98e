"""int64 in 32 bits: what is proven, what inputs are held to, what is refused."""

from __future__ import annotations

import onnx.parser
import pytest

from webrt.dims import MAX_SYMBOL
from webrt.errors import UnsupportedOpError
from webrt.frontend.onnx import from_proto
from webrt.graph.program import Program
from webrt.passes.lower import lower
from webrt.passes.pipeline import finish


def _program(text: str) -> Program:
    header = '<ir_version: 8, opset_import: ["" : 17]>\n'
    return lower(from_proto(onnx.parser.parse_model(header + text), "m.onnx"))


def _ranges(text: str) -> dict[str, tuple[int, int]]:
    return {v.name: r for v, r in _program(text).ranges.items()}


def test_an_input_that_indexes_a_table_is_held_to_it() -> None:
    text = """g (int64[b, s] ids) => (float[b, s, 2] y)
    <float[3, 2] table = {1, 2, 3, 4, 5, 6}> { y = Gather (table, ids) }"""
    assert _ranges(text) == {"ids": (-3, 2)}


def test_also_through_views_and_casts() -> None:
    text = """g (int32[b, s] ids) => (float[n, 2] y) <float[3, 2] table = {1, 2, 3, 4, 5, 6}> {
        wide = Cast <to = 7> (ids)
        axes = Constant <value_ints = [0]> ()
        one = Unsqueeze (wide, axes)
        minus = Constant <value_ints = [-1]> ()
        flat = Reshape (one, minus)
        y = Gather (table, flat)
    }"""
    assert _ranges(text) == {"ids": (-3, 2)}


def test_the_smallest_of_several_tables_counts() -> None:
    text = """g (int64[b] ids) => (float[b] y)
    <float[3] three = {1, 2, 3}, float[2] two = {1, 2}> {
        p = Gather (three, ids)
        q = Gather (two, ids)
        y = Add (p, q)
    }"""
    assert _ranges(text) == {"ids": (-2, 1)}


def test_a_dynamic_table_bounds_nothing_but_the_kernel_clamps() -> None:
    text = "g (float[n, 2] x, int64[b] ids) => (float[b, 2] y) { y = Gather (x, ids) }"
    assert _ranges(text) == {}


def test_a_mask_in_float_bounds_nothing() -> None:
    text = """g (int64[b, s] mask) => (float[b, s] y) {
        f = Cast <to = 1> (mask)
        one = Constant <value_float = 1.0> ()
        inverse = Sub (one, f)
        low = Constant <value_float = -10000.0> ()
        y = Mul (inverse, low)
    }"""
    assert _ranges(text) == {}


def test_arithmetic_that_only_extremes_overflow_holds_the_input() -> None:
    text = """g (int64[b, s] mask) => (int64[b, s] y) {
        one = Constant <value_int = 1> ()
        y = Sub (one, mask)
    }"""
    assert _ranges(text) == {"mask": (-(1 << 30), 1 << 30)}


def test_a_cumulative_sum_holds_its_input_by_the_longest_length() -> None:
    text = """g (int64[b, s] mask) => (int64[b, s] y) {
        axis = Constant <value_int = 1> ()
        y = CumSum (mask, axis)
    }"""
    assert _ranges(text) == {"mask": (-(1 << 10), 1 << 10)}


def test_a_cumulative_sum_of_bools_fits() -> None:
    text = """g (int64[b, s] ids) => (int64[b, s] y) {
        pad = Constant <value_int = 1> ()
        same = Equal (ids, pad)
        kept = Not (same)
        ones = Cast <to = 7> (kept)
        axis = Constant <value_int = 1> ()
        sums = CumSum (ones, axis)
        masked = Mul (sums, ones)
        y = Add (masked, pad)
    }"""
    assert _ranges(text) == {}


def test_positions_from_a_mask_hold_the_mask() -> None:
    text = """g (int64[b, s] mask) => (int64[b, s] y) {
        axis = Constant <value_int = 1> ()
        sums = CumSum (mask, axis)
        y = Mul (sums, mask)
    }"""
    assert _ranges(text) == {"mask": (-32, 32)}  # 2^20 · 32 · 32 fits


def test_a_row_and_the_place_of_its_maximum_index_a_tensor() -> None:
    text = """g (int64[b, s] ids, float[b, s, 8] x) => (float[b, 8] y) {
        zero = Constant <value_int = 0> ()
        one = Constant <value_int = 1> ()
        shape = Shape (x)
        rows = Gather (shape, zero)
        length = Gather (shape, one)
        row = Range (zero, rows, one)
        start = Mul (row, length)
        place = ArgMax <axis = -1, keepdims = 0> (ids)
        at = Add (start, place)
        flat = Constant <value_ints = [-1, 8]> ()
        all = Reshape (x, flat)
        y = Gather <axis = 0> (all, at)
    }"""
    assert _ranges(text) == {}


@pytest.mark.parametrize("rows", ["b", "90"])
def test_indices_of_several_dims_are_held_to_the_widest(rows: str) -> None:
    text = f"""g (float[{rows}, 7] x, int64[n, 2] at) => (float[n] y) {{ y = GatherND (x, at) }}"""
    assert _ranges(text) == ({} if rows == "b" else {"at": (-90, 89)})
    text = f"""g (float[{rows}, 7] x, int64[n, 2] at, float[n] u) => (float[{rows}, 7] y) {{
        y = ScatterND (x, at, u)
    }}"""
    assert _ranges(text) == ({} if rows == "b" else {"at": (-90, 89)})


def test_int32_wraps_around_and_is_held_to_nothing() -> None:
    assert _ranges("g (int32[b] x) => (int32[b] y) { y = Mul (x, x) }") == {}


@pytest.mark.parametrize("names", ["xiv", "aib", "bia", "cab", "zwx", "wxz"])
def test_which_input_is_held_first_isnt_chance(names: str) -> None:
    """Sums of scattered numbers come from three inputs; indices can't be held to less."""
    x, at, u = names
    text = f"""g (int64[10] {x}, int64[100] {at}, int64[100] {u}) => (int64[10] y) {{
        y = ScatterElements <axis = 0, reduction = "add"> ({x}, {at}, {u})
    }}"""
    found = _ranges(text)
    assert found.keys() == {x, at, u}
    assert found[at] == (-10, 9)


def test_what_cant_fit_is_refused_by_name() -> None:
    text = """g (int64[b, s] x) => (int64[b, s] y) {
        big = Constant <value_int = 2000000000> ()
        p = Mul (x, big)
        q = Add (p, x)
        y = Mul (q, big)
    }"""
    with pytest.raises(UnsupportedOpError) as caught:
        _ranges(text)
    assert str(caught.value) == (
        "int64 arithmetic that isn't proven to fit 32 bits, which it is computed in: node 'Mul_3'"
    )


def test_a_constant_beyond_32_bits_is_refused() -> None:
    text = """g (int64[b] x) => (int64[b] y) {
        big = Constant <value_int = 4294967296> ()
        y = Max (x, big)
    }"""
    with pytest.raises(UnsupportedOpError, match="the constant 4294967296 doesn't fit 32 bits"):
        _ranges(text)


def test_bounds_of_a_clip_beyond_32_bits_bound_nothing() -> None:
    text = """g (int64[b] x) => (int64[b] y) {
        low = Constant <value_int = 0> ()
        high = Constant <value_int = 9223372036854775807> ()
        y = Clip (x, low, high)
    }"""
    assert _ranges(text) == {}


def test_the_last_of_each_row_by_its_length() -> None:
    """A place in a row plus where the row begins: the tensor is in memory, so that the sum fits."""
    text = """g (float[b, t, 8] x, int64[b] lengths) => (float[b, 8] y) {
        zero = Constant <value_int = 0> ()
        one = Constant <value_int = 1> ()
        none = Constant <value_ints = [0]> ()
        second = Constant <value_ints = [1]> ()
        shape = Shape (x)
        b = Gather (shape, zero)
        t = Gather (shape, second)
        rows = Range (zero, b, one)
        begins = Mul (rows, t)
        last = Sub (lengths, one)
        at = Add (last, begins)
        flat = Flatten <axis = 2> (x)
        y = Gather (flat, at)
    }"""
    assert _ranges(text) == {"lengths": (-(1 << 30), 1 << 30)}


def test_a_flattened_index_is_below_the_size_of_a_tensor() -> None:
    text = """g (float[b, s] x) => (float[b, s] y) {
        shape = Shape (x)
        zero = Constant <value_int = 0> ()
        one = Constant <value_int = 1> ()
        n = Gather (shape, zero)
        m = Gather (shape, one)
        rows = Range (zero, n, one)
        columns = Range (zero, m, one)
        last = Constant <value_ints = [1]> ()
        r = Unsqueeze (rows, last)
        start = Mul (r, m)
        index = Add (start, columns)
        minus = Constant <value_ints = [-1]> ()
        flat = Reshape (x, minus)
        y = Gather (flat, index)
    }"""
    assert _ranges(text) == {}


POSITIONS = """g (float[b, s, 1] x) => (float[b, s, 1] y)
<float[5, 1] table = {0, 1, 2, 3, 4}> {
    shape = Shape (x)
    one = Constant <value_int = 1> ()
    length = Gather (shape, one)
    zero = Constant <value_int = 0> ()
    range = Range (zero, length, one)
    moved = Add (range, one)
    rows = Gather (table, moved)
    y = Add (x, rows)
}"""

COUNTED = """g (bool[b, s] mask) => (float[b, s] y) <float[5] table = {0, 1, 2, 3, 4}> {
    ones = Cast <to = 7> (mask)
    axis = Constant <value_int = 1> ()
    sums = CumSum (ones, axis)
    masked = Mul (sums, ones)
    y = Gather (table, masked)
}"""

CUT = """g (float[b, s, 1] x) => (float[b, s, 1] y)
<float[1, 5, 1] table = {0, 1, 2, 3, 4}> {
    shape = Shape (x)
    one = Constant <value_ints = [1]> ()
    two = Constant <value_ints = [2]> ()
    length = Slice (shape, one, two)
    zero = Constant <value_ints = [0]> ()
    rows = Slice (table, zero, length, one)
    y = Add (x, rows)
}"""

CLIPPED = """g (float[b, s] x) => (float[s, 1] y) <float[5, 1] table = {0, 1, 2, 3, 4}> {
    shape = Shape (x)
    one = Constant <value_int = 1> ()
    length = Gather (shape, one)
    zero = Constant <value_int = 0> ()
    range = Range (zero, length, one)
    four = Constant <value_int = 4> ()
    clipped = Min (range, four)
    y = Gather (table, clipped)
}"""


@pytest.mark.parametrize(
    ("text", "longest"),
    [(POSITIONS, {"s1": 4}), (COUNTED, {"s1": 4}), (CUT, {"s1": 5}), (CLIPPED, {})],
)
def test_a_table_of_positions_bounds_the_length(text: str, longest: dict[str, int]) -> None:
    assert _program(text).longest == longest


def test_a_plan_keeps_the_longest_length() -> None:
    plan = finish(_program(POSITIONS)).plan
    assert [s.most for s in plan.symbols] == [MAX_SYMBOL, 4]
