"""Evaluates a graph with NumPy, node by node: what `check` finds the first diverging node with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from webrt import dims
from webrt.errors import ShapeError
from webrt.graph.ir import Array, Graph, Node, Value

Compute = Callable[[Node, Sequence[Array | None]], list[Array]]
"""`webrt.ops.registry.compute`: the graph layer doesn't know the operators."""


def bind(graph: Graph, feeds: Mapping[str, Array]) -> dict[str, int]:
    """The values of the symbols that the feeds' shapes give; raises ShapeError."""
    found: dict[str, int] = {}
    for value in graph.inputs:
        if value.name not in feeds:
            raise ShapeError(f"input {value.name!r} isn't fed")
        shape = feeds[value.name].shape
        if len(shape) != len(value.shape):
            raise ShapeError(
                f"input {value.name!r}: expected {len(value.shape)} dims, found {shape}"
            )
        for dim, size in zip(value.shape, shape, strict=True):
            name, factor = dims.scaled_symbol(dim) or (str(dim), 1)
            known = dim if isinstance(dim, int) else found.setdefault(name, size // factor)
            wanted = known * factor
            if wanted != size:
                raise ShapeError(f"input {value.name!r}: expected {dim} = {wanted}, found {size}")
    return found


def evaluate_nodes(
    graph: Graph, feeds: Mapping[str, Array], compute: Compute
) -> Iterator[tuple[Node, list[Array]]]:
    """Every node with its outputs, in order."""
    bindings = bind(graph, feeds)
    arrays: dict[Value, Array] = {v: feeds[v.name] for v in graph.inputs}
    for node in graph.nodes:
        inputs = [None if v is None else known(v, arrays, bindings) for v in node.inputs]
        results = compute(node, inputs)
        arrays.update(zip(node.outputs, results, strict=False))
        yield node, results


def evaluate(graph: Graph, feeds: Mapping[str, Array], compute: Compute) -> dict[Value, Array]:
    """Every value that is computed, and the outputs."""
    bindings = bind(graph, feeds)
    arrays: dict[Value, Array] = {v: feeds[v.name] for v in graph.inputs}
    for node, results in evaluate_nodes(graph, feeds, compute):
        arrays.update(zip(node.outputs, results, strict=False))
    return arrays | {v: known(v, arrays, bindings) for v in graph.outputs}


def known(value: Value, arrays: Mapping[Value, Array], bindings: Mapping[str, int]) -> Array:
    """A value's array: computed, constant, or its symbolic content under the bindings."""
    if value in arrays:
        return arrays[value]
    if value.data is not None:
        return value.data
    if 0 in value.shape:  # nothing computes what holds nothing
        return np.empty([dims.evaluate(d, bindings) for d in value.shape], value.dtype.onnx_name)
    assert value.content is not None, value.name
    numbers = [dims.evaluate(d, bindings) for d in value.content]
    shape = [dims.evaluate(d, bindings) for d in value.shape]
    return np.array(numbers, value.dtype.onnx_name).reshape(shape)
