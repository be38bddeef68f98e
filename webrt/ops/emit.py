"""Lowering's tools: operands and offsets of a problem, and the emitter that collects problems."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import UnsupportedOpError
from webrt.graph.ir import Array, Value
from webrt.graph.program import ProblemNode
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, Load
from webrt.kernel.problem import Map, Operand, Output, Problem
from webrt.ops.packed import Packed, pack, unpack

LITERAL_LIMIT = 1 << 16
"""Integer and bool constants of up to this many elements are looked at for a rule."""

MAX_SELECTS = 16
"""Contents of more elements than this are refused: each is a select in the kernel."""

F32_MAX = 3.4028234663852886e38
ROUNDS_TO_INFINITY = 3.4028235677973366e38
"""Halfway between the largest f32 and what would follow."""

I32_LOW, I32_HIGH = -(1 << 31), (1 << 31) - 1


def device_dtype(dtype: DType) -> DType:
    """The type that kernels compute a tensor's elements in: bool, f32, i32 or u32.

    Problems know no f16: `passes/halves.py` puts it in where tensors are loaded and stored.
    """
    return dtype.computed


def index(position: int) -> Dim:
    """The Map or Reduce index `i<position>`."""
    return dims.symbol(f"i{position}")


def indices(rank: int) -> tuple[Dim, ...]:
    return tuple(index(j) for j in range(rank))


def strides(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """Row-major strides, in elements."""
    result: list[Dim] = []
    step: Dim = 1
    for dim in reversed(shape):
        result.append(step)
        step = step * dim
    return tuple(reversed(result))


def flat(position: Sequence[Dim], shape: Sequence[Dim]) -> Dim:
    """The row-major offset of a multi-index."""
    total: Dim = 0
    for at, step in zip(position, strides(shape), strict=True):
        total = total + at * step
    return total


def spread(position: Sequence[Dim], shape: Sequence[Dim]) -> Dim:
    """The offset in an operand of `shape` that is broadcast to where `position` is an index."""
    own = position[len(position) - len(shape) :]
    return flat([0 if d == 1 else at for at, d in zip(own, shape, strict=True)], shape)


@dataclass(slots=True)
class Operands:
    """The operands of one problem: `load` adds them as they are needed."""

    owner: Emitter
    values: list[Value] = field(default_factory=list)

    def load(self, value: Value, offset: Dim) -> Expr:
        """Element `offset` of a value; a literal where the value's elements are known."""
        literal = self.owner.literal(value, offset)
        if literal is not None:
            return literal
        packed = self.owner.packed(value)
        if packed is not None:
            return unpack(packed, partial(self.read, packed.words), offset)
        return self.read(value, offset)

    def read(self, value: Value, offset: Dim) -> Load:
        """The same, but never a literal: problems that differ in a number only share a kernel."""
        if value not in self.values:
            self.values.append(value)
        return Load(self.values.index(value), offset, device_dtype(value.dtype))

    def at(self, value: Value, position: Sequence[Dim]) -> Expr:
        """The element at a multi-index of a shape that the value is broadcast to."""
        return self.load(value, spread(position, value.shape))

    def declared(self) -> tuple[Operand, ...]:
        return tuple(
            Operand(device_dtype(v.dtype), dims.product(v.shape), v.data is not None)
            for v in self.values
        )


