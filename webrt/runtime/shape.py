"""What a session makes when it first sees an input shape: buffers laid out, dispatches recorded."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from webrt import dims
from webrt.errors import DeviceError, PackError
from webrt.pack.format import Pack
from webrt.plan.memory import place
from webrt.plan.plan import Home, Plan
from webrt.runtime.bind import evaluate_shape
from webrt.runtime.device import Buffer, Device, DeviceInfo, Dispatch, Recording, Slice
from webrt.runtime.kernels import Kernel, Kernels
from webrt.runtime.memory import Memory, Weights, binding_size, tensor_bytes

OPERATIONS_PER_MS = 2e6
"""A slow software adapter's speed (2026-11): what a kernel's `work` is divided by for its cost."""


@dataclass(frozen=True, slots=True)
class BoundShape:
    """Everything that depends on the values of the symbols, ready to replay.

    `sizes` are the bytes of the plan's tensors, `reads` the bytes to read of each output tensor,
    `outputs` the shapes of the output ports; `moved` tells that older recordings are void.
    """

    bindings: dict[str, int]
    sizes: dict[int, int]
    recording: Recording
    uniform: Buffer
    reads: dict[int, int]
    outputs: tuple[tuple[int, ...], ...]
    moved: bool

    def free(self, device: Device) -> None:
        """Give back what this holds of the device."""
        device.discard(self.recording)
        device.free(self.uniform)

    def shape_of(self, plan: Plan, tensor: int) -> tuple[int, ...]:
        return evaluate_shape(plan.tensors[tensor].shape, self.bindings)


def build(
    pack: Pack,
    device: Device,
    memory: Memory,
    weights: Weights,
    kernels: Kernels,
    values: tuple[int, ...],
    share: bool = True,
) -> BoundShape:
    """Lay out memory for these symbol values and record the plan; checks all limits first.

    `share` False gives every tensor memory of its own, so that all of them can be read afterwards.
    """
    plan = pack.plan
    bindings = {s.id: v for s, v in zip(plan.symbols, values, strict=True)}
    for tensor in plan.tensors:
        evaluate_shape(tensor.shape, bindings)
    sizes = tensor_bytes(plan, bindings)
    outputs = tuple(evaluate_shape(p.shape, bindings) for p in plan.outputs)
    _check_ports(plan, bindings, sizes)
    _check_bindings(plan, sizes, device.info)
    used = {s.problem: kernels.problems[s.problem] for s in plan.steps}
    grids = {j: _grid(k, bindings, device.info) for j, k in used.items()}
    costs = {j: evaluate_shape([k.work], bindings)[0] / OPERATIONS_PER_MS for j, k in used.items()}
    placed = place(plan, bindings)
    moved = memory.reserve(sizes, placed.peak, share, weights.total)
    uniform = device.allocate(max(16, -(-len(values) // 4) * 16), "symbols")
    device.upload(uniform, 0, memoryview(struct.pack(f"<{len(values)}i", *values).ljust(16, b"\0")))

    def where(index: int, packer: int | None = None) -> Slice:
        if plan.tensors[index].home is Home.CONSTANT:
            return weights.of(index, packer)
        if share and plan.tensors[index].home is Home.ARENA:
            assert memory.arena is not None
            return Slice(memory.arena, placed.offsets[index], binding_size(sizes[index]))
        return Slice(memory.buffers[index], 0, binding_size(sizes[index]))

    dispatches = [
        Dispatch(
            used[step.problem].pipeline,
            (
                *(where(t, used[step.problem].panels.get(j)) for j, t in enumerate(step.inputs)),
                *(where(t) for t in step.outputs),
            ),
            grids[step.problem],
            costs[step.problem],
            len(step.outputs),
        )
        for step in plan.steps
        if 0 not in grids[step.problem]
    ]
    recording = device.record(dispatches, uniform)
    reads = {
        p.tensor: -(-sizes[p.tensor] // 4) * 4
        for p in plan.outputs
        if plan.tensors[p.tensor].home is Home.OUTPUT
    }
    return BoundShape(bindings, sizes, recording, uniform, reads, outputs, moved)


def _check_ports(plan: Plan, bindings: Mapping[str, int], sizes: Mapping[int, int]) -> None:
    for port in (*plan.inputs, *plan.outputs):
        shape = evaluate_shape(port.shape, bindings)
        count = dims.product(shape)
        assert isinstance(count, int)
        if count * plan.tensors[port.tensor].dtype.storage.bytes != sizes[port.tensor]:
            raise PackError(f"{port.name!r} and its tensor differ in size; pack the model again")


def _check_bindings(plan: Plan, sizes: Mapping[int, int], info: DeviceInfo) -> None:
    most = info.limits.max_storage_buffer_binding_size
    for step in plan.steps:
        for tensor in (*step.inputs, *step.outputs):
            if binding_size(sizes[tensor]) > most:
                raise DeviceError(
                    f"{step.node}: a tensor of {sizes[tensor]} bytes passes what {info.adapter}"
                    f" binds at once, {most}; try smaller inputs"
                )


def _grid(kernel: Kernel, bindings: Mapping[str, int], info: DeviceInfo) -> tuple[int, int, int]:
    x, y, z = evaluate_shape(kernel.grid, bindings)
    most = info.limits.max_compute_workgroups_per_dimension
    if max(x, y, z) > most:
        raise DeviceError(
            f"kernel {kernel.name} needs {x} × {y} × {z} workgroups,"
            f" {info.adapter} has at most {most} a dimension; try smaller inputs"
        )
    return x, y, z
