"""Evaluates a graph with NumPy, node by node: what `check` finds the first diverging node with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar

import numpy as np

from webrt import dims
from webrt.errors import ShapeError
from webrt.graph.ir import Array, Graph, Node, Value, binds

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
            name, factor, less = dims.scaled_symbol(dim) or (str(dim), 1, 0)
            own = (size + less) // factor
            known = dim if isinstance(dim, int) else found.setdefault(name, own)
            wanted = known * factor - less
            if wanted != size:
                raise ShapeError(f"input {value.name!r}: expected {dim} = {wanted}, found {size}")
    return found


def evaluate_nodes(
    graph: Graph, feeds: Mapping[str, Array], compute: Compute
) -> Iterator[tuple[Node, list[Array]]]:
    """Every node with its outputs, in order."""
    arrays: dict[Value, Array] = {v: feeds[v.name] for v in graph.inputs}
    yield from _evaluated(graph, arrays, bind(graph, feeds), compute)


def _evaluated(
    graph: Graph, arrays: dict[Value, Array], bindings: dict[str, int], compute: Compute
) -> Iterator[tuple[Node, list[Array]]]:
    for node in graph.nodes:
        inputs = [None if v is None else known(v, arrays, bindings) for v in node.inputs]
        around = dict(bindings)
        token = _OUTER.set(around)
        try:
            results = compute(node, inputs)
        finally:
            _OUTER.reset(token)
        bindings.update((name, around[name]) for name in binds(node) if name in around)
        arrays.update(zip(node.outputs, results, strict=False))
        _learn(node, results, bindings)
        yield node, results


def evaluate(graph: Graph, feeds: Mapping[str, Array], compute: Compute) -> dict[Value, Array]:
    """Every value that is computed, and the outputs."""
    arrays: dict[Value, Array] = {v: feeds[v.name] for v in graph.inputs}
    bindings = bind(graph, feeds)
    for _ in _evaluated(graph, arrays, bindings, compute):
        pass
    return arrays | {v: known(v, arrays, bindings) for v in graph.outputs}


_OUTER: ContextVar[dict[str, int]] = ContextVar("symbols of the graph around")


def outer_bindings() -> dict[str, int]:
    """The symbols' values in the graph that holds the node that is computed: it may add its own."""
    return _OUTER.get({})


def evaluate_inner(graph: Graph, given: Sequence[Array], compute: Compute) -> list[Array]:
    """The outputs of a graph that a node holds, for `given` in the order of its inputs."""
    arrays = dict(zip(graph.inputs, given, strict=True))
    bindings = dict(outer_bindings())
    for value, array in arrays.items():
        _match(value, array, bindings)
    for _ in _evaluated(graph, arrays, bindings, compute):
        pass
    return [known(v, arrays, bindings) for v in graph.outputs]


def _learn(node: Node, results: Sequence[Array], bindings: dict[str, int]) -> None:
    """Values of the symbols that a node binds: sizes of its outputs, or what it reads."""
    names = binds(node)
    if node.op == "Values":
        elements = results[0].reshape(-1)
        bindings.update((n, int(e) + 1) for n, e in zip(names, elements, strict=True))
    elif names:
        for value, array in zip(node.outputs, results, strict=False):
            _match(value, array, bindings, names)


def _match(
    value: Value, array: Array, bindings: dict[str, int], names: Sequence[str] | None = None
) -> None:
    """Solve the dims of a value that are a symbol plus a number, for those of `names`."""
    for dim, size in zip(value.shape, array.shape, strict=True):
        for name in () if isinstance(dim, int) else dims.free_symbols(dim):
            rest = dim - dims.symbol(name)
            if isinstance(rest, int) and (name in names if names else name not in bindings):
                bindings[name] = size - rest


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