@dataclass(slots=True)
class Emitter:
    """Collects the problems that one node becomes. `interval` gives the proven range of a value."""

    name: str
    outputs: tuple[Value, ...]
    interval: Callable[[Value], tuple[int, int]]
    nodes: list[ProblemNode] = field(default_factory=list)
    limits: list[tuple[Value, int, int]] = field(default_factory=list)
    _packed: dict[Value, Packed] = field(default_factory=dict)

    def operands(self) -> Operands:
        return Operands(self)

    def problem(
        self, problem: Problem, operands: Operands, outputs: Sequence[Value], alone: bool = False
    ) -> None:
        """Append a problem that computes `outputs` from the operands that were loaded."""
        inputs = tuple(operands.values)
        self.nodes.append(ProblemNode(problem, inputs, tuple(outputs), self.name, alone))

    def map(self, body: Callable[[Operands, tuple[Dim, ...]], Expr], output: int = 0) -> None:
        """A Map over the output's shape: `body(operands, index)` is the element there."""
        value = self.outputs[output]
        operands = self.operands()
        at = indices(len(value.shape))
        element = ex.cast(body(operands, at), device_dtype(value.dtype))
        stored = self.stored(value, flat(at, value.shape), element)
        self.problem(Map(value.shape, operands.declared(), (stored,)), operands, [value])

    def view(self, value: Value, output: int = 0) -> None:
        """The output holds the same elements in the same order."""
        operands = self.operands()
        result = self.outputs[output]
        size = dims.product(result.shape)
        element = ex.cast(operands.load(value, index(0)), device_dtype(result.dtype))
        stored = self.stored(result, index(0), element)
        self.problem(Map((size,), operands.declared(), (stored,)), operands, [result])

    def stored(self, value: Value, offset: Dim, element: Expr, each: bool = False) -> Output:
        """The Output that stores `element` as an element of `value`."""
        dtype = device_dtype(value.dtype)
        assert element.dtype is dtype, (self.name, element.dtype, dtype)
        return Output(dtype, dims.product(value.shape), offset, element, each)

    def temporary(self, suffix: str, dtype: DType, shape: tuple[Dim, ...]) -> Value:
        """A value between two problems of this node; sums would overflow f16."""
        dtype = DType.F32 if dtype is DType.F16 else dtype
        return Value(f"{self.outputs[0].name}.{suffix}", dtype, shape)

    def limit(self, indices: Value, extent: Dim) -> None:
        """Tell that `indices` looks rows up in a dim of `extent`: an input may be held to it."""
        if isinstance(extent, int):
            self.limits.append((indices, -extent, extent - 1))

    def packed(self, value: Value) -> Packed | None:
        """A constant of narrow integers, several a word; None for any other value."""
        if value not in self._packed:
            made = pack(value)
            if made is None:
                return None
            self._packed[value] = made
        return self._packed[value]

    def literal(self, value: Value, offset: Dim) -> Expr | None:
        """The element as a literal or as arithmetic on `offset`; None where it has to be loaded."""
        if value.content is not None:
            found = self._from_content(value.content, offset)
            kind = device_dtype(value.dtype)
            return ex.cast(found, kind) if kind.is_float else found
        if value.data is None:
            return None
        if value.data.size == 0:  # of no elements, none is ever loaded
            return self.constant(0, value.dtype)
        if value.data.size == 1:
            return self.constant(value.data.reshape(-1)[0], value.dtype)
        if value.data.dtype.kind == "f" or value.data.size > LITERAL_LIMIT:
            return None
        return self._from_rule(value, value.data, offset)

    def constant(self, element: np.generic | float, dtype: DType) -> Const:
        """A literal of the type that `dtype` is computed in."""
        kind = device_dtype(dtype)
        if kind.is_float:
            number = float(element)
            if ROUNDS_TO_INFINITY <= abs(number) < math.inf:
                raise UnsupportedOpError(
                    f"node {self.name!r}: the constant {number:g} is outside of float32, which "
                    "float64 is computed in"
                )
            rounded = F32_MAX < abs(number) < math.inf
            return Const(math.copysign(F32_MAX, number) if rounded else number, kind)
        whole = int(element)
        if kind is DType.BOOL:
            return Const(bool(whole), kind)
        if kind is DType.I32 and not I32_LOW <= whole <= I32_HIGH:
            raise UnsupportedOpError(
                f"node {self.name!r}: the constant {whole} doesn't fit 32 bits, "
                "which int64 is computed in"
            )
        return Const(whole, kind)

    def _from_content(self, content: tuple[Dim, ...], offset: Dim) -> Expr:
        if isinstance(offset, int):
            return ex.as_index(content[offset])
        steps = {b - a for a, b in pairwise(content)}
        if len(steps) <= 1:
            return ex.as_index(content[0] + offset * (steps.pop() if steps else 0))
        if len(content) > MAX_SELECTS:
            raise UnsupportedOpError(
                f"node {self.name!r}: a tensor of {len(content)} symbolic lengths isn't run"
            )
        result = ex.as_index(content[-1])
        for position in range(len(content) - 2, -1, -1):
            here = ex.call("eq", ex.as_index(offset), ex.i32(position))
            result = ex.select(here, ex.as_index(content[position]), result)
        return result

    def _from_rule(self, value: Value, data: Array, offset: Dim) -> Expr | None:
        """A constant whose elements are all equal, or count up, needs no memory."""
        elements = data.reshape(-1)
        if (elements == elements[0]).all():
            return self.constant(elements[0], value.dtype)
        if isinstance(offset, int):
            return self.constant(elements[offset], value.dtype)
        if value.dtype in (DType.BOOL, DType.U64, DType.U32, DType.U16, DType.U8):
            return None
        first, step = int(elements[0]), int(elements[1]) - int(elements[0])
        if (np.diff(elements) == step).all() and abs(first) + abs(step) * data.size < I32_HIGH:
            return ex.as_index(offset * step + first)
        return None
