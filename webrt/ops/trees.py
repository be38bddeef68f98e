"""Ensembles of trees: regressors, classifiers, and TreeEnsemble of ai.onnx.ml 5."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.forest import EQ, LE, LT, Forest, checked, grown, leaves_of, rounded
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
    pair,
    transformed,
    winner,
)
from webrt.ops.site import Site

_NODES = (
    Attr("base_values"), Attr("base_values_as_tensor", since=3), Attr("nodes_falsenodeids"),
    Attr("nodes_featureids"), Attr("nodes_hitrates"), Attr("nodes_hitrates_as_tensor", since=3),
    Attr("nodes_missing_value_tracks_true"), Attr("nodes_modes"), Attr("nodes_nodeids"),
    Attr("nodes_treeids"), Attr("nodes_truenodeids"), Attr("nodes_values"),
    Attr("nodes_values_as_tensor", since=3), Attr("post_transform", "NONE"),
)  # fmt: skip

MODES = {  # comparison, and whether it is the opposite of the one meant
    "BRANCH_LEQ": (LE, False), "BRANCH_LT": (LT, False), "BRANCH_GTE": (LT, True),
    "BRANCH_GT": (LE, True), "BRANCH_EQ": (EQ, False), "BRANCH_NEQ": (EQ, True),
}  # fmt: skip

FARTHEST = float(np.finfo(np.float32).max)
"""What stands for no weight where the least or the greatest is wanted."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """A forest with the weights of its leaves.

    `weights` [leaves, targets]; `given` tells which of them the model has.
    """

    forest: Forest
    weights: np.ndarray
    given: np.ndarray

    @property
    def trees(self) -> int:
        return len(self.forest.roots)


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Nodes as a model lists them; children are places in the list."""

    features: np.ndarray
    values: np.ndarray
    modes: tuple[str, ...]
    missing: np.ndarray
    yes: np.ndarray
    no: np.ndarray
    roots: np.ndarray

    @property
    def is_leaf(self) -> np.ndarray:
        return np.array([m == "LEAF" for m in self.modes], bool)


def _numbers(site: Site, name: str) -> np.ndarray:
    """Floats of an attribute, or of its twin that is a tensor."""
    tensor = floats(site, f"{name}_as_tensor")
    return tensor if tensor.size else floats(site, name)


def _listed(site: Site) -> tuple[_Nodes, dict[tuple[int, int], int]]:
    """The nodes of opsets 1 to 3, and their places by tree and node."""
    trees, ids = integers(site, "nodes_treeids"), integers(site, "nodes_nodeids")
    modes = site.attributes.get("nodes_modes", ())
    assert isinstance(modes, tuple)
    count = len(trees)
    values = _numbers(site, "nodes_values")
    features = integers(site, "nodes_featureids")
    yes, no = integers(site, "nodes_truenodeids"), integers(site, "nodes_falsenodeids")
    for name, found in (
        ("nodes_nodeids", ids), ("nodes_modes", modes), ("nodes_values", values),
        ("nodes_featureids", features), ("nodes_truenodeids", yes), ("nodes_falsenodeids", no),
    ):  # fmt: skip
        if len(found) != count or not count:
            raise site.shape_error(f"{count or 'some'} {name}", str(len(found)))
    places = {
        key: place for place, key in enumerate(zip(trees.tolist(), ids.tolist(), strict=True))
    }
    if len(places) < count:
        raise site.shape_error("nodes of different ids in a tree", "two of the same")
    leaf = [m == "LEAF" for m in modes]

    def child(found: np.ndarray) -> np.ndarray:
        keys = zip(trees.tolist(), found.tolist(), leaf, strict=True)
        try:
            return np.array([0 if end else places[t, c] for t, c, end in keys], np.int64)
        except KeyError as error:
            raise site.shape_error("children that are nodes", str(error)) from error

    missing = checked(site, features[~np.array(leaf, bool)], count)
    _, first = np.unique(trees, return_index=True)
    named = tuple(str(m) for m in modes)
    nodes = _Nodes(features, values, named, missing, child(yes), child(no), np.sort(first))
    return nodes, places


