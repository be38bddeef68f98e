"""What classifiers and regressors of ai.onnx.ml end in: transforms of scores, labels of classes."""

from __future__ import annotations

import numpy as np

from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make
from webrt.ops.site import Site

ML = "ai.onnx.ml"
NOTHING = 1e-7
"""SOFTMAX_ZERO takes scores of up to this much for none."""


def floats(site: Site, name: str) -> np.ndarray:
    """An attribute of floats; empty where absent."""
    value = site.attributes.get(name, ())
    if isinstance(value, np.ndarray):
        return value.reshape(-1).astype(np.float64 if value.dtype == np.float64 else np.float32)
    if not isinstance(value, tuple):
        raise site.unsupported(f"attribute {name} is {value!r}, expected numbers")
    return np.array(value, np.float32)


def integers(site: Site, name: str) -> np.ndarray:
    """An attribute of integers; empty where absent."""
    return np.array(site.integers(name) if name in site.attributes else (), np.int64)


def matrix(site: Site, make: Make) -> Value:
    """The input as float32 of [rows, features]; a vector is one row."""
    x = make.cast(site.input(0), DType.F32)
    shape = site.ranked(0, 1, 2)
    return make.reshape(x, 1, shape[0]) if len(shape) == 1 else x


TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
"""By the numbers that ai.onnx.ml 5 has for them."""


def transform_of(site: Site) -> str:
    """The node's `post_transform` by its name."""
    value = site.attributes.get("post_transform")
    if isinstance(value, int):
        if not 0 <= value < len(TRANSFORMS):
            raise site.unsupported(f"post_transform {value} isn't run")
        return TRANSFORMS[value]
    return site.text("post_transform")


def transformed(site: Site, make: Make, scores: Value) -> Value:
    """Scores [rows, classes] after the node's `post_transform`."""
    match transform_of(site):
        case "NONE":
            return scores
        case "LOGISTIC":
            return make("Sigmoid", scores)
        case "SOFTMAX":
            return make("Softmax", scores, axis=-1)
        case "SOFTMAX_ZERO":
            return _softmax_zero(make, scores)
        case "PROBIT":
            return probit(make, scores)
        case other:
            raise site.unsupported(f"post_transform {other!r} isn't run")


def _softmax_zero(make: Make, scores: Value) -> Value:
    """Softmax of what isn't zero: zeros stay so."""
    top = make("ReduceMax", scores, make.integers(-1), keepdims=1)
    some = make("Greater", make("Abs", scores), make.number(NOTHING, scores))
    powers = make("Exp", make("Sub", scores, top))
    total = make("ReduceSum", make("Where", some, powers, make.number(0, scores)),
                 make.integers(-1), keepdims=1)  # fmt: skip
    little = make("Mul", scores, make("Exp", make("Neg", top)))
    return make("Div", make("Where", some, powers, little), total)


def probit(make: Make, scores: Value) -> Value:
    """The inverse of the normal distribution, in ONNX Runtime's approximation."""
    x = make("Sub", make("Mul", scores, make.number(2, scores)), make.number(1, scores))
    one = make.number(1, x)
    log = make("Log", make("Mul", make("Sub", one, x), make("Add", one, x)))
    a = 0.147
    v = make("Add", make("Mul", log, make.number(0.5, x)), make.number(2 / (3.14159 * a), x))
    under = make("Sub", make("Mul", v, v), make("Mul", log, make.number(1 / a, x)))
    root = make("Sqrt", make("Sub", make("Sqrt", under), v))
    sign = make("Where", make("Less", x, make.number(0, x)), make.number(-1, x), one)
    return make("Mul", make("Mul", sign, root), make.number(1.41421356, x))


def one_transformed(site: Site, make: Make, scores: Value) -> Value:
    """One score [rows, 1]: of all transforms, ONNX Runtime has PROBIT alone for it."""
    return probit(make, scores) if transform_of(site) == "PROBIT" else scores


def of_two(site: Site, make: Make, score: Value, complement: bool) -> Value:
    """The scores of two classes from that of the second, or by LOGISTIC their probabilities.

    The first one's is what is left to 1 with `complement`, else the opposite.
    """
    how = transform_of(site)
    if how == "PROBIT":
        raise site.unsupported("post_transform 'PROBIT' of one score isn't run")
    low = make("Neg", score)
    if how == "LOGISTIC":
        return pair(make, make("Sigmoid", low), make("Sigmoid", score))
    return pair(make, make("Sub", make.number(1, score), score) if complement else low, score)


def class_count(site: Site, ints: str) -> int:
    """How many classes the node names."""
    names = site.attributes.get("classlabels_strings", ())
    assert isinstance(names, tuple)
    return len(names) or len(integers(site, ints))


def labels(site: Site, make: Make, place: Value, ints: str) -> Value:
    """[rows] of int64: the labels of classes by their places.

    Classes that are called by strings stay numbers: the front end knows their names.
    """
    place = make.cast(place, DType.I64)
    names = integers(site, ints)
    if site.attributes.get("classlabels_strings") or (names == np.arange(len(names))).all():
        return place
    return make("Gather", make.constant(names), place, axis=0)


def winner(make: Make, scores: Value) -> Value:
    """[rows]: the first class of the greatest score."""
    return make("ArgMax", scores, axis=1, keepdims=0)


def above(make: Make, score: Value, limit: float) -> Value:
    """[rows] of int64: 1 where the score [rows, 1] is above the limit."""
    return make.reshape(
        make.cast(make("Greater", score, make.number(limit, score)), DType.I64), score.shape[0]
    )


def pair(make: Make, first: Value, second: Value) -> Value:
    return make("Concat", first, second, axis=1)
