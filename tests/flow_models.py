"""Small models that decide something while they run, with feeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class FlowModel:
    """A model, what it is fed run after run, and how many times the host decides in it."""

    name: str
    proto: onnx.ModelProto
    feeds: tuple[dict[str, Array], ...]
    stops: int


def flow_model(text: str, version: int = 18) -> onnx.ModelProto:
    made: onnx.ModelProto = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {version}]>\n{text}'
    )
    return made


def _floats(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _boxes(count: int) -> Array:
    corners = np.abs(_floats(count, 4, seed=count))
    return np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:] + 0.5], 1)


PICKED = flow_model("""
picked (float[n, 4] x) => (float[k, 4] y, int64[r, k] places, float[4] sums) {
  zero = Constant <value_float = 0.5> ()
  axis = Constant <value_ints = [1]> ()
  none = Constant <value_ints = [0]> ()
  best = ReduceMax <keepdims = 0> (x, axis)
  kept = Greater (best, zero)
  places = NonZero (kept)
  flat = Squeeze (places, none)
  rows = Gather (x, flat)
  y = Exp (rows)
  sums = ReduceSum <keepdims = 0> (y, none)
}""")

WAITED = flow_model("""
waited (float[3] x) => (float[3] y, int64 turns) {
  ever = Constant <value_int = 9223372036854775807> ()
  zero = Constant <value_int = 0> ()
  true = Constant <value = bool {1}> ()
  y, turns = Loop (ever, true, x, zero) <
    body = turn (int64 i, bool going, float[3] now, int64 count)
      => (bool on, float[3] next, int64 more) {
      half = Constant <value_float = 0.5> ()
      least = Constant <value_float = 0.1> ()
      one = Constant <value_int = 1> ()
      most = Constant <value_int = 20> ()
      next = Mul (now, half)
      size = ReduceMax <keepdims = 0> (next)
      large = Greater (size, least)
      more = Add (count, one)
      early = Less (more, most)
      on = And (large, early)
    }
  >
}""")
"""A while loop as TorchScript exports it: as many turns as there are numbers, and a counter."""

MASKED = flow_model("""
masked (float[n, 4] boxes, float[n] scores, float[n, 6] all) => (float[m, 6] y) {
  least = Constant <value_float = 0.2> ()
  overlap = Constant <value_float = 0.5> ()
  most = Constant <value_int = 9> ()
  zero = Constant <value_ints = [0]> ()
  front = Constant <value_ints = [0, 1]> ()
  two = Constant <value_ints = [2]> ()
  end = Constant <value_ints = [6]> ()
  axis = Constant <value_ints = [1]> ()
  sure = Sigmoid (scores)
  half = Mul (sure, sure)
  kept = Greater (half, least)
  a = NonZero (kept)
  b = NonZero (kept)
  c = NonZero (kept)
  at = Transpose <perm = [1, 0]> (a)
  bt = Transpose <perm = [1, 0]> (b)
  ct = Transpose <perm = [1, 0]> (c)
  found = GatherND (boxes, at)
  worth = GatherND (half, bt)
  nothing = Slice (all, end, end, axis)
  more = GatherND (nothing, ct)
  corners = Unsqueeze (found, zero)
  shares = Unsqueeze (worth, front)
  chosen = NonMaxSuppression (corners, shares, most, overlap)
  third = Gather <axis = 1> (chosen, two)
  rows = Squeeze (third, axis)
  best = Gather (found, rows)
  of = Gather (worth, rows)
  score = Unsqueeze (of, axis)
  rest = Gather (more, rows)
  y = Concat <axis = 1> (best, score, score, rest)
}""")
"""A detector's end as ultralytics exports it: a mask is looked at again for each of what it picks,
and nothing is told of a box but its class."""

CHOSEN = flow_model("""
chosen (float[n, 4] x, int64 rate) => (float[m, 4] y) {
  limit = Constant <value_int = 10> ()
  high = Greater (rate, limit)
  y = If (high) <
    then_branch = a () => (float[p, 4] left) { left = Concat <axis = 0> (x, x) },
    else_branch = b () => (float[q, 4] right) { right = Neg (x) }
  >
}""")

WEIGHED = flow_model("""
weighed (float[4, 5] x) => (float[k] y) {
  zero = Constant <value_float = 0.0> ()
  axis = Constant <value_int = 0> ()
  kept = Greater (x, zero)
  places = NonZero (kept)
  at = Transpose <perm = [1, 0]> (places)
  found = GatherND (x, at)
  shares = Softmax <axis = 0> (found)
  sums = CumSum (shares, axis)
  y = Softmax <axis = 0> (sums)
}""")
"""Where nothing is found, all between is empty."""

HALVED = flow_model("""
halved (float[n] x, int64 most) => (float[n] y, float[t, n] steps) {
  true = Constant <value = bool {1}> ()
  y, steps = Loop (most, true, x) <
    body = turn (int64 i, bool going, float[n] now) => (bool on, float[n] next, float[n] seen) {
      half = Constant <value_float = 0.5> ()
      one = Constant <value_float = 1.0> ()
      next = Mul (now, half)
      place = Cast <to = 1> (i)
      seen = Add (next, place)
      size = ReduceMax <keepdims = 0> (next)
      on = Greater (size, one)
    }
  >
}""")

SUMMED = flow_model("""
summed (float[t, b, 3] x, float[b, 3] start) => (float[b, 3] last, float[t, b, 3] every) {
  last, every = Scan (start, x) <
    num_scan_inputs = 1, scan_input_directions = [1], scan_output_directions = [1],
    body = turn (float[b, 3] now, float[b, 3] part) => (float[b, 3] next, float[b, 3] out) {
      sum = Add (now, part)
      next = Tanh (sum)
      out = Mul (next, part)
    }
  >
}""")
TWICE = flow_model("""
twice (float[t, b, 3] x, float[b, 3] given) => (float[b, 3] y, float[b, 3] z) {
  start = Tanh (given)
  first, every = Scan (start, x) <
    num_scan_inputs = 1,
    body = turn (float[b, 3] now, float[b, 3] part) => (float[b, 3] next, float[b, 3] out) {
      sum = Add (now, part)
      next = Tanh (sum)
      out = Add (next, start)
    }
  >
  second, again = Scan (start, every) <
    num_scan_inputs = 1,
    body = turn2 (float[b, 3] now2, float[b, 3] part2) => (float[b, 3] next2, float[b, 3] out2) {
      sum2 = Sub (now2, part2)
      next2 = Tanh (sum2)
      out2 = Neg (next2)
    }
  >
  y = Add (first, start)
  z = Mul (second, start)
}""")
"""Both loops begin with one value, which the first one's body and what follows read too."""
EQUAL = flow_model("""
equal (float[n, 3] x, float[m, 3] other) => (float[k, 3] y) {
  one = Constant <value_ints = [1]> ()
  zero = Constant <value_ints = [0]> ()
  end = Constant <value_ints = [9223372036854775807]> ()
  rest = Slice (x, one, end, zero)
  both = Concat <axis = 0> (other, other)
  y = Add (rest, both)
}""")
"""It runs where n - 1 = 2 m: nothing else says so."""