def _forest(site: Site, nodes: _Nodes) -> tuple[Forest, np.ndarray]:
    """Leaves first, then branches; and the new number of each node."""
    leaf = nodes.is_leaf
    number = np.empty(len(leaf), np.int64)
    leaves = int(leaf.sum())
    number[leaf] = np.arange(leaves)
    number[~leaf] = np.arange(leaves, len(leaf))
    try:
        kinds = [MODES[m] for m in nodes.modes if m != "LEAF"]
    except KeyError as error:
        raise site.unsupported(f"the mode {error} of a node isn't run") from error
    kind = np.array([k for k, _ in kinds], np.int64)
    swapped = np.array([s for _, s in kinds], bool)
    yes, no = number[nodes.yes[~leaf]], number[nodes.no[~leaf]]
    children = np.stack([np.where(swapped, no, yes), np.where(swapped, yes, no)], 1)
    # Of what is no number, no comparison holds but `not equal`.
    true = (nodes.missing[~leaf] != 0) | np.array([m == "BRANCH_NEQ" for m in nodes.modes])[~leaf]
    forest = Forest(
        leaves, number[nodes.roots], nodes.features[~leaf], kind,
        (true != swapped).astype(np.int64), rounded(site, nodes.values[~leaf], kind), children,
    )  # fmt: skip
    return _with_branch(forest), number


def _with_branch(forest: Forest) -> Forest:
    """A forest of leaves alone gets a branch that nobody reaches: tables are never empty."""
    if len(forest.features):
        return forest
    none = np.zeros(1, np.int64)
    return Forest(
        forest.leaves, forest.roots, none, none, none, np.zeros(1, np.float32),
        np.zeros((1, 2), np.int64),
    )  # fmt: skip


def _ensemble(site: Site, kind: str, targets: int) -> Ensemble:
    """What opsets 1 to 3 list; `kind` is `target` or `class`."""
    nodes, places = _listed(site)
    forest, number = _forest(site, nodes)
    ids = integers(site, f"{kind}_ids")
    trees, at = integers(site, f"{kind}_treeids"), integers(site, f"{kind}_nodeids")
    weights = _numbers(site, f"{kind}_weights")
    if not len(ids) == len(trees) == len(at) == len(weights):
        raise site.shape_error(f"{len(ids)} of {kind}_treeids, nodeids and weights", "others")
    if len(ids) and not 0 <= ids.min() <= ids.max() < targets:
        raise site.shape_error(f"{kind}_ids below {targets}", str(int(ids.max())))
    keys = zip(trees.tolist(), at.tolist(), strict=True)
    try:
        rows = number[np.array([places[key] for key in keys], np.int64)]
    except KeyError as error:
        raise site.shape_error("weights of nodes", str(error)) from error
    kept = rows < forest.leaves
    if kind == "target" and targets == 1:  # of several weights of a leaf, ONNX Runtime takes one
        kept &= np.isin(np.arange(len(rows)), np.unique(rows, return_index=True)[1])
    return weighted(forest, rows[kept], ids[kept], weights[kept], targets)


def weighted(
    forest: Forest, rows: np.ndarray, ids: np.ndarray, weights: np.ndarray, targets: int
) -> Ensemble:
    table = np.zeros((forest.leaves, targets), np.float64)
    given = np.zeros((forest.leaves, targets), bool)
    np.add.at(table, (rows, ids), weights)
    given[rows, ids] = True
    return Ensemble(forest, table, given)


# Sums


def _gathered(make: Make, leaves: Value, table: np.ndarray) -> Value:
    """[rows, trees, targets]: what a table holds of each leaf."""
    return make("Gather", make.constant(table), leaves, axis=0)


def _summed(site: Site, make: Make, x: Value, made: Ensemble, exact: bool = False) -> Value:
    """[rows, targets]: the sums of the leaves' weights.

    `exact`: they are summed as integers, so that equal votes are equal in whatever order.
    """
    weights, scale = made.weights, 1.0
    if exact:
        most = float(np.abs(weights).max(initial=0)) * made.trees
        scale = 2.0 ** (30 - np.ceil(np.log2(most))) if 0 < most < FARTHEST else 1.0
        weights = np.rint(weights * scale)
    table = weights.astype(np.int32 if exact else np.float32)
    total = _own_sums(site, make, x, made, table)
    if total is None:
        leaves = leaves_of(site, make, x, made.forest)
        total = make("ReduceSum", _gathered(make, leaves, table), make.integers(1), keepdims=0)
    if not exact:
        return total
    total = make.cast(total, DType.F32)
    return make("Mul", total, make.number(1 / scale, total))


