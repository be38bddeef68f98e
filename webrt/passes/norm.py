"""Layer norm and RMS norm exported as primitives become one node.

Before:  c = x - ReduceMean(x);  c / Sqrt(ReduceMean(c²) + ε) · w + b     After:  LayerNormalization
Before:  x / Sqrt(ReduceMean(x²) + ε) · w                                 After:  webrt.RMSNorm
"""

from __future__ import annotations

from webrt.graph.ir import Graph, Node, Value
from webrt.ops.registry import apply
from webrt.passes.rewrite import View, is_scalar, last_axis, rewrite, scalar, with_outputs


def recognise_norms(graph: Graph) -> Graph:
    """Replace the last node of every norm over the last axis that has a constant weight."""
    return rewrite(rewrite(graph, _layer_norm), _rms_norm)


def _layer_norm(node: Node, view: View) -> list[Node] | None:
    """Add(Mul(normed, w), b) with normed of x - mean(x)."""
    for scaled, bias in _both_ways(node, "Add"):
        if not _is_vector(bias, node):
            continue
        for normed, weight in _both_ways(view.maker(scaled, "Mul"), "Mul"):
            found = _normed(normed, view) if _is_vector(weight, node) else None
            if found is None:
                continue
            centred, epsilon = found
            away = view.maker(centred, "Sub")
            if away is None or not _is_mean_of(away.inputs[1], away.inputs[0], view):
                continue
            made = apply(
                "LayerNormalization", [away.inputs[0], weight, bias],
                {"axis": -1, "epsilon": epsilon}, name=node.name, outputs=[node.outputs[0].name],
            )  # fmt: skip
            return [with_outputs(made, node.outputs)]
    return None


def _rms_norm(node: Node, view: View) -> list[Node] | None:
    for normed, weight in _both_ways(node, "Mul"):
        found = _normed(normed, view) if _is_vector(weight, node) else None
        if found is not None:
            made = apply(
                "RMSNorm", [found[0], weight], {"epsilon": found[1]}, name=node.name,
                outputs=[node.outputs[0].name], domain="webrt",
            )  # fmt: skip
            return [with_outputs(made, node.outputs)]
    return None


def _normed(value: Value | None, view: View) -> tuple[Value, float] | None:
    """(x, ε) of a value that is x / sqrt(mean(x²) + ε), divided or multiplied by the inverse."""
    node = view.maker(value, "Div", "Mul")
    if node is None:
        return None
    for x, rest in _both_ways(node, "Mul") or [(node.inputs[0], node.inputs[1])]:
        root = rest if node.op == "Div" else _inverted(rest, view)
        epsilon = _root_mean_square(root, x, view)
        if x is not None and epsilon is not None:
            return x, epsilon
    return None


def _inverted(value: Value | None, view: View) -> Value | None:
    """What a value is the reciprocal of."""
    node = view.maker(value, "Reciprocal", "Div")
    if node is None:
        return None
    if node.op == "Reciprocal":
        return node.inputs[0]
    return node.inputs[1] if is_scalar(node.inputs[0], 1) else None


def _root_mean_square(value: Value | None, x: Value | None, view: View) -> float | None:
    """ε of a value that is sqrt(mean(x²) + ε)."""
    root = view.maker(value, "Sqrt")
    shifted = view.maker(root.inputs[0], "Add") if root else None
    for mean, constant in _both_ways(shifted, "Add"):
        epsilon = scalar(constant)
        node = view.maker(mean, "ReduceMean")
        if epsilon is None or node is None or not _keeps_last(node, x):
            continue
        square = view.maker(node.inputs[0], "Pow", "Mul")
        if square is None or not view.same(square.inputs[0], x):
            continue
        if square.op == "Pow" and is_scalar(square.inputs[1], 2):
            return epsilon
        if square.op == "Mul" and view.same(square.inputs[1], x):
            return epsilon
    return None


def _is_mean_of(value: Value | None, x: Value | None, view: View) -> bool:
    node = view.maker(value, "ReduceMean")
    return node is not None and view.same(node.inputs[0], x) and _keeps_last(node, x)


def _keeps_last(node: Node, x: Value | None) -> bool:
    """Whether a reduction runs over the last axis of x and keeps it."""
    return (
        x is not None and node.attributes.get("keepdims", 1) == 1 and last_axis(node, len(x.shape))
    )


def _is_vector(value: Value | None, node: Node) -> bool:
    """Whether a constant holds one element a column of the node's result."""
    if value is None or value.data is None:
        return False
    return value.shape == node.outputs[0].shape[-1:]


def _both_ways(node: Node | None, op: str) -> list[tuple[Value | None, Value | None]]:
    """The two inputs of a commutative node, in either order; nothing for another node."""
    if node is None or node.op != op:
        return []
    left, right = node.inputs
    return [(left, right), (right, left)]
