"""A one-hot row times a matrix is a row of the matrix: such products become Gathers.

Before:  MatMul(Cast(Equal(x[…, None], [0 1 … n-1])), W)
After:   Where(0 <= x < n, Gather(W, clip(x)), 0)
"""

from __future__ import annotations

import numpy as np

from webrt.dtypes import DType
from webrt.graph.ir import Graph, Node, Value
from webrt.ops.registry import apply
from webrt.passes.rewrite import View, rewrite, with_outputs


def gather_one_hot(graph: Graph) -> Graph:
    """Replace products with one-hot rows, whose size grows with the number of classes."""
    return rewrite(graph, _rule)


def _rule(node: Node, view: View) -> list[Node] | None:
    if node.op != "MatMul" or node.inputs[1] is None or node.inputs[1].data is None:
        return None
    table = node.inputs[1]
    cast = view.maker(node.inputs[0], "Cast")
    equal = view.maker(cast.inputs[0], "Equal") if cast else None
    if equal is None or len(table.shape) != 2:
        return None
    for index, classes in (equal.inputs, equal.inputs[::-1]):
        if index is not None and _counts(classes, table.shape[0]):
            source = _narrow(index, view)
            if source is not None:
                return _gather(node, source, table)
    return None


def _counts(value: Value | None, size: object) -> bool:
    """Whether a constant is 0, 1 … size - 1 along its last axis."""
    if value is None or value.data is None or not value.dtype.is_integer:
        return False
    data = value.data
    if not data.shape:
        return False
    counted = data.size == data.shape[-1] == size
    return counted and bool(np.all(data.reshape(-1) == range(data.size)))


def _narrow(value: Value, view: View) -> Value | None:
    """The index with a last axis of 1, before it was expanded."""
    if value.shape and value.shape[-1] == 1:
        return value
    expand = view.maker(value, "Expand")
    source = expand.inputs[0] if expand else None
    if source is None or len(source.shape) != len(value.shape):
        return None
    return source if source.shape[-1] == 1 and source.shape[:-1] == value.shape[:-1] else None


def _gather(node: Node, index: Value, table: Value) -> list[Node]:
    nodes: list[Node] = []
    result = node.outputs[0]

    def add(op: str, *inputs: Value, **attributes: int) -> Value:
        made = apply(
            op, list(inputs), dict(attributes), name=node.name,
            outputs=[f"{result.name}.{len(nodes)}"],
        )  # fmt: skip
        nodes.append(made)
        return made.outputs[0]

    def number(x: int) -> Value:
        data = np.array(x, np.int64 if index.dtype is DType.I64 else np.int32)
        return Value(f"{result.name}.limit", index.dtype, (), data)

    size = table.shape[0]
    assert isinstance(size, int)
    if index.dtype not in (DType.I64, DType.I32):
        return [node]
    inside = add("And", add("GreaterOrEqual", index, number(0)), add("Less", index, number(size)))
    low = add("Max", index, number(0))
    at = add("Min", low, number(size - 1))
    axes = Value("axes", DType.I64, (1,), np.array([-1], np.int64))
    rows = add("Gather", table, add("Squeeze", at, axes), axis=0)
    zero = Value("zero", table.dtype, (), np.array(0, table.dtype.onnx_name))
    chosen = add("Where", inside, rows, zero)
    nodes[-1] = with_outputs(nodes[-1], [result])
    assert chosen.shape == result.shape, (chosen.shape, result.shape)
    return nodes
