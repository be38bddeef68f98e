"""Holds a graph to the rules of its IR: what every pass may rely on and has to keep."""

from __future__ import annotations

from webrt import dims
from webrt.graph.ir import Graph, Node, Value, subgraphs


class BrokenGraphError(AssertionError):
    """A pass made a graph that breaks a rule of the IR: a bug of ours, not of a model."""


def verify(graph: Graph) -> None:
    """Raise BrokenGraphError for values not defined once, before use, or not as they say."""
    symbols = {s.id for s in graph.symbols}
    if len(symbols) < len(graph.symbols):
        raise BrokenGraphError("two symbols have one id")
    if len(graph.outputs) != len(graph.output_names):
        raise BrokenGraphError("outputs and their names differ in number")
    defined: set[Value] = set()
    for value in graph.inputs:
        _define(value, defined, symbols, "the inputs")
        if value.data is not None or value.content is not None:
            raise BrokenGraphError(f"the input {value.name!r} is known")
    for node in graph.nodes:
        _check_node(node, defined, symbols)
    for value in graph.outputs:
        if value not in defined and not _is_known(value):
            raise BrokenGraphError(f"the output {value.name!r} is defined nowhere")
        _check_value(value, symbols, "the outputs")


def _check_node(node: Node, defined: set[Value], symbols: set[str]) -> None:
    place = f"node {node.name!r} ({node.op})"
    for value in node.inputs:
        if value is None:
            continue
        if value not in defined and not _is_known(value):
            raise BrokenGraphError(f"{place} reads {value.name!r} before it is defined")
        _check_value(value, symbols, place)
    if not node.outputs:
        raise BrokenGraphError(f"{place} has no outputs")
    for name, graph in subgraphs(node).items():
        _check_inner(graph, f"{place}, {name}", symbols)
    for value in node.outputs:
        _define(value, defined, symbols, place)


def _check_inner(graph: Graph, place: str, symbols: set[str]) -> None:
    """A graph that a node holds is closed, and knows the same symbols."""
    defined: set[Value] = set()
    for value in graph.inputs:
        _define(value, defined, symbols, place)
    for node in graph.nodes:
        _check_node(node, defined, symbols)
    for value in graph.outputs:
        if value not in defined and not _is_known(value):
            raise BrokenGraphError(f"{place}: the output {value.name!r} is defined nowhere")


def _define(value: Value, defined: set[Value], symbols: set[str], place: str) -> None:
    if value in defined:
        raise BrokenGraphError(f"{place} defines {value.name!r} again")
    _check_value(value, symbols, place)
    defined.add(value)


def _is_known(value: Value) -> bool:
    return value.data is not None or value.content is not None


def _check_value(value: Value, symbols: set[str], place: str) -> None:
    named = f"{place}: {value.name!r}"
    every = (*value.shape, *(value.content or ()))
    strange = {s for d in every for s in dims.free_symbols(d)} - symbols
    if strange:
        raise BrokenGraphError(
            f"{named} uses {sorted(strange)[0]}, which isn't a symbol of the graph"
        )
    if any(isinstance(d, int) and d < 0 for d in value.shape):
        raise BrokenGraphError(f"{named} has a negative dim")
    if value.content is not None and len(value.content) != dims.product(value.shape):
        raise BrokenGraphError(f"{named} has {len(value.content)} known elements in {value.shape}")
    if value.data is not None:
        if value.data.shape != value.shape:
            raise BrokenGraphError(f"{named} has data of {value.data.shape}, shape {value.shape}")
        if value.data.dtype.name != value.dtype.onnx_name:
            raise BrokenGraphError(f"{named} has data of {value.data.dtype}, dtype {value.dtype}")
