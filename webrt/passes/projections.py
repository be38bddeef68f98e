"""Projections that read the same value for the same attention become one product.

Before:  q = x·Wq + bq;  k = x·Wk + bk;  v = x·Wv + bv
After:   q, k, v = slices of x·[Wq Wk Wv] + [bq bk bv]
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from webrt.dtypes import DType
from webrt.graph.ir import Array, Graph, Node, Value
from webrt.ops.registry import apply
from webrt.passes.rewrite import View, with_outputs, without_dead

_THROUGH = ("Reshape", "Transpose", "Add", "Mul", "Div", "Unsqueeze", "Squeeze", "Expand", "Cast")


@dataclass(frozen=True, eq=False)
class _Projection:
    """x·weight (+ bias): `last` is the node that gives the result."""

    product: Node
    last: Node
    weight: Value
    bias: Value | None


def merge_projections(graph: Graph) -> Graph:
    """Merge products of one value with constant matrices that feed the same attention."""
    view = View(graph)
    groups: dict[tuple[Value, Node], list[_Projection]] = {}
    for node in graph.nodes:
        projection = _projection(node, view)
        sink = _attention_of(projection.last, view) if projection else None
        if projection is not None and sink is not None:
            source = node.inputs[0]
            assert source is not None
            groups.setdefault((source, sink), []).append(projection)
    merged: dict[Node, list[Node]] = {}
    gone: set[Node] = set()
    for (source, _), members in groups.items():
        if len(members) > 1:
            merged[members[0].product] = _merge(source, members)
            gone |= {m.last for m in members} | {m.product for m in members}
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += merged.get(node, [])
        if node not in gone:
            nodes.append(node)
    return without_dead(replace(graph, nodes=tuple(nodes)))


def _projection(node: Node, view: View) -> _Projection | None:
    if node.op != "MatMul" or node.domain:
        return None
    weight = node.inputs[1]
    if weight is None or weight.data is None or len(weight.shape) != 2:
        return None
    result = node.outputs[0]
    if not result.dtype.is_float or len(result.shape) < 2:
        return None
    readers = view.readers(result)
    if view.is_private(result) and readers[0].op == "Add":
        left, right = readers[0].inputs
        bias = right if left is result else left
        if bias is not None and bias.data is not None and bias.shape == weight.shape[1:]:
            return _Projection(node, readers[0], weight, bias)
    return _Projection(node, node, weight, None)


def _attention_of(node: Node, view: View) -> Node | None:
    """The one attention that a node's result goes to, through views and scales."""
    value = node.outputs[0]
    while True:
        readers = view.readers(value)
        found = {n for n in readers if n.op == "Attention" and n.domain == "webrt"}
        if found:
            return found.pop() if len(found) == 1 else None
        if len(readers) != 1 or value in view.results or readers[0].op not in _THROUGH:
            return None
        value = readers[0].outputs[0]


def _merge(source: Value, members: list[_Projection]) -> list[Node]:
    name = " + ".join(m.product.name for m in members)
    first = members[0].last.outputs[0].name
    arrays = [m.weight.data for m in members]
    weight = _constant(f"{first}.weights", np.concatenate([a for a in arrays if a is not None], 1))
    nodes = [apply("MatMul", [source, weight], name=name, outputs=[f"{first}.merged"])]
    if any(m.bias is not None for m in members):
        bias = _constant(f"{first}.biases", np.concatenate([_bias(m) for m in members]))
        inputs = [nodes[0].outputs[0], bias]
        nodes.append(apply("Add", inputs, name=name, outputs=[f"{first}.biased"]))
    whole = nodes[-1].outputs[0]
    start = 0
    axes = _constant("axes", np.array([-1], np.int64))
    for member in members:
        result = member.last.outputs[0]
        end = start + _width(member)
        bounds = [_constant("bound", np.array([x], np.int64)) for x in (start, end)]
        inputs = [whole, *bounds, axes]
        part = apply("Slice", inputs, name=member.product.name, outputs=[result.name])
        nodes.append(with_outputs(part, [result]))
        start = end
    return nodes


def _width(member: _Projection) -> int:
    width = member.weight.shape[1]
    assert isinstance(width, int)
    return width


def _bias(member: _Projection) -> Array:
    if member.bias is None or member.bias.data is None:
        assert member.weight.data is not None
        return np.zeros(_width(member), member.weight.data.dtype)
    return member.bias.data


def _constant(name: str, data: Array) -> Value:
    dtype = DType.from_onnx_name(data.dtype.name)
    return Value(name, dtype, data.shape, data)
