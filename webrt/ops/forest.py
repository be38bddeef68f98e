"""Trees of decisions: which leaf of each tree every row of a matrix ends in, level by level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Ref, call
from webrt.kernel.problem import Pass, Reduce
from webrt.ops.compose import Make
from webrt.ops.emit import Emitter, Operands, flat, indices
from webrt.ops.registry import Attr, operator
from webrt.ops.scores import integers
from webrt.ops.site import Inferred, Site, Tensor

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

LEVELS = 16
"""Levels that one kernel goes down: each is a pass of it."""

MAX_DEPTH = 4096

MOST_FEATURES = 1 << 28

LE, LT, EQ = 0, 1, 2
"""How a node compares a feature with its threshold; the other modes exchange its children."""

KIND_BITS, NAN_BIT, FEATURE_STEP = 3, 4, 8
"""A node's word: its feature times 8, 4 where no number goes to the first child, its comparison."""


@dataclass(frozen=True, slots=True)
class Forest:
    """Branches as tables. A node's number is a leaf's below `leaves`, from there on a branch's.

    `children` [branches, 2] are the nodes where the comparison holds and where it doesn't.
    """

    leaves: int
    roots: Integers
    features: Integers
    kinds: Integers
    missing: Integers
    thresholds: Floats
    children: Integers

    @property
    def plain(self) -> bool:
        """Whether every branch compares in the same way and sends what is no number to the second
        child."""
        return not self.missing.any() and len(set(self.kinds.tolist())) <= 1


def checked(site: Site, features: Integers, count: int) -> Integers:
    """Where what is no number goes in each of `count` branches: the first child's way, or not.

    Raises ShapeError for features that no matrix has.
    """
    if len(features) and (features.min() < 0 or features.max() >= MOST_FEATURES):
        raise site.shape_error("features of at least 0", str(int(features.min())))
    missing = integers(site, "nodes_missing_value_tracks_true")
    return missing if missing.size == count else np.zeros(count, np.int64)


def depth(forest: Forest) -> int | None:
    """How many branches the longest way from a root has; None where a way never ends."""
    level = np.unique(forest.roots)
    for steps in range(MAX_DEPTH):
        branches = level[level >= forest.leaves] - forest.leaves
        if not len(branches):
            return steps
        level = np.unique(forest.children[branches])
    return None


def leaves_of(site: Site, make: Make, x: Value, forest: Forest) -> Value:
    """[rows, trees] of int32: the leaf in which each row ends in each tree."""
    levels = depth(forest)
    if levels is None:
        raise site.shape_error(f"trees of at most {MAX_DEPTH} levels", "more, or a cycle")
    width = x.shape[-1]
    if isinstance(width, int) and len(forest.features) and forest.features.max() >= width:
        raise site.shape_error(f"features below {width}", str(int(forest.features.max())))
    roots = make.constant(forest.roots.astype(np.int32))
    words = forest.features
    kind = int(forest.kinds[0]) if len(forest.kinds) else LE
    if not forest.plain:
        words = words * FEATURE_STEP + forest.missing * NAN_BIT + forest.kinds
        kind = KIND_BITS
    tables = (
        make.constant(words.astype(np.int32)),
        make.constant(forest.thresholds),
        make.constant(forest.children.astype(np.int32).reshape(-1)),
    )
    at = roots
    for start in range(0, max(levels, 1), LEVELS):
        at = make(
            "Descend", x, at, *tables, domain="webrt",
            leaves=forest.leaves, levels=min(LEVELS, levels - start), kind=kind,
        )  # fmt: skip
    return at


