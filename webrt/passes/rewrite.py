"""What the graph passes share: who makes and who reads a value, and replacing nodes by others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from webrt.graph.ir import Graph, Node, Value

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
        """The node that makes a value, if it is one of `ops` (any where none is given)."""
        node = self.makers.get(value) if value is not None else None
        return node if node is not None and (not ops or node.op in ops) else None

    def readers(self, value: Value) -> Sequence[Node]:
        return self.users.get(value, ())

    def is_private(self, value: Value) -> bool:
        """Whether one node only reads the value, and the model doesn't give it."""
        return len(self.readers(value)) == 1 and value not in self.results


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
        if any(v in wanted for v in node.outputs):
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
