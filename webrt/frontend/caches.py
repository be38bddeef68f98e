"""Which dims of a model's inputs may be 0: those of caches, before there is a first token."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import GraphProto, NodeProto, ValueInfoProto

MICROSOFT = "com.microsoft"

PASTS = {
    ("", "Attention"): (4, 5), (MICROSOFT, "Attention"): (4,),
    (MICROSOFT, "GroupQueryAttention"): (3, 4), (MICROSOFT, "MultiHeadAttention"): (6, 7),
}  # fmt: skip
"""Inputs that hold rows of the past, in their last dim but one."""

SAME = ("Cast", "Identity", "Transpose")

Known = dict[str, tuple[str, tuple[int, ...]]]
"""The input that a value is, and which of the input's axes each of its axes is."""


def empty_dims(graph: GraphProto) -> set[str]:
    """The names of the dims (`dim_name`) along which a cache grows from an input to an output.

    So is what only one branch of an If reads, in dims that no other input has: a decoder that
    holds two, for the first token and for the next ones, is fed empty caches for the first.
    """
    inputs = {i.name: i for i in graph.input}
    known = {n: (n, tuple(range(len(_dims(i))))) for n, i in inputs.items()}
    found = {dim_name(inputs[name], axis) for name, axis in _grown(graph, known)}
    readers: dict[str, set[int | None]] = {}
    for name, info in inputs.items():
        for dim in _names(info):
            readers.setdefault(dim, set()).add(_sole_branch(graph, name))
    return found | {d for d, by in readers.items() if len(by) == 1 and None not in by}


def _dims(info: ValueInfoProto) -> list[object]:
    return list(info.type.tensor_type.shape.dim)


def dim_name(info: ValueInfoProto, axis: int) -> str:
    """The model's name of an input's dim, or one made of the input's."""
    return info.type.tensor_type.shape.dim[axis].dim_param or f"{info.name}.{axis}"


def _names(info: ValueInfoProto) -> list[str]:
    dims = info.type.tensor_type.shape.dim
    return [dim_name(info, j) for j, d in enumerate(dims) if not d.HasField("dim_value")]


def _grown(graph: GraphProto, known: Known) -> Iterator[tuple[str, int]]:
    """(input, axis) for each input that a node of the graph, or of one inside, makes longer."""
    known = dict(known)
    kept = _outputs(graph)
    for node in graph.node:
        for name, axis in _lengthened(node, kept):
            if name in known and -len(known[name][1]) <= axis < len(known[name][1]):
                yield known[name][0], known[name][1][axis]
        if node.op_type in SAME and node.input and node.input[0] in known:
            source, axes = known[node.input[0]]
            order = next((tuple(a.ints) for a in node.attribute if a.name == "perm"), ())
            if all(0 <= j < len(axes) for j in order):
                known[node.output[0]] = source, tuple(axes[j] for j in order) or axes
        for inner in _graphs(node):
            own = {i.name for i in inner.input}
            yield from _grown(inner, {n: k for n, k in known.items() if n not in own})


def _outputs(graph: GraphProto) -> set[str]:
    """The names of the outputs, and of what becomes one of them."""
    found = {o.name for o in graph.output}
    for node in reversed(graph.node):
        if node.op_type in SAME and found & set(node.output):
            found |= set(node.input)
    return found


def _lengthened(node: NodeProto, kept: set[str]) -> Iterator[tuple[str, int]]:
    """What a node makes longer, and along which axis."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    for position in PASTS.get((domain, node.op_type), ()):
        if position < len(node.input):
            yield node.input[position], -2
    if node.op_type == "Concat" and kept & set(node.output):
        axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
        for name in node.input:
            yield name, axis


def _graphs(node: NodeProto) -> list[GraphProto]:
    return [a.g for a in node.attribute if a.HasField("g")]


def _sole_branch(graph: GraphProto, name: str) -> int | None:
    """The number of the only branch that reads an input; None where there is none, or more."""
    found: list[int | None] = []
    for place, node in enumerate(graph.node):
        if name in node.input:
            return None
        for side, inner in enumerate(_graphs(node)):
            if _reads(inner, name):
                found.append(2 * place + side if node.op_type == "If" else None)
    if any(o.name == name for o in graph.output) or len(found) != 1:
        return None
    return found[0]


def _reads(graph: GraphProto, name: str) -> bool:
    return any(o.name == name for o in graph.output) or any(
        name in n.input or any(_reads(g, name) for g in _graphs(n)) for n in graph.node
    )