def _own_sums(site: Site, make: Make, x: Value, made: Ensemble, table: np.ndarray) -> Value | None:
    """The sums where each tree speaks of one target only: a tree for each target in turn."""
    targets = table.shape[1]
    if targets == 1:
        leaves = leaves_of(site, make, x, made.forest)
        found = make("Gather", make.constant(table[:, 0].copy()), leaves, axis=0)
        return make("ReduceSum", found, make.integers(1), keepdims=1)
    owner = _owners(made)
    if owner is None:
        return None
    order = [np.flatnonzero(owner == k) for k in range(targets)]
    deep = max(map(len, order))
    if deep * targets > 2 * made.trees:
        return None
    forest = grown(made.forest, 1)
    roots = np.full((deep, targets), forest.roots[-1])
    for k, trees in enumerate(order):
        roots[: len(trees), k] = forest.roots[trees]
    leaves = leaves_of(site, make, x, replace(forest, roots=roots.reshape(-1)))
    values = np.concatenate([table.sum(1, dtype=table.dtype), np.zeros(1, table.dtype)])
    found = make("Gather", make.constant(values), leaves, axis=0)
    each = make.reshape(found, x.shape[0], deep, targets)
    return make("ReduceSum", each, make.integers(1), keepdims=0)


def _owners(made: Ensemble) -> np.ndarray | None:
    """The one target that each tree's leaves have weights of; None where there are several."""
    forest = made.forest
    owner = np.zeros(made.trees, np.int64)
    for tree, root in enumerate(forest.roots):
        seen = made.given[_leaves_under(forest, root)].any(0)
        if seen.sum() > 1:
            return None
        owner[tree] = int(seen.argmax())
    return owner


def _extreme(site: Site, make: Make, x: Value, made: Ensemble, least: bool) -> Value:
    """[rows, targets]: the least or greatest weight; 0 of a target that no leaf speaks of."""
    none = FARTHEST if least else -FARTHEST
    table = np.where(made.given, made.weights, none).astype(np.float32)
    found = _gathered(make, leaves_of(site, make, x, made.forest), table)
    best = make("ReduceMin" if least else "ReduceMax", found, make.integers(1), keepdims=0)
    if made.given.all():
        return best
    known = make("Less", make("Abs", best), make.number(FARTHEST, best))
    return make("Where", known, best, make.number(0, best))


def aggregated(site: Site, make: Make, x: Value, made: Ensemble, how: str) -> Value:
    match how:
        case "SUM":
            return _summed(site, make, x, made)
        case "AVERAGE":
            total = _summed(site, make, x, made)
            return make("Div", total, make.number(made.trees, total))
        case "MIN" | "MAX":
            return _extreme(site, make, x, made, how == "MIN")
    raise site.unsupported(f"aggregate_function {how!r} isn't run")


def _known(made: Ensemble) -> bool:
    """Whether every row has a weight of every target: a tree speaks of it in all its leaves."""
    roots = made.forest.roots
    always = [made.given[_leaves_under(made.forest, root)].all(0) for root in roots]
    return bool(np.any(always, 0).all())


def _leaves_under(forest: Forest, root: int) -> np.ndarray:
    """The leaves of one tree."""
    level, found = np.array([root]), [np.zeros(0, np.int64)]
    while len(level):
        found.append(level[level < forest.leaves])
        level = np.unique(forest.children[level[level >= forest.leaves] - forest.leaves])
    return np.unique(np.concatenate(found))


def _spoken_of(make: Make, leaves: Value, made: Ensemble) -> Value:
    """[rows, targets]: whether any leaf has a weight of the target."""
    given = _gathered(make, leaves, made.given.astype(np.float32))
    most = make("ReduceMax", given, make.integers(1), keepdims=0)
    return make("Greater", most, make.number(0, most))


