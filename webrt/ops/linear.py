"""Linear models and support vector machines of ai.onnx.ml: matrix products, kernels, votes."""

from __future__ import annotations

import itertools

import numpy as np

from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.registry import Attr
from webrt.ops.scores import (
    ML,
    above,
    class_count,
    floats,
    integers,
    labels,
    matrix,
    of_two,
    one_transformed,
    transformed,
    winner,
)
from webrt.ops.site import Site

_TRANSFORM = Attr("post_transform", "NONE")
_KERNEL = (Attr("kernel_params"), Attr("kernel_type", "LINEAR"))
ROUNDS = 6
"""Turns that the coupling of pairwise probabilities gets, and half as many that of one pair: random
scores of 2 to 20 classes took 2 to 5 (2026-11-21). ONNX Runtime goes on to 100."""


def _rows_of(site: Site, name: str, x: Value, rows: int) -> np.ndarray:
    """An attribute as [rows, features]."""
    found = floats(site, name)
    width = x.shape[1]
    if rows < 1 or found.size % rows or (isinstance(width, int) and found.size != rows * width):
        raise site.shape_error(f"{rows} × {width} {name.replace('_', ' ')}", str(found.size))
    return found.reshape(rows, -1)


def _affine(make: Make, x: Value, weights: np.ndarray, bias: np.ndarray) -> Value:
    """X · weightsᵀ + bias."""
    product = make("MatMul", x, make.constant(np.ascontiguousarray(weights.T, np.float32)))
    return make("Add", product, make.constant(bias.astype(np.float32))) if bias.any() else product


@composite(
    "LinearRegressor", Attr("coefficients"), Attr("intercepts"), _TRANSFORM, Attr("targets", 1),
    domain=ML,
)  # fmt: skip
def linear_regressor(site: Site, make: Make) -> tuple[Value, ...]:
    """X · coefficientsᵀ + intercepts."""
    x, targets = matrix(site, make), site.positive("targets")
    bias = floats(site, "intercepts")
    if bias.size not in (0, targets):
        raise site.shape_error(f"{targets} intercepts", str(bias.size))
    scores = _affine(make, x, _rows_of(site, "coefficients", x, targets), bias)
    return ((one_transformed if targets == 1 else transformed)(site, make, scores),)


@composite(
    "LinearClassifier", Attr("classlabels_ints"), Attr("classlabels_strings"),
    Attr("coefficients"), Attr("intercepts"), Attr("multi_class", 0), _TRANSFORM, domain=ML,
)  # fmt: skip
def linear_classifier(site: Site, make: Make) -> tuple[Value, ...]:
    """The class of the highest score; of one score, whether it is above 0."""
    x, bias = matrix(site, make), floats(site, "intercepts")
    classes = class_count(site, "classlabels_ints")
    scores = _affine(make, x, _rows_of(site, "coefficients", x, max(bias.size, 1)), bias)
    if bias.size == 1:
        if classes != 2:
            raise site.unsupported(f"one score for {classes} classes isn't run")
        place, two = above(make, scores, 0), of_two(site, make, scores, True)
    else:
        if classes != bias.size:
            raise site.shape_error(f"{bias.size} class labels", str(classes))
        place, two = winner(make, scores), transformed(site, make, scores)
    return labels(site, make, place, "classlabels_ints"), two


# Support vector machines


def _kernels(site: Site, make: Make, x: Value, vectors: np.ndarray, bias: float = 0) -> Value:
    """[rows, vectors]: the kernel of each row with each vector."""
    given = floats(site, "kernel_params")
    gamma, coef0, degree = (float(g) for g in (*given, *(0, 0, 0)[len(given) :])[:3])
    product = make("MatMul", x, make.constant(np.ascontiguousarray(vectors.T, np.float32)))
    if bias:
        product = make("Add", product, make.number(bias, x))
    kind = site.text("kernel_type")
    if kind == "LINEAR":
        return product
    if kind == "RBF":
        own = make("ReduceSumSquare", x, make.integers(1), keepdims=1)
        theirs = make.constant((vectors.astype(np.float64) ** 2).sum(1).astype(np.float32))
        twice = make("Mul", product, make.number(2, x))
        distance = make("Sub", make("Add", own, theirs), twice)
        distance = make("Max", distance, make.number(0, x))
        return make("Exp", make("Mul", distance, make.number(-gamma, x)))
    scaled = make("Add", make("Mul", product, make.number(gamma, x)), make.number(coef0, x))
    if kind == "POLY":
        return make("Pow", scaled, make.number(degree, x))
    if kind == "SIGMOID":
        return make("Tanh", scaled)
    raise site.unsupported(f"kernel_type {kind!r} isn't run")


