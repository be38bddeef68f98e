"""Models of float16 with their inputs and right answers, the latter computed in float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
from onnx import numpy_helper

Array = npt.NDArray[np.generic]
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Sample:
    """A model, what to feed it, and what it answers; `scale` is the size of what enters a sum."""

    model: onnx.ModelProto
    feeds: Arrays
    answers: Arrays
    scale: float = 1.0


def _model(text: str, weights: Arrays) -> onnx.ModelProto:
    header = '<ir_version: 8, opset_import: ["" : 17]>\n'
    model = onnx.parser.parse_model(header + text)
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in weights.items())
    onnx.checker.check_model(model, full_check=True)
    return model


def _halves(seed: int, *shape: int, scale: float = 1.0) -> npt.NDArray[np.float16]:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float16)


def islands() -> Sample:
    """Casts both ways, float32 in between, odd sizes; an input and a constant are outputs."""
    weights: Arrays = {"w": _halves(1, 6, 7), "bias": _halves(2, 7), "fixed": _halves(3, 5)}
    model = _model(
        """g (float16[b, n, 6] x, float[6] scale) => (float16[b, n, 7] y, float[b, n, 6] wide,
              float16[b] mean, float16[b, n, 6] echo, float16[5] fixed, float[b] sum) {
             echo = Identity (x)
             x32 = Cast <to = 1> (x)
             wide = Mul (x32, scale)
             back = Cast <to = 10> (wide)
             product = MatMul (back, w)
             biased = Add (product, bias)
             y = Tanh (biased)
             mean = ReduceMean <axes = [1, 2], keepdims = 0> (x)
             half = ReduceSum <keepdims = 0> (x, axes)
             sum = Cast <to = 1> (half)
           }""",
        {**weights, "axes": np.array([1, 2])},
    )
    x, scale = _halves(4, 3, 5, 6), np.linspace(0.5, 3, 6, dtype=np.float32)
    wide = x.astype(np.float32) * scale
    y = np.tanh(wide @ weights["w"].astype(np.float32) + weights["bias"].astype(np.float32))
    answers: Arrays = {
        "y": y.astype(np.float16),
        "wide": wide,
        "mean": x.astype(np.float32).mean((1, 2)).astype(np.float16),
        "echo": x,
        "fixed": weights["fixed"],
        "sum": x.astype(np.float32).sum((1, 2)),
    }
    return Sample(model, {"x": x, "scale": scale}, answers, 4.0)


def norms() -> Sample:
    """Squares that pass float16's range: of a layer norm, and of a root mean square down a column,
    which no pass recognises."""
    weights: Arrays = {"g": _halves(1, 96), "b": _halves(2, 96)}
    numbers: Arrays = {"two": np.array(2, np.float16), "least": np.array(1e-3, np.float16)}
    model = _model(
        """g (float16[n, 96] x) => (float16[n, 96] normed, float16[n, 96] rooted) {
             mean = ReduceMean <axes = [-1]> (x)
             away = Sub (x, mean)
             square = Pow (away, two)
             variance = ReduceMean <axes = [-1]> (square)
             shifted = Add (variance, least)
             root = Sqrt (shifted)
             normal = Div (away, root)
             scaled = Mul (normal, g)
             normed = Add (scaled, b)
             squares = Mul (x, x)
             columns = ReduceMean <axes = [0]> (squares)
             column = Sqrt (columns)
             rooted = Div (x, column)
           }""",
        weights | numbers,
    )
    x = _halves(3, 80, 96, scale=900.0)
    wide = x.astype(np.float64)
    away = wide - wide.mean(-1, keepdims=True)
    normed = away / np.sqrt((away**2).mean(-1, keepdims=True) + 0.001)
    answers: Arrays = {
        "normed": (normed * weights["g"] + weights["b"]).astype(np.float16),
        "rooted": (wide / np.sqrt((wide**2).mean(0))).astype(np.float16),
    }
    assert all(np.isfinite(a.astype(np.float64)).all() for a in answers.values())
    return Sample(model, {"x": x}, answers, 4.0)


def attention() -> Sample:
    """Softmax in a float32 island, masked by float16's lowest number, added and chosen."""
    model = _model(
        """g (float16[h, n, 8] q, float16[h, n, 8] k, float16[h, n, 8] v, bool[n] keep,
              float16[n] mask) => (float16[h, n, 8] chosen, float16[h, n, 8] added) {
             turned = Transpose <perm = [0, 2, 1]> (k)
             dots = MatMul (q, turned)
             scores = Mul (dots, scale)
             filled = Where (keep, scores, low)
             filled32 = Cast <to = 1> (filled)
             weights32 = Softmax <axis = -1> (filled32)
             weights = Cast <to = 10> (weights32)
             chosen = MatMul (weights, v)
             masked = Add (scores, mask)
             parts = Softmax <axis = -1> (masked)
             added = MatMul (parts, v)
           }""",
        {"low": np.array(-65504, np.float16), "scale": np.array(0.35355339, np.float16)},
    )
    q, k, v = (_halves(seed, 2, 19, 8) for seed in (1, 2, 3))
    keep = np.arange(19) < 13
    scores = q.astype(np.float32) @ k.astype(np.float32).swapaxes(1, 2) * 0.35355339
    weights = np.exp(scores - scores.max(-1, keepdims=True)) * keep
    answer = (weights / weights.sum(-1, keepdims=True)) @ v.astype(np.float32)
    mask = np.where(keep, 0, -65504).astype(np.float16)
    feeds: Arrays = {"q": q, "k": k, "v": v, "keep": keep, "mask": mask}
    answers: Arrays = {name: answer.astype(np.float16) for name in ("chosen", "added")}
    return Sample(model, feeds, answers, 2.0)


def flow() -> Sample:
    """A loop that carries float16, a branch with a float32 island, sizes that depend on data."""
    model = _model(
        """g (float16[n, 6] x, int64 turns, bool chosen) =>
              (float16[n, 6] last, float16[turn, n, 6] every, float16[n, 6] either,
               int64[2, m] places)
           {
             yes = Constant <value = bool {1}> ()
             last, every = Loop (turns, yes, x) <body = body (int64 j, bool on, float16[n, 6] v) =>
               (bool again, float16[n, 6] added, float16[n, 6] halved) {
                 again = Identity (on)
                 added = Add (v, x)
                 halved = Mul (added, half)
               }>
             either = If (chosen) <
               then_branch = then () => (float16[n, 6] p) {
                 wide = Cast <to = 1> (last)
                 grown = Exp (wide)
                 p = Cast <to = 10> (grown)
               },
               else_branch = else () => (float16[n, 6] q) { q = Mul (last, x) }>
             places = NonZero (x)
           }""",
        {"half": np.array(0.5, np.float16)},
    )
    x = _halves(1, 5, 6, scale=0.5)
    x[1, 2] = x[4, 0] = 0
    wide = x.astype(np.float32)
    answers: Arrays = {
        "last": (wide * 4).astype(np.float16),
        "every": np.stack([wide * (j + 2) / 2 for j in range(3)]).astype(np.float16),
        "either": np.exp(wide * 4).astype(np.float16),
        "places": np.array(np.nonzero(x)),
    }
    feeds: Arrays = {"x": x, "turns": np.array(3), "chosen": np.array(True)}
    return Sample(model, feeds, answers, 16.0)


SAMPLES = {"islands": islands, "norms": norms, "attention": attention, "flow": flow}