@operator(
    "Descend", Attr("leaves"), Attr("levels"), Attr("kind"), domain="webrt",
)  # fmt: skip
class Descend:
    """From nodes [trees], or [rows, trees], some levels down in every tree."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        rows, _ = site.ranked(0, 2)
        return (Inferred(DType.I32, (rows, site.input(1).shape[-1])),)

    @staticmethod
    def reference(
        site: Site, x: Tensor, start: Tensor, words: Tensor, thresholds: Tensor, children: Tensor
    ) -> tuple[Tensor, ...]:
        leaves, kind = site.integer("leaves"), site.integer("kind")
        node = np.broadcast_to(start, (x.shape[0], start.shape[-1])).astype(np.int64)
        rows = np.arange(x.shape[0])[:, None]
        for _ in range(site.integer("levels") if len(words) else 0):
            at = np.maximum(node - leaves, 0)
            word, threshold = words[at], thresholds[at]
            value = x[rows, word // FEATURE_STEP if kind == KIND_BITS else word]
            kinds = word & KIND_BITS if kind == KIND_BITS else np.full_like(word, kind)
            holds = np.select(
                [kinds == LE, kinds == LT], [value <= threshold, value < threshold],
                value == threshold,
            )  # fmt: skip
            if kind == KIND_BITS:
                holds = np.where(np.isnan(value), (word & NAN_BIT) != 0, holds)
            below = children[2 * at + np.where(holds, 0, 1)]
            node = np.where(node < leaves, node, below)
        return (node.astype(np.int32),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        levels, output = site.integer("levels"), emit.outputs[0]
        x, start = site.input(0), site.input(1)
        operands = emit.operands()
        at = indices(2)
        first = operands.at(start, at)
        passes = [Pass("max", _once(first))]
        for level in range(levels):
            passes.append(
                Pass("max", _below(site, operands, x, at[0], Ref(f"p{level}", DType.I32)))
            )
        stored = emit.stored(output, flat(at, output.shape), Ref(f"p{levels}", DType.I32))
        problem = Reduce(output.shape, (1,), operands.declared(), tuple(passes), (stored,))
        emit.problem(problem, operands, [output])


def _once(expr: Expr) -> Expr:
    """An i32 expression that a row of one element is made of."""
    return call("add", expr, ex.as_index(symbol("r0")))


def _below(site: Site, operands: Operands, x: Value, row: Dim, node: Expr) -> Expr:
    """The child of a branch, or the leaf itself."""
    leaves, kind = site.integer("leaves"), site.integer("kind")
    at = ex.as_dim(call("max", call("sub", node, ex.i32(leaves)), ex.i32(0)))
    word = operands.load(site.input(2), at)
    threshold = operands.load(site.input(3), at)
    mixed = kind == KIND_BITS
    feature = call("shift_right", word, ex.i32(3)) if mixed else word
    value = operands.load(x, row * x.shape[1] + ex.as_dim(feature))
    holds = _holds(kind, word, value, threshold)
    missing = _flag(word, NAN_BIT) if mixed else ex.boolean(False)
    second = ex.select(
        call("is_nan", value),
        ex.select(missing, ex.i32(0), ex.i32(1)),
        ex.select(holds, ex.i32(0), ex.i32(1)),
    )
    child = operands.load(site.input(4), 2 * at + ex.as_dim(second))
    return ex.select(call("lt", node, ex.i32(leaves)), node, child)


def _holds(kind: int, word: Expr, value: Expr, threshold: Expr) -> Expr:
    if kind != KIND_BITS:
        return call(("le", "lt", "eq")[kind], value, threshold)
    bits = call("bit_and", word, ex.i32(KIND_BITS))
    less = call("lt", value, threshold)
    same = call("eq", value, threshold)
    takes_less = call("ne", bits, ex.i32(EQ))
    takes_same = call("ne", bits, ex.i32(LT))
    return call("or", call("and", less, takes_less), call("and", same, takes_same))


def _flag(word: Expr, bit: int) -> Expr:
    return call("ne", call("bit_and", word, ex.i32(bit)), ex.i32(0))


def grown(forest: Forest, trees: int) -> Forest:
    """The forest with `trees` more trees of one leaf, the first one behind the others."""
    moved = np.where(forest.children >= forest.leaves, forest.children + 1, forest.children)
    roots = np.where(forest.roots >= forest.leaves, forest.roots + 1, forest.roots)
    more = np.full(trees, forest.leaves, np.int64)
    return Forest(
        forest.leaves + 1, np.concatenate([roots, more]), forest.features, forest.kinds,
        forest.missing, forest.thresholds, moved,
    )  # fmt: skip


def rounded(site: Site, values: Tensor, kinds: Integers) -> Floats:
    """Thresholds as float32 that compare with every float32 as the doubles do.

    Features that are doubles lose digits themselves: then equal ones stay equal.
    """
    nearest: Floats = values.astype(np.float32)
    if values.dtype != np.float64 or site.input(0).dtype is DType.F64:
        return nearest
    # x <= t holds for the same floats x as x <= the largest float up to t; x < t is its mirror.
    down = np.nextafter(nearest, np.float32(-np.inf))
    up = np.nextafter(nearest, np.float32(np.inf))
    wide = nearest.astype(np.float64)
    lower = np.where((kinds == LE) & (wide > values), down, nearest)
    result: Floats = np.where((kinds == LT) & (wide < values), up, lower).astype(np.float32)
    return result
