"""TreeEnsemble of ai.onnx.ml 5: branches in tables, leaves apart, members of sets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.forest import EQ, Forest, checked, rounded
from webrt.ops.registry import Attr
from webrt.ops.scores import ML, floats, integers, matrix
from webrt.ops.site import Site
from webrt.ops.trees import MODES, aggregated, finished, weighted

AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
NUMBERED = tuple(MODES.values())
"""The modes by their numbers here; then comes MEMBER."""
NOT_EQUAL, MEMBER = 5, 6


@composite(
    "TreeEnsemble", Attr("aggregate_function", 1), Attr("leaf_targetids"), Attr("leaf_weights"),
    Attr("membership_values"), Attr("n_targets"), Attr("nodes_falseleafs"),
    Attr("nodes_falsenodeids"), Attr("nodes_featureids"), Attr("nodes_hitrates"),
    Attr("nodes_missing_value_tracks_true"), Attr("nodes_modes"), Attr("nodes_splits"),
    Attr("nodes_trueleafs"), Attr("nodes_truenodeids"), Attr("post_transform", 0),
    Attr("tree_roots"), domain=ML, since=5,
)  # fmt: skip
def tree_ensemble(site: Site, make: Make) -> tuple[Value, ...]:
    """Leaves' weights, summed over trees (or their mean, least, greatest)."""
    x, how = matrix(site, make), site.integer("aggregate_function")
    if not 0 <= how < len(AGGREGATES):
        raise site.unsupported(f"aggregate_function {how} isn't run")
    ids, weights = integers(site, "leaf_targetids"), floats(site, "leaf_weights")
    targets = site.positive("n_targets")
    if len(ids) != len(weights) or not len(ids) or not 0 <= ids.min() <= ids.max() < targets:
        raise site.shape_error(f"{len(weights)} leaf_targetids below {targets}", str(len(ids)))
    made = weighted(_forest(site, len(ids)), np.arange(len(ids)), ids, weights, targets)
    scores = aggregated(site, make, x, made, AGGREGATES[how])
    scores = finished(site, make, x, scores, made, np.zeros(0, np.float32))
    return (make.cast(scores, site.input(0).dtype),)


def _forest(site: Site, leaves: int) -> Forest:
    """Its branches; one that looks for members of a set becomes one for each member."""
    features, splits = integers(site, "nodes_featureids"), floats(site, "nodes_splits")
    modes = floats(site, "nodes_modes").astype(np.int64)
    count = len(features)
    missing = checked(site, features, count)
    children = np.stack([_child(site, kind, leaves, count) for kind in ("true", "false")], 1)
    if not len(splits) == len(modes) == count or not count:
        raise site.shape_error(f"{count or 'some'} nodes_splits and nodes_modes", str(len(splits)))
    roots = integers(site, "tree_roots")
    if not len(roots) or not 0 <= roots.min() <= roots.max() < count:
        raise site.shape_error(f"tree_roots below {count}", str(roots.tolist()[:3]))
    sets = list(_sets(floats(site, "membership_values")))
    if len(sets) != int((modes == MEMBER).sum()) or not 0 <= modes.min() <= modes.max() <= MEMBER:
        raise site.shape_error("a set for each node that looks for members", str(len(sets)))
    columns = list(
        zip(*_branches(features, modes, missing, splits, children, sets, leaves), strict=True)
    )
    kinds = np.array(columns[1], np.int64)
    values = np.array(columns[3], splits.dtype)
    return Forest(
        leaves, roots + leaves, np.array(columns[0], np.int64), kinds,
        np.array(columns[2], np.int64), rounded(site, values, kinds),
        np.array([columns[4], columns[5]], np.int64).T,
    )  # fmt: skip


def _branches(
    features: np.ndarray, modes: np.ndarray, missing: np.ndarray, splits: np.ndarray,
    children: np.ndarray, sets: list[list[float]], leaves: int,
) -> list[tuple[int, int, int, float, int, int]]:  # fmt: skip
    """Feature, comparison, way of what is no number, threshold and children of each branch."""
    count = len(features)
    rows: list[tuple[int, int, int, float, int, int]] = []  # those of more members come last
    extra: list[tuple[int, int, int, float, int, int]] = []
    members = iter(sets)
    for node in range(count):
        mode, feature, gap = int(modes[node]), int(features[node]), int(missing[node])
        yes, no = (int(c) for c in children[node])
        if mode != MEMBER:
            kind, swapped = NUMBERED[mode]
            true = bool(gap) or mode == NOT_EQUAL
            first, second = (no, yes) if swapped else (yes, no)
            rows.append((feature, kind, int(true != swapped), float(splits[node]), first, second))
            continue
        chain = next(members)
        for place, member in enumerate(chain):
            last = place + 1 == len(chain)
            following = no if last else leaves + count + len(extra) + (place > 0)
            row = (feature, EQ, gap, float(member), yes, following)
            (rows if place == 0 else extra).append(row)
    return rows + extra


def _child(site: Site, kind: str, leaves: int, count: int) -> np.ndarray:
    """The nodes that branches lead to: leaves come first."""
    places, leaf = integers(site, f"nodes_{kind}nodeids"), integers(site, f"nodes_{kind}leafs")
    if not len(places) == len(leaf) == count:
        raise site.shape_error(f"{count} nodes_{kind}nodeids and leafs", str(len(places)))
    if count and not ((places >= 0) & (places < np.where(leaf != 0, leaves, count))).all():
        raise site.shape_error(f"nodes_{kind}nodeids of nodes or leaves", "others")
    return np.where(leaf != 0, places, places + leaves)


def _sets(values: np.ndarray) -> Iterator[list[float]]:
    """The sets, each of which ends in what is no number."""
    ends = np.flatnonzero(np.isnan(values))
    start = 0
    for end in (*ends, *([len(values)] if len(values) and not np.isnan(values[-1]) else [])):
        members = [float(v) for v in values[start:end]]
        yield members or [float("nan")]
        start = end + 1
