"""Indices that are the same for whole slices: a ScatterElements of them scatters the slices.

Before:  ScatterElements(data, Expand(index [n, 1, …]), updates)      an index for each number
After:   ScatterND(data, index [n, 1], updates)                       one for each slice

PyTorch's `index_add` and `scatter` over rows (graph networks, detectors' levels) come so. Along
another axis than the first, data and updates are transposed.
"""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.graph.ir import Graph, Node, Value
from webrt.ops.compose import Make
from webrt.passes.rewrite import View, rewrite, with_outputs


def scatter_slices(graph: Graph) -> Graph:
    """Replace scatters whose index is the same all along the other axes."""
    return rewrite(graph, _rule)


def _rule(node: Node, view: View) -> list[Node] | None:
    if node.op not in ("ScatterElements", "Scatter") or node.domain:
        return None
    data, at, updates = node.inputs
    axis = node.attributes.get("axis", 0)
    assert data is not None
    assert at is not None
    assert updates is not None
    assert isinstance(axis, int)
    rank = len(data.shape)
    axis %= rank
    others = [j for j in range(rank) if j != axis]
    whole = all(at.shape[j] == data.shape[j] for j in others)
    if not whole or dims.product(tuple(at.shape[j] for j in others)) == 1:
        return None
    make = Make(node.name)
    places = _places(make, at, axis, view)
    if places is None:
        return None
    order = [axis, *others]
    if axis:
        data, updates = make.transpose(data, *order), make.transpose(updates, *order)
    same = {k: v for k, v in node.attributes.items() if k == "reduction"}
    rows = make.reshape(places, at.shape[axis], 1)
    (result,) = make.node("ScatterND", (data, rows, updates), same)
    if axis:
        make.transpose(result, *(order.index(j) for j in range(rank)))
    make.nodes[-1] = with_outputs(make.nodes[-1], node.outputs)
    return make.nodes


def _places(make: Make, at: Value, axis: int, view: View) -> Value | None:
    """The indices along the axis, where they are the same along the others."""
    if at.data is not None:
        lanes = np.moveaxis(at.data, axis, 0).reshape(at.data.shape[axis], -1)
        alike = lanes.size > 0 and bool((lanes == lanes[:, :1]).all())
        return make.constant(np.ascontiguousarray(lanes[:, 0])) if alike else None
    expand = view.maker(at, "Expand")
    source = expand.inputs[0] if expand is not None else None
    if source is None:
        return None
    shape = (*[1] * (len(at.shape) - len(source.shape)), *source.shape)
    alone = all(d == 1 for j, d in enumerate(shape) if j != axis)
    return source if alone and shape[axis] == at.shape[axis] else None
