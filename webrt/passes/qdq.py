"""Products between quantisations become products of whole numbers, scaled afterwards.

Before:  y = MatMul(sa·(a - za), sw·(w - zw))        Gemm, Conv likewise, with their biases
After:   y = MatMul(f32(a - za), f32(w - zw)) · (sa·sw)

A device without fast integers multiplies these floats as before; where it has them, a CPU finds
that both are integers and sums them as such (`schedule/cpu/whole.py`), which is exact.
Quantising with the same numbers what was dequantised and only moved since gives what there was:

Before:  q = Quantize(Transpose(s·(x - z)), s, z)     After:   q = Transpose(x)

Constants that take little room become floats: biases, weights of depthwise convolutions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from webrt.dtypes import DType
from webrt.graph.ir import Array, Attribute, Graph, Node, Value
from webrt.ops.registry import apply, compute
from webrt.passes.rewrite import View, rewrite, substituted, with_outputs, without_dead

_MOVES = ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Slice")
"""Operators whose first input's elements are their output's, whatever they are."""

_BYTES = (DType.I8, DType.U8)


def multiply_whole(graph: Graph) -> Graph:
    """Drop quantisations of what is quantised already, then take scales out of products."""
    if not any(node.op == "Dequantize" for node in graph.nodes):
        return graph
    return rewrite(rewrite(_small_constants(graph), _requantised), _product)


def _small_constants(graph: Graph) -> Graph:
    """The graph with biases and what depthwise convolutions read as floats."""
    view = View(graph)
    known: dict[Value, Value] = {}
    for node in graph.nodes:
        arrays = [None if v is None else v.data for v in node.inputs]
        given = [a is not None for a, v in zip(arrays, node.inputs, strict=True) if v is not None]
        if node.op != "Dequantize" or not all(given):
            continue
        value = node.outputs[0]
        readers = view.readers(value)
        if len(value.shape) < 2 or (readers and all(_is_depthwise(n) for n in readers)):
            known[value] = replace(value, data=compute(node, arrays)[0])
    return without_dead(substituted(graph, known))


def _is_depthwise(node: Node) -> bool:
    return node.op == "Conv" and node.inputs[1] is not None and node.inputs[1].shape[1] == 1


# Quantised already


def _requantised(node: Node, view: View) -> list[Node] | None:
    if node.op != "QuantizeLinear" or node.domain:
        return None
    moves: list[Node] = []
    maker = view.maker(node.inputs[0])
    while maker is not None and maker.op in _MOVES and not maker.domain:
        moves.append(maker)
        maker = view.maker(maker.inputs[0])
    if maker is None or maker.op != "Dequantize" or not _same_step(node, maker):
        return None
    if maker.outputs[0].dtype is not DType.F32:  # halves don't tell 65,536 steps apart
        return None
    source = maker.inputs[0]
    made: list[Node] = []
    for move in reversed(moves):
        name = f"{move.outputs[0].name}.whole"
        made.append(
            apply(
                move.op, (source, *move.inputs[1:]), move.attributes, name=move.name,
                outputs=[name], version=move.version,
            )
        )  # fmt: skip
        source = made[-1].outputs[0]
    if source is None or source.dtype is not node.outputs[0].dtype:
        return None
    if not made:
        made = [apply("Identity", [source], name=node.name, outputs=[node.outputs[0].name])]
    return [*made[:-1], with_outputs(made[-1], node.outputs)]


def _same_step(node: Node, maker: Node) -> bool:
    """Whether both count in the same steps, one for the whole tensor, from the same zero."""
    pairs = [(_number(n, 1, 1.0), _number(n, 2, 0)) for n in (node, maker)]
    return None not in pairs[0] and pairs[0] == pairs[1]


def _number(node: Node, position: int, absent: float) -> float | None:
    """A parameter that is one constant number."""
    value = node.inputs[position] if position < len(node.inputs) else None
    if value is None:
        return absent
    if value.data is None or value.data.size != 1 or node.attributes.get("block_size", 0):
        return None
    return float(value.data.reshape(-1)[0])


# Products


@dataclass(frozen=True, slots=True)
class _Side:
    """Bytes, the scale of each channel or of all, and their zero points."""

    source: Value
    scale: npt.NDArray[np.float64]
    zero: npt.NDArray[np.int32]
    axis: int
    """The axis that scale and zero go along, where they have several elements."""


def _side(value: Value | None, view: View) -> _Side | None:
    """What dequantises a value: bytes with constant parameters of a tensor or a channel."""
    node = view.maker(value)
    if node is not None and node.op == "Transpose" and not node.domain:
        return _transposed(_side(node.inputs[0], view), node)
    if node is None or node.op != "Dequantize" or node.domain != "webrt":
        return None
    source, scale = node.inputs[:2]
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    if source is None or source.dtype not in _BYTES or node.outputs[0].dtype is not DType.F32:
        return None
    if scale is None or scale.data is None or node.attributes.get("block_size", 0):
        return None
    if zero is not None and zero.data is None:
        return None
    points = np.zeros(1, np.int32) if zero is None else zero.data.astype(np.int32)  # type: ignore[union-attr]
    axis = int(node.attributes.get("axis", 1))  # type: ignore[arg-type]
    return _Side(
        source, scale.data.astype(np.float64).reshape(-1), points.reshape(-1),
        axis % max(1, len(source.shape)),
    )  # fmt: skip


def _transposed(side: _Side | None, node: Node) -> _Side | None:
    """A weight as PyTorch exports it: dequantised first, transposed then."""
    if side is None or side.source.data is None:
        return None
    given = node.attributes.get("perm")
    rank = len(side.source.shape)
    order = [int(p) for p in given] if isinstance(given, tuple) else [*reversed(range(rank))]
    data = np.ascontiguousarray(side.source.data.transpose(order))
    source = replace(side.source, shape=data.shape, data=data)
    return replace(side, source=source, axis=order.index(side.axis))


class _Nodes:
    """Nodes in the place of one."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.made: list[Node] = []

    def __call__(
        self, op: str, inputs: list[Value | None], hint: str,
        attributes: dict[str, Attribute] | None = None, domain: str = "",
    ) -> Value:  # fmt: skip
        name = f"{self.node.outputs[0].name}.{hint}"
        node = apply(op, inputs, attributes, name=self.node.name, outputs=[name], domain=domain)
        self.made.append(node)
        return node.outputs[0]

    def whole(self, side: _Side, hint: str) -> Value:
        """The bytes without their zero points, as floats."""
        zero: Value | None = None
        if np.any(side.zero):
            shape = [1] * len(side.source.shape)
            if side.zero.size > 1:
                shape[side.axis] = -1
            zero = _constant(f"{hint}.zero", side.zero.reshape(shape))
        centred = self("Centre", [side.source, zero], hint, domain="webrt")
        return self("Cast", [centred], f"{hint}.float", {"to": "f32"})

    def done(self) -> list[Node]:
        return [*self.made[:-1], with_outputs(self.made[-1], self.node.outputs)]


