"""Sizes that models compute in roundabout ways: through floats, through vectors turned round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_text
import onnxruntime
import pytest

import webrt
from webrt import dims
from webrt.dims import Dim
from webrt.errors import ShapeError, UnsupportedOpError
from webrt.frontend.ratios import Ratio
from webrt.passes.pipeline import build

S: Dim = dims.symbol("s0")

SAME = """
    g (float[n, 2, w] x, float[3, 2, 5] weight) => (float[n, 3, v] y) {
        c = Shape (x)
        two = Constant <value_ints = [2]> ()
        stride = Constant <value_float = 3.0> ()
        one = Constant <value_float = 1.0> ()
        whole = Constant <value_ints = [1]> ()
        three = Constant <value_ints = [3]> ()
        five = Constant <value_ints = [5]> ()
        front = Constant <value_ints = [0, 0, 0, 0, 0]> ()
        length = Gather (c, two)
        less = Sub (length, three)
        real = Cast <to = 1> (less)
        parts = Div (real, stride)
        more = Add (parts, one)
        frames = Ceil (more)
        count = Cast <to = 7> (frames)
        before = Sub (count, whole)
        last = Mul (before, three)
        end = Add (last, five)
        pad = Sub (end, length)
        pads = Concat <axis = 0> (front, pad)
        padded = Pad (x, pads)
        y = Conv <strides = [3]> (padded, weight)
    }"""
"""A padding as Encodec's and EfficientNet's: frames counted by a quotient in floats."""

TURNED = """
    g (float[n, 4, w] x, int64 more) => (float[n, 4, u] y) {
        zero = Constant <value_ints = [0]> ()
        two = Constant <value_ints = [2]> ()
        rest = Constant <value_ints = [0, 0, 0, 0]> ()
        pairs = Constant <value_ints = [-1, 2]> ()
        back = Constant <value_ints = [-1]> ()
        far = Constant <value_ints = [-9223372036854775807]> ()
        right = Unsqueeze (more, zero)
        some = Concat <axis = 0> (two, right)
        all = Concat <axis = 0> (some, rest)
        rows = Reshape (all, pairs)
        turned = Slice (rows, back, far, zero, back)
        columns = Transpose <perm = [1, 0]> (turned)
        flat = Reshape (columns, back)
        pads = Cast <to = 7> (flat)
        y = Pad (x, pads)
    }"""
"""Pads as PyTorch's exporter spells them, one of them data."""

COUNTED = """
    g (float[n] x, float limit) => (float[m] y, float[k] z) {
        zero = Constant <value_float = 0.0> ()
        step = Constant <value_float = STEP> ()
        one = Constant <value_float = 1.0> ()
        shape = Shape (x)
        none = Constant <value_ints = [0]> ()
        size = Squeeze (shape, none)
        length = Cast <to = 1> (size)
        y = Range (zero, limit, step)
        z = Range (zero, length, one)
    }"""


def _model(text: str) -> onnx.ModelProto:
    return onnx_text.model(text, opset=18)


def test_ratios() -> None:
    half = Ratio(S, 2)
    assert half.plus(half) == Ratio(S)
    assert half.times(Ratio(4)) == Ratio(2 * S)
    assert half.minus(Ratio(1, 2)) == Ratio(S - 1, 2)
    assert half.divided(Ratio(3)) == Ratio(S, 6)
    assert half.divided(Ratio(S)) is None  # by what isn't a number
    assert half.divided(Ratio(0)) is None
    assert half.times(Ratio(1, 1 << 10)) is None  # no stride, but a float that isn't exact
    assert half.divided(Ratio(3)).times(Ratio(3)) is None  # thirds are rounded
    assert Ratio(6 * S).divided(Ratio(3)) == Ratio(2 * S)
    assert half.ceil() == Ratio(dims.ceil_div(S, 2))
    assert Ratio(S - 4, 2).floor() is None  # may be negative


def test_frames_counted_in_floats_take_no_reading() -> None:
    built = build(onnx_text.graph(_model(SAME)))
    assert not built.plan.flow
    assert str(built.plan.outputs[0].shape[2]) == "((s1 + 2) // 3)"
    for width in (3, 4, 5, 6, 17):
        onnx_text.check(_model(SAME), n=2, w=width)


