"""Cleaning: identities, casts to the same type and repeated nodes go; equal constants are one."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from webrt.graph.ir import Attribute, Graph, Node, Value
from webrt.ops.registry import apply
from webrt.passes.rewrite import substituted, without_dead

SMALL_CONSTANT = 1 << 20  # bytes up to which constants are compared by content


def clean(graph: Graph) -> Graph:
    """The graph without nodes that change nothing, equal nodes merged, dead nodes gone."""
    return without_dead(share_equal(without_identities(graph)))


def without_identities(graph: Graph) -> Graph:
    """Readers read what goes into an Identity, a Dropout at inference, a Cast to the same type.

    A CastLike of a constant is one, whatever it is like.
    """
    names: dict[Value, Value] = {}
    for node in graph.nodes:
        source = node.inputs[0] if node.inputs else None
        if source is not None and _is_identity(node, source):
            names[node.outputs[0]] = source
        elif source is not None and node.op == "CastLike" and not node.domain:
            source = names.get(source, source)
            if source.data is not None and node.outputs[0].data is None:
                names[node.outputs[0]] = _converted(node, source)
    return substituted(graph, names)


def _converted(node: Node, source: Value) -> Value:
    result = node.outputs[0]
    to = str(result.dtype)
    return apply("Cast", [source], {"to": to}, name=node.name, outputs=[result.name]).outputs[0]


def _is_identity(node: Node, source: Value) -> bool:
    if node.domain or node.outputs[0].data is not None:
        return False
    if node.op in ("Cast", "CastLike"):
        return node.outputs[0].dtype is source.dtype
    if node.op == "Dropout":
        return len(node.outputs) == 1 and not (len(node.inputs) > 2 and node.inputs[2])
    return node.op == "Identity"


def share_equal(graph: Graph) -> Graph:
    """One node where several compute the same from the same, one value for equal constants."""
    names: dict[Value, Value] = {}
    constants: dict[Hashable, Value] = {}
    seen: dict[Hashable, Node] = {}

    def final(value: Value | None) -> Value | None:
        if value is None or value in names:
            return value if value is None else names[value]
        if value.data is not None and value.data.nbytes <= SMALL_CONSTANT:
            key = (value.dtype, value.data.shape, value.data.tobytes())
            first = constants.setdefault(key, value)
            if first is not value:
                names[value] = first
            return first
        return value

    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(final(v) for v in node.inputs)
        node = replace(node, inputs=inputs)
        attributes = tuple(sorted((k, _key(v)) for k, v in node.attributes.items()))
        ids = tuple(None if v is None else id(v) for v in inputs)
        key = (node.domain, node.op, node.version, ids, attributes, len(node.outputs))
        first = seen.setdefault(key, node)
        if first is node:
            nodes.append(node)
        else:
            names |= dict(zip(node.outputs, first.outputs, strict=True))
    outputs = tuple(names.get(v, v) for v in graph.outputs)
    return replace(graph, nodes=tuple(nodes), outputs=outputs)


def _key(attribute: Attribute) -> str:
    if isinstance(attribute, np.ndarray):
        return f"{attribute.dtype}{attribute.shape}{attribute.tobytes().hex()}"
    if isinstance(attribute, Graph):
        return str(id(attribute))
    return repr(attribute)