SIZED = flow_model("""
sized (float[n, 3] x, int64[2] shape, int64 count) => (float[a, b] y, int64[c] steps) {
  zero = Constant <value_int = 0> ()
  one = Constant <value_int = 1> ()
  y = Reshape (x, shape)
  steps = Range (zero, count, one)
}""")


PARTLY = flow_model("""
partly (float[n, 12] x, int64[1] width) => (float[a, b, c] y, float[d, e, f] z) {
  shape = Shape <start = 0, end = 1> (x)
  one = Constant <value_ints = [1]> ()
  three = Constant <value_ints = [3]> ()
  rest = Constant <value_ints = [-1]> ()
  unit = Constant <value = float[1, 1, 1] {1}> ()
  flat = Concat <axis = 0> (shape, one, width)
  rows = Expand (unit, flat)
  tall = Concat <axis = 0> (shape, three, width)
  columns = Expand (unit, tall)
  y = Add (rows, columns)
  parted = Concat <axis = 0> (shape, rest, width)
  parts = Reshape (x, parted)
  z = Mul (parts, rows)
}""")
"""Sizes of which only the width is data: that the rest broadcasts is known."""

ENDLESS = flow_model("""
endless (float[n, 3] x) => (float[n, 3] y) {
  true = Constant <value = bool {1}> ()
  most = Constant <value_int = 1000000> ()
  y = Loop (most, true, x) <
    body = turn (int64 i, bool going, float[n, 3] now) => (bool on, float[n, 3] next) {
      next = Abs (now)
      zero = Constant <value_float = 0.0> ()
      size = ReduceMax <keepdims = 0> (next)
      on = Greater (size, zero)
    }
  >
}""")