def finished(
    site: Site, make: Make, x: Value, scores: Value, made: Ensemble, base: np.ndarray
) -> Value:
    """Base values, and the transform; of one target, only PROBIT is one in ONNX Runtime."""
    targets = scores.shape[1]
    if base.size == targets and base.any():
        total = make("Add", scores, make.constant(base.astype(np.float32)))
        if targets > 1 and not _known(made):  # a target that no leaf speaks of stays 0
            spoken = _spoken_of(make, leaves_of(site, make, x, made.forest), made)
            total = make("Where", spoken, total, scores)
        scores = total
    return (one_transformed if targets == 1 else transformed)(site, make, scores)


@composite(
    "TreeEnsembleRegressor", *_NODES, Attr("aggregate_function", "SUM"), Attr("n_targets"),
    Attr("target_ids"), Attr("target_nodeids"), Attr("target_treeids"), Attr("target_weights"),
    Attr("target_weights_as_tensor", since=3), domain=ML,
)  # fmt: skip
def tree_ensemble_regressor(site: Site, make: Make) -> tuple[Value, ...]:
    """Leaves' weights, summed over trees (or their mean, least, greatest)."""
    x, targets = matrix(site, make), site.positive("n_targets")
    made = _ensemble(site, "target", targets)
    scores = aggregated(site, make, x, made, site.text("aggregate_function"))
    return (finished(site, make, x, scores, made, _numbers(site, "base_values")),)


@composite(
    "TreeEnsembleClassifier", *_NODES, Attr("class_ids"), Attr("class_nodeids"),
    Attr("class_treeids"), Attr("class_weights"), Attr("class_weights_as_tensor", since=3),
    Attr("classlabels_int64s"), Attr("classlabels_strings"), domain=ML,
)  # fmt: skip
def tree_ensemble_classifier(site: Site, make: Make) -> tuple[Value, ...]:
    """Leaves' weights summed over trees: the class of the greatest sum, and the scores.

    Equal votes are a tie here; ONNX Runtime, which rounds each sum, may break it.
    """
    x, classes = matrix(site, make), class_count(site, "classlabels_int64s")
    if classes < 2:
        raise site.unsupported(f"{classes} classes aren't run, expected at least 2")
    made, base = _ensemble(site, "class", classes), _numbers(site, "base_values")
    spoken = np.unique(integers(site, "class_ids"))
    if base.size not in (0, classes) and (classes > 2 or base.size != 1):
        raise site.shape_error(f"0 or {classes} base values", str(base.size))
    if classes == 2 and len(spoken) == 1:
        place, scores = _binary(site, make, x, made, int(spoken[0]), base)
    else:
        place, scores = _several(site, make, x, made, base)
    return labels(site, make, place, "classlabels_int64s"), scores


def _several(
    site: Site, make: Make, x: Value, made: Ensemble, base: np.ndarray
) -> tuple[Value, Value]:
    """The class of the greatest sum; of two, ONNX Runtime takes the second if it is above 0."""
    scores = _summed(site, make, x, made, exact=True)
    if base.any():
        more = base if base.size == scores.shape[1] else np.append(base, 0)
        scores = make("Add", scores, make.constant(more.astype(np.float32)))
    chosen = scores
    if not base.size and (made.weights < 0).any() and not _known(made):
        spoken = _spoken_of(make, leaves_of(site, make, x, made.forest), made)
        chosen = make("Where", spoken, scores, make.number(-FARTHEST, scores))
    return winner(make, chosen), transformed(site, make, scores)


def _binary(
    site: Site, make: Make, x: Value, made: Ensemble, spoken: int, base: np.ndarray
) -> tuple[Value, Value]:
    """Two classes of which leaves speak of one: the second's score, or its probability."""
    column = slice(spoken, spoken + 1)
    one = Ensemble(made.forest, made.weights[:, column], made.given[:, column])
    score = _summed(site, make, x, one, exact=True)
    if base.any() and not spoken:
        score = make("Add", score, make.number(float(base[0]), score))
    positive = bool((_numbers(site, "class_weights") >= 0).all())
    place = above(make, score, 0.5 if positive else 0)
    if spoken or base.size == 2:  # ONNX Runtime has a score of the other class too: none
        if spoken and base.size == 2:
            raise site.unsupported("base values of two classes, with scores of the second alone")
        none = make("Mul", score, make.number(0, score))
        both = pair(make, none, score) if spoken else pair(make, score, none)
        return place, transformed(site, make, both)
    return place, of_two(site, make, score, positive)
