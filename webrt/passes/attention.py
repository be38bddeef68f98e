"""Attention, in every exporter's spelling, becomes one `webrt.Attention` node.

Before:  MatMul(Softmax(scale · MatMul(Q, Kᵀ) + mask), V)       After:  Attention(Q, K, V, mask)

Scales are gathered from the scores, from Q and from K, through reshapes and transposes; masks are
added or chosen by Where; a guard against rows of NaN (`Where(IsNaN(p), 0, p)`) goes, a choice of
rows that are zero comes after.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from webrt.dtypes import DType
from webrt.graph.ir import Graph, Node, Value
from webrt.ops.registry import apply
from webrt.passes.rewrite import View, last_axis, rewrite, scalar, with_outputs

MASKED = -1e30
MASKED_F16 = -6e4
"""A Where that puts a score to less than this masks it: `exp` of it is 0 beside any other."""
MASK = np.float32(-3.4028234663852886e38)
_VIEWS = ("Reshape", "Transpose", "Unsqueeze", "Squeeze", "Expand")


def recognise_attention(graph: Graph) -> Graph:
    """Replace the last product of every attention by an Attention node."""
    return rewrite(graph, _rule)


@dataclass
class _Parts:
    """What is found on the way from the softmax up to the product of Q and K."""

    scale: float = 1.0
    masks: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)  # that masks need
    product: Node | None = None


def _rule(node: Node, view: View) -> list[Node] | None:
    if node.op != "MatMul" or len(node.outputs[0].shape) < 3:
        return None
    found = _softmax(node.inputs[0], view)
    value = node.inputs[1]
    if found is None or value is None or value.data is not None:
        return None
    softmax, guard = found
    parts = _Parts()
    if not _scores(softmax.inputs[0], view, parts, node.name) or parts.product is None:
        return None
    query, transposed = parts.product.inputs
    assert query is not None
    assert transposed is not None
    if not len(query.shape) == len(transposed.shape) == len(value.shape):
        return None
    if not query.shape[:-2] == transposed.shape[:-2] == value.shape[:-2]:
        return None
    query = _unscaled(query, view, parts)
    transposed = _unscaled(transposed, view, parts)
    rank = len(transposed.shape)
    perm = (*range(rank - 2), rank - 1, rank - 2)
    key = apply(
        "Transpose", [transposed], {"perm": perm}, name=node.name, outputs=[f"{node.name}.key"]
    )
    parts.nodes.append(key)
    inputs: list[Value | None] = [query, key.outputs[0], value]
    if parts.masks:
        inputs.append(_joined_mask(parts, node.name))
    attention = apply(
        "Attention", inputs, {"scale": parts.scale}, name=node.name,
        outputs=[f"{node.name}.attention"], domain="webrt",
    )  # fmt: skip
    made = [*parts.nodes, attention]
    if guard is not None:
        inputs = [*guard.inputs[:2], attention.outputs[0]]
        made.append(apply("Where", inputs, name=node.name, outputs=[f"{node.name}.guarded"]))
    return [*made[:-1], with_outputs(made[-1], node.outputs)]


def _softmax(value: Value | None, view: View) -> tuple[Node, Node | None] | None:
    """The softmax over the last axis that a value is, and a choice of rows that it went through.

    `Where(IsNaN(p), 0, p)` changes nothing; `Where(row, 0, p)` gives rows of zeros in the end.
    """
    guard = view.maker(value, "Where")
    node = view.maker(guard.inputs[2] if guard else value, "Softmax")
    # Before opset 13 a softmax over `axis` flattens all dims from there on: the same for the last.
    if node is None or not last_axis(node, len(node.outputs[0].shape)):
        return None
    if guard is None:
        return node, None
    condition = guard.inputs[0]
    if scalar(guard.inputs[1]) != 0 or condition is None:
        return None
    is_nan = view.maker(condition, "IsNaN")
    if is_nan is not None and view.same(is_nan.inputs[0], guard.inputs[2]):
        return node, None
    by_row = condition.shape[-1:] == (1,) or not condition.shape
    return (node, guard) if by_row else None


def _scores(value: Value | None, view: View, parts: _Parts, name: str) -> bool:
    """Walk up from the softmax's input to the product; False where it isn't attention."""
    node = view.maker(value, "MatMul", "Add", "Mul", "Div", "Where")
    if node is None or value is None or (value in view.results):
        return False
    if node.op == "MatMul":
        parts.product = node
        return node.inputs[1] is not None and node.inputs[1].data is None
    if node.op in ("Mul", "Div"):
        factor, other = _factor(node)
        if factor is None or parts.product is not None:
            return False
        if not _scores(other, view, parts, name):
            return False
        if parts.masks:  # a scale that also applies to a mask inside of it
            return False
        parts.scale *= factor
        return True
    if node.op == "Where":
        condition, kept, filled = node.inputs
        fill = scalar(filled)
        least = MASKED_F16 if node.outputs[0].dtype is DType.F16 else MASKED
        if fill is None or not fill <= least or condition is None:
            return False
        if not _scores(kept, view, parts, name):
            return False
        zero = Value(f"{name}.zero", DType.F32, (), np.array(0, np.float32))
        low = Value(f"{name}.masked", DType.F32, (), np.array(MASK, np.float32))
        chosen = apply("Where", [condition, zero, low], name=name, outputs=[f"{value.name}.mask"])
        parts.nodes.append(chosen)
        parts.masks.append(chosen.outputs[0])
        return True
    for scores, mask in (node.inputs, node.inputs[::-1]):
        assert mask is not None
        if _scores(scores, view, parts, name):
            parts.masks.append(mask)
            return True
        if parts.product is not None:
            return False
    return False


def _factor(node: Node) -> tuple[float | None, Value | None]:
    """The constant factor of a Mul or Div, and what it scales."""
    left, right = node.inputs
    by_right = scalar(right)
    if node.op == "Div":
        return (None if not by_right else 1 / by_right), left
    return (by_right, left) if by_right is not None else (scalar(left), right)


def _unscaled(value: Value, view: View, parts: _Parts) -> Value:
    """Q or K without the scales on its way, which go to the attention; its views are made anew."""
    chain: list[Node] = []
    current: Value = value
    factor = 1.0
    while (node := view.maker(current, *_VIEWS, "Mul", "Div")) is not None:
        if node.op in ("Mul", "Div"):
            found, other = _factor(node)
            if found is None or other is None or other.shape != current.shape:
                break
            factor *= found
            current = other
            continue
        if not view.is_private(current) and not _scaled_above(node, view):
            break
        chain.append(node)
        assert node.inputs[0] is not None
        current = node.inputs[0]
    if factor == 1.0:
        return value
    parts.scale *= factor
    for node in reversed(chain):
        made = apply(
            node.op, [current, *node.inputs[1:]], node.attributes, name=node.name,
            outputs=[f"{node.outputs[0].name}.unscaled"], version=node.version,
        )  # fmt: skip
        parts.nodes.append(made)
        current = made.outputs[0]
    return current


def _scaled_above(node: Node, view: View) -> bool:
    source = view.maker(node.inputs[0], "Mul", "Div")
    return source is not None and _factor(source)[0] is not None


def _joined_mask(parts: _Parts, name: str) -> Value:
    """All masks added up."""
    masks = parts.masks
    if len({mask.dtype for mask in masks}) > 1:
        masks = [_as_f32(mask, parts, name) for mask in masks]
    total = masks[0]
    for mask in masks[1:]:
        node = apply("Add", [total, mask], name=name, outputs=[f"{total.name}.joined"])
        parts.nodes.append(node)
        total = node.outputs[0]
    return total


def _as_f32(mask: Value, parts: _Parts, name: str) -> Value:
    """A mask of f16 as the others are."""
    if mask.dtype is DType.F32:
        return mask
    node = apply("Cast", [mask], {"to": "f32"}, name=name, outputs=[f"{mask.name}.f32"])
    parts.nodes.append(node)
    return node.outputs[0]
