"""`torch.repeat_interleave` as PyTorch's exporter spells it: a loop over slices, joined again.

    pieces = SplitToSequence(x, ones)         # of lengths 1
    counts = SplitToSequence(repeats, ones)
    many = Loop(n, true, SequenceEmpty()) {
        piece = Unsqueeze(SequenceAt(pieces, turn))
        shape = … Concat(…, SequenceAt(counts, turn), …) …
        SequenceInsert(so_far, Reshape(Expand(piece, shape), …))
    }
    y = ConcatFromSequence(many)

Speech models stretch their phonemes so. A run that took it at its word would read every count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from onnx import GraphProto, NodeProto
from onnx.numpy_helper import to_array

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.frontend.sequences import Item, Listed, Repeated, Slices
from webrt.graph.ir import Array, Node, Value
from webrt.ops.compose import Make


class Scope(Protocol):
    """What the builder of a graph gives."""

    values: dict[str, Item | None]

    def maker(self, value: Value) -> Node | None: ...


def repeated(scope: Scope, graph: GraphProto, inputs: Sequence[Item | None]) -> Repeated | None:
    """What such a loop makes; None of any other."""
    if len(inputs) != 3 or len(graph.input) != 3 or len(graph.output) != 2:
        return None
    trips, going, state = inputs
    if state != Listed(()) or not isinstance(trips, Value):
        return None
    if not (going is None or _is_true(going)):
        return None
    made = {o: n for n in graph.node for o in n.output}
    turn, on, so_far = (i.name for i in graph.input)
    end = _only(made, graph.output[0].name, "Cast", "Identity")
    if graph.output[0].name != on and (
        end is None or not (end.input[0] == on or _is_true(scope.values.get(end.input[0])))
    ):
        return None
    insert = _only(made, graph.output[1].name, "SequenceInsert")
    if insert is None or list(insert.input[:1]) != [so_far] or len(insert.input) > 2:
        return None
    reshape = _only(made, insert.input[1], "Reshape")
    expand = reshape and _only(made, reshape.input[0], "Expand")
    unsqueeze = expand and _only(made, expand.input[0], "Unsqueeze")
    piece = unsqueeze and _only(made, unsqueeze.input[0], "SequenceAt")
    count = expand and _count(made, expand.input[1])
    if not (reshape and expand and unsqueeze and piece and count):
        return None
    if not (piece.input[1] == count.input[1] == turn):
        return None
    x, repeats = (scope.values.get(n.input[0]) for n in (piece, count))
    if not (isinstance(x, Slices) and isinstance(repeats, Slices)):
        return None
    if not (_is_even(scope, x) and _is_even(scope, repeats) and len(repeats.value.shape) == 1):
        return None
    length = repeats.value.shape[0]
    alike = trips.content or (() if trips.data is None else tuple(map(int, trips.data.reshape(-1))))
    if x.value.shape[x.axis] != length or alike != (length,):
        return None
    numbers = _Numbers(scope, made)
    if numbers.of(unsqueeze.input[1]) != [x.axis + 1]:
        return None
    if not _repeats_only(numbers, expand.input[1], count.output[0], x):
        return None
    sizes = [-1 if j == x.axis else d for j, d in enumerate(x.value.shape)]
    if numbers.of(reshape.input[1]) != sizes:
        return None
    return Repeated(x.value, repeats.value, x.axis)


def total(make: Make, item: Repeated) -> Value:
    """How many elements there are in all, an int64 scalar; too many for a size, where they are."""
    counts = make.cast(item.repeats, DType.F32)  # exact as far as sizes go, and never wraps round
    most = make.constant(np.array(2 * dims.MAX_SYMBOL, np.float32))
    return make.cast(make("Min", make("ReduceSum", counts, keepdims=0), most), DType.I64)


def spread(make: Make, item: Repeated, length: Dim) -> Value:
    """The elements, each as often as its count tells; `length` is the sum of the counts."""
    ends = make("CumSum", make.cast(item.repeats, DType.I32), make.scalar(0))
    places = make.cast(make("Unsqueeze", make.range(length), make.integers(1)), DType.I32)
    past = make.cast(make("LessOrEqual", ends, places), DType.I32)
    index = make("ReduceSum", past, make.integers(1), keepdims=0)
    return make("Gather", item.value, index, axis=item.axis)


def _only(made: Mapping[str, NodeProto], name: str, *ops: str) -> NodeProto | None:
    """The node that makes a value of the body, if it is one of these operators."""
    node = made.get(name)
    return node if node is not None and not node.domain and node.op_type in ops else None


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The constants that a body reads, its own and those around it."""

    scope: Scope
    made: Mapping[str, NodeProto]

    def of(self, name: str) -> list[int] | None:
        """The elements of an integer constant; None of what isn't one."""
        node = _only(self.made, name, "Constant")
        if node is not None:
            attribute = node.attribute[0]
            if attribute.name == "value_ints":
                return list(attribute.ints)
            if attribute.name == "value_int":
                return [attribute.i]
            return _integers(to_array(attribute.t)) if attribute.name == "value" else None
        item = self.scope.values.get(name) if name not in self.made else None
        return _integers(item.data) if isinstance(item, Value) and item.data is not None else None