def _product(node: Node, view: View) -> list[Node] | None:
    lower = _PRODUCTS.get(node.op)
    if lower is None or node.domain or node.outputs[0].dtype is not DType.F32:
        return None
    left, right = _side(node.inputs[0], view), _side(node.inputs[1], view)
    if left is None or right is None or right.source.data is None or left.scale.size > 1:
        return None
    if left.zero.size > 1:
        return None
    made = _Nodes(node)
    return made.done() if lower(node, left, right, made) else None


def _matmul(node: Node, left: _Side, right: _Side, made: _Nodes) -> bool:
    rank = len(right.source.shape)
    if rank < 2 or len(left.source.shape) < 2 or (_is_spread(right) and right.axis != rank - 1):
        return False
    product = made("MatMul", [made.whole(left, "a"), made.whole(right, "b")], "product")
    made("Mul", [product, _scale(left, right, ())], "scaled")
    return True


def _gemm(node: Node, left: _Side, right: _Side, made: _Nodes) -> bool:
    transposed = bool(node.attributes.get("transB", 0))
    if node.attributes.get("transA", 0) or (_is_spread(right) and right.axis != 1 - transposed):
        return False
    inputs: list[Value | None] = [made.whole(left, "a"), made.whole(right, "b")]
    result = made("Gemm", inputs, "product", {"transB": int(transposed)})
    factor = _scale(left, right, (), float(node.attributes.get("alpha", 1.0)))  # type: ignore[arg-type]
    result = made("Mul", [result, factor], "scaled")
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None:
        beta = float(node.attributes.get("beta", 1.0))  # type: ignore[arg-type]
        if beta != 1.0:
            times = _constant("beta", np.array(beta, np.float32))
            bias = made("Mul", [bias, times], "bias")
        made("Add", [result, bias], "sum")
    return True


def _conv(node: Node, left: _Side, right: _Side, made: _Nodes) -> bool:
    if _is_depthwise(node) or (_is_spread(right) and right.axis != 0):
        return False
    below = (1,) * (len(right.source.shape) - 2)
    inputs: list[Value | None] = [made.whole(left, "x"), made.whole(right, "w")]
    result = made("Conv", inputs, "product", node.attributes)
    result = made("Mul", [result, _scale(left, right, below)], "scaled")
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None:
        shape = _constant("shape", np.array((-1, *below), np.int64))
        made("Add", [result, made("Reshape", [bias, shape], "bias")], "sum")
    return True


_PRODUCTS: dict[str, Callable[[Node, _Side, _Side, _Nodes], bool]] = {
    "MatMul": _matmul, "Gemm": _gemm, "Conv": _conv,
}  # fmt: skip


def _is_spread(side: _Side) -> bool:
    return max(side.scale.size, side.zero.size) > 1


def _scale(left: _Side, right: _Side, below: tuple[int, ...], alpha: float = 1.0) -> Value:
    """The product of both scales: one number, or one a channel with axes below it."""
    factor = left.scale * right.scale * alpha
    return _constant(
        "scale", factor.astype(np.float32).reshape(() if factor.size == 1 else (-1, *below))
    )


def _constant(name: str, data: Array) -> Value:
    return Value(name, DType.from_onnx_name(data.dtype.name), data.shape, data)