@pytest.mark.parametrize("more", [0, 3, 1])
def test_pads_that_are_turned_round(more: int, tmp_path: Path) -> None:
    onnx.save(_model(TURNED), tmp_path / "m.onnx")
    assert webrt.pack(tmp_path / "m.onnx", tmp_path / "pack").host_steps == (
        ("values", "right/read"),
    )
    feeds = {"x": np.ones((2, 4, 5), np.float32), "more": np.array(more)}
    with webrt.load(tmp_path / "pack", device="wasm") as session:
        assert session.outputs[0].shape == ("n", 4, "right[0] + w + 1")
        found = session.run(feeds)["y"]
    oracle = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    np.testing.assert_array_equal(found, oracle.run(None, feeds)[0])


@pytest.mark.parametrize(
    ("step", "limits"), [("1.0", (4.0, 4.2, 0.0)), ("2.0", (6.5, 7.0)), ("-1.0", (-2.5, -3.0))]
)
def test_ranges_of_floats(step: str, limits: tuple[float, ...], tmp_path: Path) -> None:
    onnx.save(_model(COUNTED.replace("STEP", step)), tmp_path / "m.onnx")
    webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    oracle = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    with webrt.load(tmp_path / "pack", device="wasm") as session:
        for limit in limits:
            feeds = {"x": np.ones(3, np.float32), "limit": np.array(limit, np.float32)}
            found = session.run(feeds)
            for name, wanted in zip("yz", oracle.run(None, feeds), strict=True):
                np.testing.assert_array_equal(found[name], wanted)


REPEATED = """
    g (float[n, 3] x, float[n] amounts) => (float[m, 3] y) {
        scale = Constant <value_float = 3.0> ()
        true = Constant <value = bool {1}> ()
        first = Constant <value_ints = [0]> ()
        none = Constant <value_ints = [0]> ()
        shape = Shape (x)
        length = Gather (shape, first)
        more = Mul (amounts, scale)
        rounded = Round (more)
        repeats = Cast <to = 7> (rounded)
        ones = ConstantOfShape <value = int64[1] {1}> (length)
        counts = SplitToSequence <axis = 0> (repeats, ones)
        pieces = SplitToSequence <axis = 0> (x, ones)
        nothing = SequenceEmpty <dtype = 1> ()
        many = Loop (length, true, nothing) <
            body = turn (int64 i, bool going, seq(float) before) => (bool on, seq(float) after) {
                one = Constant <value_ints = [1]> ()
                three = Constant <value_ints = [3]> ()
                joined = Constant <value_ints = [-1, 3]> ()
                count = SequenceAt (counts, i)
                piece = SequenceAt (pieces, i)
                row = Unsqueeze (piece, one)
                wide = Concat <axis = 0> (one, count, three)
                expanded = Expand (row, wide)
                rows = Reshape (expanded, joined)
                after = SequenceInsert (before, rows)
                on = Identity (going)
            }
        >
        y = ConcatFromSequence <axis = 0> (many)
    }"""
"""torch.repeat_interleave, as its exporter spells it."""


def test_repeated_elements_take_one_reading(tmp_path: Path) -> None:
    onnx.save(_model(REPEATED), tmp_path / "m.onnx")
    packed = webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    assert [kind for kind, _ in packed.host_steps] == ["values"]
    oracle = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    with webrt.load(tmp_path / "pack", device="wasm") as session:
        for length in (1, 4, 30):
            random = np.random.default_rng(length)
            feeds = {
                "x": random.standard_normal((length, 3)).astype(np.float32),
                "amounts": random.uniform(0.2, 1, length).astype(np.float32),
            }
            np.testing.assert_array_equal(session.run(feeds)["y"], oracle.run(None, feeds)[0])
        far = feeds | {"amounts": np.full(30, 1e9, np.float32)}
        with pytest.raises(ShapeError, match="a size is 2097152, expected 0 to 1048575"):
            session.run(far)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{1}> (length)", "{2}> (length)"),  # slices of two
        ("after = SequenceInsert (before, rows)", "after = SequenceInsert (before, piece)"),
        ("Loop (length, true, nothing)", "Loop (two, true, nothing)"),
        ("on = Identity (going)", "few = ReduceSum (piece)\n on = Cast <to = 9> (few)"),
        ("axis = 0> (many)", "axis = 1> (many)"),
        ("(one, count, three)", "(two, count, three)"),  # each piece twice as often
        ("(one, count, three)", "(count, one, three)"),
        ("[-1, 3]", "[3, -1]"),
        ("Unsqueeze (piece, one)", "Unsqueeze (piece, none)"),
    ],
)
def test_what_is_like_repeating_but_is_not(old: str, new: str) -> None:
    text = REPEATED.replace(old, new).replace(
        "none = ", "two = Constant <value_ints = [2]> ()\n        none = "
    )
    with pytest.raises(UnsupportedOpError, match="isn't run"):
        onnx_text.graph(_model(text))


