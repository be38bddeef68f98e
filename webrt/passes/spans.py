"""Tells contractions of whole numbers what they hold: a CPU multiplies 16 bits in pairs.

Before:  in x0: i32[384*s0]          After:  in x0: i32[384*s0] from -255 to 255

A tensor's span is its dtype's, or what the expression that stores it can come to. One of floats
has a span where it stores integers.
"""

from __future__ import annotations

from dataclasses import replace

from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.graph.program import ProblemNode, Program
from webrt.kernel import ranges
from webrt.kernel.expr import Load, Ref
from webrt.kernel.problem import Contract, Operand, Reduce
from webrt.kernel.ranges import Range
from webrt.passes.integers import natural

_SMALL = (DType.I8, DType.U8, DType.I16, DType.U16, DType.BOOL)
_SPANNED = (DType.I32, DType.U32, DType.F32)
_BYTES: tuple[Range, ...] = ((0, 255), (-128, 127))
_LOOKED_AT = 4096
"""Elements of a constant that are looked at: larger ones are words of weights."""


def tell_spans(program: Program) -> Program:
    """The program; operands of integer contractions have spans where they fit 16 bits."""
    known: dict[Value, Range] = {}
    nodes = []
    for node in program.nodes:
        for value, output in zip(node.outputs, node.problem.outputs, strict=True):
            if output.dtype in (DType.I32, DType.U32) or ranges.is_whole(output.expr):
                known[value] = ranges.of(output.expr, _Leaf(node, known))
        nodes.append(_told(node, known))
    return replace(program, nodes=tuple(nodes))


class _Leaf:
    """What a load or a pass's result in a node's expressions may be."""

    def __init__(self, node: ProblemNode, known: dict[Value, Range]) -> None:
        self.node = node
        self.known = known

    def __call__(self, leaf: Load | Ref) -> Range | None:
        problem = self.node.problem
        if isinstance(leaf, Load):
            return _of(self.node.inputs[int(leaf.memory)], self.known)
        if isinstance(problem, Reduce) and leaf.name[0] == "p":
            one = problem.passes[int(leaf.name[1:])]
            return ranges.of(one.expr, self) if one.combine in ("min", "max") else None
        return None


def _of(value: Value, known: dict[Value, Range]) -> Range | None:
    data = value.data
    if data is not None and 0 < data.size <= _LOOKED_AT and data.dtype.kind in "iu":
        return int(data.min()), int(data.max())
    if value.dtype in _SMALL:
        return natural(value.dtype)
    return known.get(value)


def _told(node: ProblemNode, known: dict[Value, Range]) -> ProblemNode:
    problem = node.problem
    if not isinstance(problem, Contract) or problem.a.dtype not in (DType.I32, DType.F32):
        return node
    operands = tuple(
        _with_span(operand, _of(value, known))
        for operand, value in zip(problem.operands, node.inputs, strict=True)
    )
    return replace(node, problem=replace(problem, operands=operands))


def _with_span(operand: Operand, span: Range | None) -> Operand:
    if operand.dtype not in _SPANNED or span is None or not ranges.inside(span, ranges.PAIR):
        return operand
    if operand.constant:  # layers share a kernel: zero points differ, bytes are bytes
        span = next((b for b in _BYTES if ranges.inside(span, b)), span)
    return replace(operand, span=(int(span[0]), int(span[1])))
