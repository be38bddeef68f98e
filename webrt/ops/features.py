"""Features of classical models: n-grams counted, elements picked, thresholds."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.registry import Attr
from webrt.ops.site import Site

ML = "ai.onnx.ml"


@composite("Binarizer", Attr("threshold", 0.0), domain=ML)
def binarizer(site: Site, make: Make) -> tuple[Value, ...]:
    """1 above the threshold, else 0."""
    x = site.input(0)
    above = make("Greater", x, make.number(site.number("threshold"), x))
    return (make.cast(above, x.dtype),)


@composite("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(site: Site, make: Make) -> tuple[Value, ...]:
    """Elements of the last axis, by index; at least two dims."""
    x, size = site.input(0), dims.product(site.input(1).shape)
    picked = make("Gather", x, make.reshape(site.input(1), size), axis=len(x.shape) - 1)
    return (make.reshape(picked, *(x.shape[:-1] or (1,)), size),)


_GRAMS = (
    Attr("max_gram_length"), Attr("max_skip_count"), Attr("min_gram_length"), Attr("mode"),
    Attr("ngram_counts"), Attr("ngram_indexes"), Attr("pool_int64s"), Attr("pool_strings"),
    Attr("weights"),
)  # fmt: skip


@composite("TfIdfVectorizer", *_GRAMS, since=9)
def tf_idf_vectorizer(site: Site, make: Make) -> tuple[Value, ...]:
    """How often each n-gram of a pool stands in a row, perhaps with gaps of one width in it."""
    shape = site.ranked(0, 1, 2)
    if "pool_int64s" not in site.attributes:
        raise site.unsupported("n-grams of strings aren't run")
    pool, starts = np.array(site.integers("pool_int64s")), list(site.integers("ngram_counts"))
    columns = site.integers("ngram_indexes")
    x = make.cast(make.reshape(site.input(0), 1 if len(shape) == 1 else shape[0], shape[-1]),
                  DType.I64)  # fmt: skip
    found: list[Value] = []
    places: list[int] = []
    known = 0  # n-grams of shorter lengths
    for length, start in enumerate(starts, 1):
        end = starts[length] if length < len(starts) else pool.size
        if not 0 <= start <= end <= pool.size or (end - start) % length:
            raise site.shape_error("ngram_counts within the pool", str(tuple(starts)))
        grams = pool[start:end].reshape(-1, length)
        wanted = site.integer("min_gram_length") <= length <= site.integer("max_gram_length")
        if wanted and len(grams):
            counts = _counted(site, make, x, grams)
            if counts is not None:
                found.append(counts)
                places += range(known, known + len(grams))
        known += len(grams)
    if len(columns) != known or min(columns) < 0:
        raise site.shape_error(f"{known} ngram_indexes", str(len(columns)))
    return (_spread(site, make, x.shape[0], found, [columns[p] for p in places], places, shape),)


def _counted(site: Site, make: Make, x: Value, grams: np.ndarray) -> Value | None:
    """[B, n-grams]: the counts of n-grams of one length."""
    length, row = grams.shape[1], x.shape[1]
    total: Value | None = None
    for gap in range(site.integer("max_skip_count") + 1 if length > 1 else 1):
        last: Dim = row - (length - 1) * (gap + 1)
        if isinstance(last, int) and last < 1:
            break
        same: Value | None = None
        for j in range(length):
            part = make.part(x, 1, j * (gap + 1), last + j * (gap + 1))
            wide = make("Unsqueeze", part, make.integers(2))
            equal = make("Equal", wide, make.constant(grams[:, j].astype(np.int64)))
            same = equal if same is None else make("And", same, equal)
        assert same is not None
        counts = make("ReduceSum", make.cast(same, DType.F32), make.integers(1), keepdims=0)
        total = counts if total is None else make("Add", total, counts)
    return total


def _spread(
    site: Site, make: Make, batch: Dim, found: list[Value], columns: list[int], places: list[int],
    shape: tuple[Dim, ...],
) -> Value:  # fmt: skip
    """The counts, weighted, each in its column."""
    width = max(site.integers("ngram_indexes")) + 1
    weights = np.ones(len(site.integers("ngram_indexes")), np.float32)
    given = site.attributes.get("weights")
    mode = site.text("mode")
    if mode not in ("TF", "IDF", "TFIDF"):
        raise site.unsupported(f"mode {mode!r} isn't run")
    if isinstance(given, tuple) and mode != "TF":
        weights = np.array(given, np.float32)
    out = (width,) if len(shape) == 1 else (batch, width)
    if not found:
        zero = make.constant(np.zeros((), np.float32))
        return make("Expand", zero, make.integers(*out))
    counts = found[0] if len(found) == 1 else make("Concat", *found, axis=1)
    if mode == "IDF":
        counts = make("Min", counts, make.number(1, counts))
    table = np.zeros((len(places), width), np.float32)
    for row, (place, column) in enumerate(zip(places, columns, strict=True)):
        table[row, column] += weights[place]
    return make.reshape(make("MatMul", counts, make.constant(table)), *out)
