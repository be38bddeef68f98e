"""The structure of an ONNX graph: names are defined once and before use, nodes are sorted."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from onnx import GraphProto, NodeProto

from webrt.errors import ModelError

Named = tuple[str, NodeProto]


def sorted_nodes(graph: GraphProto, file: str, around: Iterable[str] = ()) -> list[Named]:
    """(name, node) in topological order, otherwise as they stand; raises ModelError.

    A node without a name is named after its operator and place. `around` are the names that a graph
    inside of another may use besides its own.
    """
    named = [(node_name(node, place), node) for place, node in enumerate(graph.node)]
    given = _given_names(graph, file)
    producer: dict[str, int] = {}
    for place, (name, node) in enumerate(named):
        for output in node.output:
            if output and (output in given or output in producer):
                raise ModelError(f"{file}: node {name!r}: the name {output!r} is defined twice")
            if output:
                producer[output] = place
    _check_names(graph, named, {*given, *producer, *around}, file)
    return _order(named, producer, file)


def node_name(node: NodeProto, place: int) -> str:
    """The node's name, or its operator and place."""
    return node.name or f"{node.op_type}_{place}"


def used_names(node: NodeProto) -> list[str]:
    """The names that a node reads, those that its graphs take from around them included."""
    found = list(node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            found += _free_names(attribute.g)
    return found


def _free_names(graph: GraphProto) -> list[str]:
    own = {*(i.name for i in graph.input), *(t.name for t in graph.initializer)}
    own |= {o for n in graph.node for o in n.output}
    read = [name for n in graph.node for name in used_names(n)]
    read += [o.name for o in graph.output]
    return [name for name in read if name and name not in own]


def _given_names(graph: GraphProto, file: str) -> set[str]:
    inputs = [i.name for i in graph.input]
    tensors = [t.name for t in graph.initializer]
    for kind, names in (("inputs", inputs), ("initializers", tensors)):
        twice = {n for n in names if names.count(n) > 1} if len(set(names)) < len(names) else set()
        if twice:
            raise ModelError(f"{file}: two {kind} are called {min(twice)!r}")
    sparse = {t.values.name for t in graph.sparse_initializer}
    return {*inputs, *tensors, *sparse}


def _check_names(graph: GraphProto, named: list[Named], defined: set[str], file: str) -> None:
    for name, node in named:
        for wanted in used_names(node):
            if wanted and wanted not in defined:
                raise ModelError(f"{file}: node {name!r}: its input {wanted!r} is defined nowhere")
    for output in graph.output:
        if output.name not in defined:
            raise ModelError(f"{file}: the output {output.name!r} is defined nowhere")


def _order(named: list[Named], producer: dict[str, int], file: str) -> list[Named]:
    """Kahn's algorithm; of the nodes that are ready, the one that stands first comes first."""
    waiting: list[int] = []
    users: list[list[int]] = [[] for _ in named]
    for place, (_, node) in enumerate(named):
        sources = {producer[i] for i in used_names(node) if i in producer}
        waiting.append(len(sources))
        for source in sources:
            users[source].append(place)
    ready = [place for place, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    result = []
    while ready:
        place = heapq.heappop(ready)
        result.append(named[place])
        for user in users[place]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, user)
    if len(result) < len(named):
        stuck = next(named[p][0] for p, count in enumerate(waiting) if count)
        raise ModelError(f"{file}: node {stuck!r} is part of a cycle, or depends on one")
    return result