LISTED = """
    g (float[2, 3] x, int64 many, float[1, 3] start)
        => (float[m, 3] joined, float[2, k, 3] stacked, float[s, 3] grown, float[2, 3] last,
            int64 count) {
        true = Constant <value = bool {1}> ()
        place = Constant <value_int = -1> ()
        nothing = SequenceEmpty <dtype = 1> ()
        list, grown, last = Loop (many, true, nothing, start, x) <
            body = turn (int64 i, bool going, seq(float) before, float[g, 3] rows, float[2, 3] now)
              => (bool on, seq(float) after, float[h, 3] more, float[2, 3] next) {
                half = Constant <value_float = 0.5> ()
                axis = Constant <value_ints = [0]> ()
                next = Mul (now, half)
                after = SequenceInsert (before, next)
                sums = ReduceSum <keepdims = 1> (next, axis)
                more = Concat <axis = 0> (rows, sums)
                on = Identity (going)
            }
        >
        joined = ConcatFromSequence <axis = 0> (list)
        stacked = ConcatFromSequence <axis = 1, new_axis = 1> (list)
        count = SequenceLength (list)
    }"""
"""A list and a tensor that each turn makes longer."""


def test_what_turns_only_append_is_collected(tmp_path: Path) -> None:
    onnx.save(_model(LISTED), tmp_path / "m.onnx")
    webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    oracle = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    random = np.random.default_rng(0)
    with webrt.load(tmp_path / "pack", device="wasm") as session:
        for many in (1, 4, 9):
            feeds = {
                "x": random.standard_normal((2, 3)).astype(np.float32),
                "many": np.array(many),
                "start": random.standard_normal((1, 3)).astype(np.float32),
            }
            wanted = oracle.run(None, feeds)
            found = session.run(feeds)
            for port, array in zip(oracle.get_outputs(), wanted, strict=True):
                assert found[port.name].shape == array.shape, port.name
                np.testing.assert_allclose(found[port.name], array, 1e-5)


def test_parts_of_sizes_that_turns_decide_are_refused() -> None:
    text = LISTED.replace("(before, next)", "(before, found)").replace(
        "sums =", "places = NonZero (next)\n found = Cast <to = 1> (places)\n sums ="
    )
    with pytest.raises(UnsupportedOpError, match="parts of sizes that a turn decides aren't run"):
        onnx_text.graph(_model(text))


def test_a_slice_may_end_before_it_begins(tmp_path: Path) -> None:
    text = "g (float[n, 2] x, int64[1] a, int64[1] b) => (float[m, 2] y) { y = Slice (x, a, b) }"
    onnx.save(_model(text), tmp_path / "m.onnx")
    webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    with webrt.load(tmp_path / "pack", device="wasm") as session:
        for a, b in ((1, 3), (3, 1), (2, 9), (7, 9), (0, 5)):
            found = session.run({"x": x, "a": np.array([a]), "b": np.array([b])})["y"]
            np.testing.assert_array_equal(found, x[a:b])