@composite(
    "SVMRegressor", Attr("coefficients"), *_KERNEL, Attr("n_supports", 0), Attr("one_class", 0),
    _TRANSFORM, Attr("rho"), Attr("support_vectors"), domain=ML,
)  # fmt: skip
def svm_regressor(site: Site, make: Make) -> tuple[Value, ...]:
    """A weighted sum of kernels plus rho; its sign where `one_class` is set."""
    x, count, rho = matrix(site, make), site.integer("n_supports"), floats(site, "rho")
    if rho.size < 1:
        raise site.shape_error("rho", "none")
    weights = floats(site, "coefficients")
    if count > 0:
        kernels = _kernels(site, make, x, _rows_of(site, "support_vectors", x, count))
        if weights.size != count:
            raise site.shape_error(f"{count} coefficients", str(weights.size))
        scores = _affine(make, kernels, weights.reshape(1, count), rho[:1])
    else:
        scores = _kernels(site, make, x, _rows_of(site, "coefficients", x, 1), float(rho[0]))
    if site.integer("one_class"):
        sign = make("Greater", scores, make.number(0, scores))
        return (make("Where", sign, make.number(1, scores), make.number(-1, scores)),)
    return (scores,)  # ONNX Runtime transforms nothing


@composite(
    "SVMClassifier", Attr("classlabels_ints"), Attr("classlabels_strings"), Attr("coefficients"),
    *_KERNEL, _TRANSFORM, Attr("prob_a"), Attr("prob_b"), Attr("rho"), Attr("support_vectors"),
    Attr("vectors_per_class"), domain=ML,
)  # fmt: skip
def svm_classifier(site: Site, make: Make) -> tuple[Value, ...]:
    """A machine for each pair of classes: their votes choose, their scores make probabilities."""
    x, counts = matrix(site, make), integers(site, "vectors_per_class")
    classes = class_count(site, "classlabels_ints")
    if not counts.sum():
        raise site.unsupported("a linear model without support vectors isn't run")
    if classes < 2 or len(counts) != classes or (counts < 0).any():
        raise site.shape_error(f"vectors_per_class of {classes} classes", str(counts.tolist()))
    kernels = _kernels(site, make, x, _rows_of(site, "support_vectors", x, int(counts.sum())))
    scores = _affine(make, kernels, *_machines(site, counts))
    known = floats(site, "prob_a"), floats(site, "prob_b")
    pairs = list(itertools.combinations(range(classes), 2))
    if known[0].size:
        if known[0].size != len(pairs) or known[1].size != len(pairs):
            raise site.shape_error(f"{len(pairs)} of prob_a and prob_b", str(known[0].size))
        return _voted(site, make, scores, pairs), _coupled(site, make, scores, known, pairs)
    label = _voted(site, make, scores, pairs)
    if classes > 2:
        return label, transformed(site, make, scores)
    return label, of_two(site, make, scores, site.text("post_transform") != "NONE")