def _lstm() -> onnx.ModelProto:
    shapes = {"w": (2, 20, 3), "r": (2, 20, 5), "b": (2, 40)}
    weights = [
        numpy_helper.from_array(0.4 * _floats(*shape, seed=j), name)
        for j, (name, shape) in enumerate(shapes.items())
    ]
    node = helper.make_node(
        "LSTM", ["x", "w", "r", "b", "lengths"], ["y", "h", "c"], name="lstm", hidden_size=5,
        direction="bidirectional",
    )  # fmt: skip
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["t", "b", 3]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["b"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "h", "c")
    ]
    graph = helper.make_graph([node], "lstm", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _int(value: int) -> Array:
    return np.array(value, np.int64)


COUNTED = flow_model("""
counted (float[n] x, int32 low) => (int32 first, int32 second) {
  shape = Shape (x)
  none = Constant <value_ints = [0]> ()
  length = Squeeze (shape, none)
  size = Cast <to = 6> (length)
  true = Constant <value = bool {1}> ()
  first = Loop (, true, size) <
    body = down (int64 i, bool going, int32 now) => (bool on, int32 next) {
      one = Constant <value = int32 {1}> ()
      next = Sub (now, one)
      on = Greater (next, low)
    }
  >
  second = Loop (, true, size) <
    body = up (int64 j, bool still, int32 then) => (bool more, int32 after) {
      two = Constant <value = int32 {2}> ()
      after = Add (then, two)
      more = Less (after, low)
    }
  >
}""")
"""One size begins the states of two loops."""

DETECTED = flow_model("""
detected (float[n, 4] boxes, float[n] scores) => (int64[k] kept, float[m, 4] found) {
  half = Constant <value_float = 0.5> ()
  zero = Constant <value_int = 0> ()
  sure = Greater (scores, half)
  places = NonZero (sure)
  none = Constant <value_ints = [0]> ()
  rows = Squeeze (places, none)
  count = Size (rows)
  empty = Equal (count, zero)
  picked = Gather (boxes, rows)
  kept = If (empty) <
    then_branch = a () => (int64[p] nothing) { nothing = Constant <value = int64[0] {}> () },
    else_branch = b () => (int64[q] best) {
      one = Constant <value_ints = [0, 1]> ()
      first = Constant <value_ints = [0]> ()
      chances = Gather (scores, rows)
      many = Unsqueeze (chances, one)
      all = Unsqueeze (picked, first)
      most = Constant <value_int = 9> ()
      threshold = Constant <value_float = 0.3> ()
      triples = NonMaxSuppression (all, many, most, threshold)
      two = Constant <value_int = 2> ()
      best = Gather <axis = 1> (triples, two)
    }
  >
  found = Gather (picked, kept)
}""")
"""What torchvision's detectors hold: boxes that no better one covers, where there are any."""

FLOW_MODELS = (
    FlowModel(
        "detected", DETECTED,
        tuple({"boxes": np.abs(_floats(n, 4, seed=n)), "scores": sign * _floats(n, seed=n) ** power}
              for n, sign, power in ((9, 1, 1), (6, 1, 1), (3, -1, 2))),
        3,
    ),
    FlowModel(
        "counted", COUNTED,
        tuple({"x": _floats(n), "low": np.array(m, np.int32)} for n, m in ((7, 3), (4, 9))),
        2,
    ),
    FlowModel(
        "equal", EQUAL,
        tuple({"x": _floats(1 + 2 * m, 3, seed=m), "other": _floats(m, 3)} for m in (4, 1)),
        0,
    ),
    FlowModel(
        "twice", TWICE,
        tuple({"x": _floats(t, 2, 3, seed=t), "given": _floats(2, 3)} for t in (5, 2)),
        0,
    ),
    FlowModel(
        "picked", PICKED,
        (*({"x": _floats(n, 4, seed=n)} for n in (6, 9, 6)), {"x": -_floats(5, 4) ** 2}),
        1,
    ),
    FlowModel(
        "waited", WAITED,
        tuple({"x": np.array(x, np.float32)} for x in ((1, 2, 3), (0, 0, 0.1), (9e9, 1, 1))),
        1,
    ),
    FlowModel(
        "masked", MASKED,
        tuple({"boxes": _boxes(n), "scores": _floats(n, seed=n), "all": _floats(n, 6)}
              for n in (9, 14)),
        2,
    ),
    FlowModel(
        "chosen", CHOSEN,
        ({"x": _floats(3, 4), "rate": _int(16)}, {"x": _floats(3, 4), "rate": _int(8)},
         {"x": _floats(7, 4), "rate": _int(11)}),
        1,
    ),
    FlowModel(
        "weighed", WEIGHED,
        ({"x": np.zeros((4, 5), np.float32)}, {"x": _floats(4, 5)}),
        1,
    ),
    FlowModel(
        "halved", HALVED,
        tuple({"x": 20 * _floats(5, seed=j) ** 2, "most": _int(m)}
              for j, m in enumerate((100, 3, 100))),
        2,
    ),
    FlowModel(
        "summed", SUMMED,
        tuple({"x": _floats(t, 2, 3, seed=t), "start": _floats(2, 3)} for t in (5, 12, 1)),
        0,
    ),
    FlowModel(
        "sized", SIZED,
        tuple({"x": _floats(4, 3), "shape": np.array(s), "count": _int(c)}
              for s, c in (((6, 2), 5), ((-1, 4), 0), ((0, -1), 1), ((6, 2), 3))),
        2,
    ),
    FlowModel(
        "partly", PARTLY,
        tuple({"x": _floats(n, 12, seed=n), "width": np.array([w])}
              for n, w in ((2, 4), (3, 6), (1, 12))),
        2,
    ),
    FlowModel(
        "lstm", _lstm(),
        tuple({"x": _floats(t, 3, 3, seed=t), "lengths": np.array([t, 1, max(t // 2, 1)], np.int32)}
              for t in (9, 6, 2)),
        0,
    ),
)  # fmt: skip
