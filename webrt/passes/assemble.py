"""Assemble the plan: tensors with homes, steps over shared problems, ports and weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import ShapeError
from webrt.graph.ir import Array, Value
from webrt.graph.program import Program
from webrt.kernel.problem import Problem
from webrt.plan.plan import Home, Plan, Port, Step, Tensor, Window

_NUMPY: dict[DType, npt.DTypeLike] = {
    DType.F32: np.float32, DType.F16: np.float16, DType.I32: np.int32, DType.U32: np.uint32,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Built:
    """A plan, and the content of its constant tensors in storage types."""

    plan: Plan
    constants: dict[int, Array]


def device_dtype(dtype: DType) -> DType:
    """The element type of a plan's tensor: bool stays bool (stored as u32), i64 is i32."""
    return dtype if dtype is DType.BOOL else dtype.storage


def stored(value: Value) -> Array:
    """A constant's elements as the device stores them; raises ShapeError where they don't fit."""
    assert value.data is not None
    target = np.dtype(_NUMPY[value.dtype.storage])
    data = np.ascontiguousarray(value.data)
    if value.dtype.is_integer and data.size:
        low, high = int(data.min()), int(data.max())
        limits = np.iinfo(target)
        if low < limits.min or high > limits.max:
            raise ShapeError(
                f"constant {value.name!r}: expected {value.dtype} values that fit {target}, found "
                f"{low} … {high}; webrt computes integers in 32 bits: change the model's constant"
            )
    if value.dtype is DType.F64:
        return _singles(value.name, data)
    return data.astype(target, copy=False)


def _singles(name: str, data: Array) -> Array:
    """Doubles as float32; none of them may become an infinity."""
    with np.errstate(over="ignore"):
        narrowed = data.astype(np.float32)
    lost = np.isinf(narrowed) & ~np.isinf(data)
    if lost.any():
        raise ShapeError(
            f"constant {name!r}: expected float64 values that fit float32, which they are computed "
            f"in, found {float(data[lost].flat[0]):g}: change the model's constant"
        )
    return narrowed


@dataclass(slots=True)
class Table:
    """Plan tensors by value, numbered as they come."""

    tensors: list[Tensor] = field(default_factory=list)
    index: dict[Value, int] = field(default_factory=dict)

    def add(self, value: Value, home: Home) -> int:
        if value not in self.index:
            self.index[value] = len(self.tensors)
            self.tensors.append(Tensor(device_dtype(value.dtype), value.shape, home))
        return self.index[value]

    def new(self, value: Value, home: Home) -> int:
        """A tensor that a value fits into, which isn't the value's own yet."""
        return self.put(device_dtype(value.dtype), value.shape, home)

    def put(self, dtype: DType, shape: tuple[Dim, ...], home: Home) -> int:
        self.tensors.append(Tensor(dtype, shape, home))
        return len(self.tensors) - 1

    def window(self, value: Value, ring: int, shift: Dim, loop: int | None) -> int:
        """A slot of a ring that a value fits into."""
        window = Window(ring, shift, loop)
        dtype = device_dtype(value.dtype)
        self.tensors.append(Tensor(dtype, value.shape, Home.WINDOW, window))
        return len(self.tensors) - 1


def assemble(program: Program, outputs: tuple[Value, ...]) -> Built:
    """The plan of a fused program; inputs come first among the tensors, then outputs.

    `outputs` are the model's own output values, for the ports' types and shapes: fusion may have
    put others with the same elements in their places.
    """
    table = Table()
    inputs = tuple(
        Port(v.name, v.dtype, v.shape, table.add(v, Home.INPUT), *program.ranges.get(v, ()))
        for v in program.inputs
    )
    for value in program.outputs:
        table.add(value, Home.OUTPUT if value.data is None else Home.CONSTANT)
    problems: dict[Problem, int] = {}
    steps: list[Step] = []
    for node in program.nodes:
        reads = tuple(
            table.add(v, Home.ARENA if v.data is None else Home.CONSTANT) for v in node.inputs
        )
        writes = tuple(table.add(v, Home.ARENA) for v in node.outputs)
        number = problems.setdefault(node.problem, len(problems))
        steps.append(Step(number, reads, writes, node.name))
    ports = tuple(
        Port(name, port.dtype, port.shape, table.index[made])
        for name, port, made in zip(program.output_names, outputs, program.outputs, strict=True)
    )
    symbols = tuple(replace(s, most=program.longest.get(s.id, s.most)) for s in program.symbols)
    plan = Plan(symbols, inputs, ports, tuple(table.tensors), tuple(problems), tuple(steps))
    constants = {j: stored(value) for value, j in table.index.items() if value.data is not None}
    return Built(plan, constants)