def _machines(site: Site, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[pairs, vectors] of coefficients, and rho of each pair."""
    total, classes = int(counts.sum()), len(counts)
    given = floats(site, "coefficients")
    rho = floats(site, "rho")
    pairs = list(itertools.combinations(range(classes), 2))
    if given.size != (classes - 1) * total or rho.size < len(pairs):
        raise site.shape_error(
            f"{classes - 1} × {total} coefficients and {len(pairs)} of rho",
            f"{given.size} and {rho.size}",
        )
    table, ends = given.reshape(classes - 1, total), np.cumsum(counts)
    starts = ends - counts
    weights = np.zeros((len(pairs), total), np.float32)
    for row, (i, j) in enumerate(pairs):
        weights[row, starts[i] : ends[i]] = table[j - 1, starts[i] : ends[i]]
        weights[row, starts[j] : ends[j]] = table[i, starts[j] : ends[j]]
    return weights, rho[: len(pairs)]


def _voted(site: Site, make: Make, scores: Value, pairs: list[tuple[int, int]]) -> Value:
    """The first class that wins most of its pairs."""
    classes = pairs[-1][1] + 1
    votes = np.zeros((len(pairs), classes), np.float32)
    base = np.zeros(classes, np.float32)
    for row, (i, j) in enumerate(pairs):  # a vote for j, which goes to i where the score is above 0
        base[j] += 1
        votes[row, i], votes[row, j] = 1, -1
    won = make.cast(make("Greater", scores, make.number(0, scores)), DType.F32)
    counted = make("Add", make("MatMul", won, make.constant(votes)), make.constant(base))
    return labels(site, make, winner(make, counted), "classlabels_ints")


def _coupled(
    site: Site, make: Make, scores: Value, known: tuple[np.ndarray, np.ndarray],
    pairs: list[tuple[int, int]],
) -> Value:  # fmt: skip
    """Probabilities [rows, classes] that fit the pairwise ones best: Wu, Lin and Weng, 2004."""
    a, b = (make.constant(k.astype(np.float32)) for k in known)
    value = make("Add", make("Mul", scores, a), b)
    low, high = make.number(1e-7, scores), make.number(1 - 1e-7, scores)
    won = make("Clip", make("Sigmoid", make("Neg", value)), low, high)
    lost = make("Sub", make.number(1, scores), won)
    return transformed(site, make, _solved(make, won, lost, pairs))


def _solved(make: Make, won: Value, lost: Value, pairs: list[tuple[int, int]]) -> Value:
    """Their second algorithm, which goes over the classes until a row moves too little."""
    classes = pairs[-1][1] + 1
    places = np.full((classes, classes), 2 * len(pairs), np.int64)
    for row, (i, j) in enumerate(pairs):
        places[i, j], places[j, i] = row, row + len(pairs)
    rows, zero = won.shape[0], make.number(0, won)
    none = make("Mul", make.part(won, 1, 0, 1), zero)
    given = make("Concat", won, lost, none, axis=1)
    wins, losses = (
        make("Gather", given, make.constant(p), axis=1) for p in (places, places.T.copy())
    )
    squares = make("ReduceSum", make("Mul", losses, losses), make.integers(2), keepdims=1)
    own = make.constant(np.eye(classes, dtype=np.float32))
    matrix = make("Sub", make("Mul", squares, own), make("Mul", losses, wins))
    parts = [make.reshape(make.part(matrix, 1, t, t + 1), rows, classes) for t in range(classes)]
    p = make("Add", make("Mul", none, zero), make.constant(np.full(classes, 1 / classes, "f4")))
    moves: Value | None = None
    for _ in range(ROUNDS if len(pairs) > 1 else ROUNDS // 2):
        far = make("Mul", matrix, make("Unsqueeze", p, make.integers(1)))
        slope = make("ReduceSum", far, make.integers(2), keepdims=0)
        mean = make("ReduceSum", make("Mul", p, slope), make.integers(1), keepdims=1)
        apart = make("Abs", make("Sub", slope, mean))
        error = make("ReduceMax", apart, make.integers(1), keepdims=1)
        goes = make("GreaterOrEqual", error, make.number(0.005 / classes, error))
        moves = goes if moves is None else make("And", moves, goes)
        p = _round(make, p, slope, mean, parts, moves)
    return p


def _round(
    make: Make, p: Value, slope: Value, mean: Value, parts: list[Value], moves: Value
) -> Value:
    """Each class's probability is moved in turn, in the rows that still do."""
    zero, one, two = (make.number(n, p) for n in (0, 1, 2))
    for t, part in enumerate(parts):
        mine, curve = make.part(slope, 1, t, t + 1), make.part(part, 1, t, t + 1)
        step = make("Div", make("Sub", mean, mine), curve)
        step = make("Where", moves, step, zero)
        unit = np.zeros(len(parts), np.float32)
        unit[t] = 1
        scale = make("Add", step, one)
        p = make("Div", make("Add", p, make("Mul", step, make.constant(unit))), scale)
        bent = make("Add", make("Mul", step, curve), make("Mul", mine, two))
        mean = make("Add", mean, make("Mul", step, bent))
        mean = make("Div", make("Div", mean, scale), scale)
        slope = make("Div", make("Add", slope, make("Mul", step, part)), scale)
    return p
