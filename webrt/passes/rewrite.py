"""What the graph passes share: who makes and who reads a value, and replacing nodes by others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from webrt.graph.ir import Graph, Node, Value, must_run

Rule = Callable[[Node, "View"], "list[Node] | None"]


class View:
    """A graph with its edges: `maker` of a value, `readers` of a value."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.makers: dict[Value, Node] = {}
        self.users: dict[Value, list[Node]] = {}
        self.results = frozenset(graph.outputs)
        for node in graph.nodes:
            for value in node.outputs:
                self.makers[value] = node
            for value in dict.fromkeys(v for v in node.inputs if v is not None):
                self.users.setdefault(value, []).append(node)

    def maker(self, value: Value | None, *ops: str) -> Node | None:
        """The node that makes a value, if it is one of `ops` (any where none is given).

        Casts between f16 and f32 are looked through: kernels compute in f32 either way.
        """
        node = self.makers.get(value) if value is not None else None
        if ops and node is not None and node.op not in ops and is_float_cast(node):
            return self.maker(node.inputs[0], *ops)
        return node if node is not None and (not ops or node.op in ops) else None

    def same(self, left: Value | None, right: Value | None) -> bool:
        """Whether two values are one, casts between f16 and f32 aside."""
        return self._source(left) is self._source(right)

    def _source(self, value: Value | None) -> Value | None:
        while value in self.makers and is_float_cast(self.makers[value]):
            value = self.makers[value].inputs[0]
        return value

    def readers(self, value: Value) -> Sequence[Node]:
        return self.users.get(value, ())

    def is_private(self, value: Value) -> bool:
        """Whether one node only reads the value, and the model doesn't give it."""
        return len(self.readers(value)) == 1 and value not in self.results


def is_float_cast(node: Node) -> bool:
    """Whether a node only changes f16 to f32, or the other way."""
    source = node.inputs[0] if node.inputs else None
    return (
        node.op in ("Cast", "CastLike")
        and not node.domain
        and source is not None
        and source.dtype.is_float
        and node.outputs[0].dtype.is_float
    )


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Replace each node for which the rule gives others; what nobody reads any more goes.

    A rule's nodes must make the outputs of the node that they stand for, as the same values. Rules
    see the graph as it was before the pass.
    """
    view = View(graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        made = rule(node, view)
        nodes += [node] if made is None else made
    return without_dead(replace(graph, nodes=tuple(nodes)))


def without_dead(graph: Graph) -> Graph:
    """The graph without nodes that no output depends on."""
    wanted = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if must_run(node) or any(v in wanted for v in node.outputs):
            kept.append(node)
            wanted |= {v for v in node.inputs if v is not None}
    return replace(graph, nodes=tuple(reversed(kept)))


def substituted(graph: Graph, names: dict[Value, Value]) -> Graph:
    """The graph with values read in place of others."""

    def final(value: Value) -> Value:
        while value in names:
            value = names[value]
        return value

    nodes = tuple(
        replace(n, inputs=tuple(v if v is None else final(v) for v in n.inputs))
        for n in graph.nodes
    )
    return replace(graph, nodes=nodes, outputs=tuple(final(v) for v in graph.outputs))


def with_outputs(node: Node, outputs: Iterable[Value]) -> Node:
    """The node making these values instead of its own; shapes and dtypes must agree."""
    return replace(node, outputs=tuple(outputs))


def scalar(value: Value | None) -> float | None:
    """The number that a constant of one element holds."""
    if value is None or value.data is None or value.data.size != 1:
        return None
    return float(value.data.reshape(-1)[0])


def is_scalar(value: Value | None, expected: float) -> bool:
    found = scalar(value)
    return found is not None and bool(np.isclose(found, expected, rtol=1e-6, atol=0))


def last_axis(node: Node, rank: int) -> bool:
    """Whether a reduction or softmax runs over the last axis alone."""
    axis = node.attributes.get("axis", node.attributes.get("axes", -1))
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        value = node.inputs[1]
        if value.data is None:
            return False
        axis = tuple(int(x) for x in value.data.reshape(-1))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return len(axes) == 1 and axes[0] in (-1, rank - 1)
