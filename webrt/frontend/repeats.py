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
from typing import Protocol

import numpy as np
from onnx import GraphProto, NodeProto

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.frontend.sequences import Item, Listed, Repeated, Slices
from webrt.graph.ir import Node, Value
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
    if not piece or not count or not (piece.input[1] == count.input[1] == turn):
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