PASTED = """
    g (float[n, 3] values, float[n, 2] bounds, int64 many) => (float[m, 8] y) {
        true = Constant <value = bool {1}> ()
        sides = Cast <to = 7> (bounds)
        none = Constant <value = float[0, 8] {}> ()
        y = Loop (many, true, none) <
            body = turn (int64 i, bool going, float[before, 8] rows)
              => (bool on, float[after, 8] more) {
                zero = Constant <value_ints = [0]> ()
                one = Constant <value_ints = [1]> ()
                eight = Constant <value_ints = [8]> ()
                value = Gather <axis = 0> (values, i)
                side = Gather <axis = 0> (sides, i)
                start = Slice (side, zero, one)
                last = Slice (side, one, eight)
                next = Add (last, one)
                length = Sub (next, start)
                size = Max (length, one)
                scaled = Resize <mode = "nearest"> (value, , , size)
                first = Max (start, zero)
                end = Min (next, eight)
                from = Sub (first, start)
                to = Sub (end, start)
                inside = Slice (scaled, from, to)
                before = ConstantOfShape (first)
                rest = Sub (eight, end)
                behind = ConstantOfShape (rest)
                row = Concat <axis = 0> (before, inside, behind)
                part = Unsqueeze (row, zero)
                more = Concat <axis = 0> (rows, part)
                on = Identity (going)
            }
        >
    }"""
"""Torchvision's Mask R-CNN in one dimension: parts of any size, each pasted into a row of 8."""


def test_parts_that_are_pasted_into_one_size(tmp_path: Path) -> None:
    onnx.save(_model(PASTED), tmp_path / "m.onnx")
    webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    oracle = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    bounds = [[0, 2], [-2, 3], [5, 11], [4, 4], [7, 7], [-3, 20], [0, 7]]
    feeds = {
        "values": np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32),
        "bounds": np.array(bounds, np.float32),
        "many": np.array(7),
    }
    with webrt.load(tmp_path / "pack", device="wasm") as session:
        wanted = oracle.run(None, feeds)[0]
        np.testing.assert_allclose(session.run(feeds)["y"], wanted, rtol=1e-5, atol=1e-6)
        feeds["bounds"][3] = -5, -3  # it ends before the row begins
        assert session.run(feeds | {"many": np.array(3)})["y"].shape == (3, 8)
        with pytest.raises(ShapeError, match="Loop"):
            session.run(feeds)


COUNTED_PIXELS = """
    g (float[1, 1, h, w] x, float factor)
        => (float[1, k] best, int64[1, k] place, float[1, k] back) {
        ones = Constant <value_floats = [1.0, 1.0]> ()
        flat = Constant <value_ints = [1, -1]> ()
        hundred = Constant <value_ints = [100]> ()
        axis = Constant <value_ints = [0]> ()
        axes = Constant <value_ints = [1]> ()
        wide = Unsqueeze (factor, axis)
        scales = Concat <axis = 0> (ones, wide, wide)
        image = Resize <mode = "linear"> (x, , scales)
        half = MaxPool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (image)
        pixels = Reshape (image, flat)
        fewer = Reshape (half, flat)
        all = Concat <axis = 1> (pixels, fewer)
        shape = Shape (pixels)
        many = Gather (shape, axes)
        length = Shape (fewer)
        count = Gather (length, axes)
        most = Min (hundred, count)
        best, number = TopK (fewer, most)
        place = Add (number, many)
        back = GatherElements <axis = 1> (all, place)
    }"""
"""Levels of a detector one behind the other: places in the second one, counted from the first."""


def test_an_image_that_is_scaled_has_pixels(tmp_path: Path) -> None:
    onnx.save(_model(COUNTED_PIXELS), tmp_path / "m.onnx")
    webrt.pack(tmp_path / "m.onnx", tmp_path / "pack")
    oracle = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    x = np.random.default_rng(0).random((1, 1, 9, 14), np.float32)
    with webrt.load(tmp_path / "pack", device="wasm") as session:
        for factor in (0.5, 1.0, 2.5, 0.12):
            feeds = {"x": x, "factor": np.array(factor, np.float32)}
            found = session.run(feeds)
            for port, wanted in zip(oracle.get_outputs(), oracle.run(None, feeds), strict=True):
                np.testing.assert_allclose(found[port.name], wanted, 1e-5, 1e-6, err_msg=port.name)
        with pytest.raises(ShapeError, match="a size or place is -1, expected 0 or more"):
            session.run(feeds | {"factor": np.array(0.05, np.float32)})