def _integers(array: Array) -> list[int] | None:
    return [int(x) for x in array.reshape(-1)] if array.dtype.kind in "iu" else None


def _repeats_only(numbers: _Numbers, name: str, count: str, x: Slices) -> bool:
    """Whether a piece, [… 1, 1 …], expands along its new dim alone, to as many as `count`."""
    where = _only(numbers.made, name, "Where")
    if where is not None and not _fills_with_ones(numbers, where):
        return False
    joined = _only(numbers.made, where.input[2] if where else name, "Concat")
    sizes: list[int | str | None] = []
    for part in joined.input if joined else ():
        known = None if part == count else numbers.of(part)
        sizes += [part if part == count else None] if known is None else known
    shape: list[Dim | str] = [1 if j == x.axis else d for j, d in enumerate(x.value.shape)]
    shape.insert(x.axis + 1, count)
    kept = (1,) if where is None else (1, -1)
    return len(sizes) == len(shape) and all(
        size == dim or (dim != count and size in kept)
        for size, dim in zip(sizes, shape, strict=True)
    )


def _fills_with_ones(numbers: _Numbers, where: NodeProto) -> bool:
    """Whether it is Where(Equal(shape, -1 · ones), ones, shape)."""
    equal = _only(numbers.made, where.input[0], "Equal")
    ones = _only(numbers.made, where.input[1], "ConstantOfShape")
    minus = equal and _only(numbers.made, equal.input[1], "Mul")
    if not equal or not ones or not minus or equal.input[0] != where.input[2]:
        return False
    values = [_integers(to_array(a.t)) for a in ones.attribute if a.name == "value"]
    return (
        values == [[1]] and minus.input[0] == where.input[1] and numbers.of(minus.input[1]) == [-1]
    )


def _count(made: Mapping[str, NodeProto], name: str) -> NodeProto | None:
    """The SequenceAt that a shape takes its count from: -1 in it is asked for before."""
    where = _only(made, name, "Where")
    concat = _only(made, where.input[2] if where else name, "Concat")
    inner = [_only(made, i, "SequenceAt") for i in concat.input] if concat else []
    found = [n for n in inner if n is not None]
    return found[0] if len(found) == 1 else None


def _is_true(item: Item | None) -> bool:
    return isinstance(item, Value) and item.data is not None and bool(np.all(item.data))


def _is_even(scope: Scope, item: Slices) -> bool:
    """Whether each slice holds one element."""
    split = item.split
    if split is None or split.data is not None:
        return split is None or bool(np.all(split.data == 1))
    made = scope.maker(split)
    value = made.attributes.get("value") if made and made.op == "ConstantOfShape" else None
    return isinstance(value, np.ndarray) and bool(np.all(value == 1))
