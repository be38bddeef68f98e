"""What a session makes when it first sees an input shape: memory laid out, dispatches recorded."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from webrt import dims
from webrt.errors import DeviceError, PackError, ShapeError
from webrt.pack.format import Pack
from webrt.plan.memory import Lives, place_epoch
from webrt.plan.plan import Flow, Home, Loop, Plan, Run, Step
from webrt.runtime.bind import evaluate_dim, evaluate_shape
from webrt.runtime.device import Buffer, Device, DeviceInfo, Dispatch, Recording, Slice
from webrt.runtime.kernels import Kernel, Kernels
from webrt.runtime.memory import Memory, Weights, binding_size

OPERATIONS_PER_MS = 2e6
"""A slow software adapter's speed (2026-11): what a kernel's `work` is divided by for its cost."""

MAX_DISPATCHES = 1 << 18
"""In one recording: a loop's turns are recorded one after the other."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The tensors of one epoch under the symbols' values: bytes of each, offsets in the arena.

    `uniform` holds the symbols for the kernels that are dispatched in the epoch.
    """

    bindings: dict[str, int]
    shapes: dict[int, tuple[int, ...]]
    sizes: dict[int, int]
    offsets: dict[int, int]
    uniform: Buffer


class Placed:
    """All that is laid out at one point of a run: sizes and places of tensors, turns of loops."""

    def __init__(self, plan: Plan, memory: Memory, weights: Weights, share: bool) -> None:
        self.plan = plan
        self.memory = memory
        self.weights = weights
        self.share = share
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.sizes: dict[int, int] = {}
        self.places: dict[int, tuple[int, int]] = {}
        self.turns: dict[int, int] = {}
        self.bindings: dict[str, int] = {}

    def add(self, epoch: int, layout: Layout) -> None:
        self.shapes |= layout.shapes
        self.sizes |= layout.sizes
        self.places |= {t: (epoch, offset) for t, offset in layout.offsets.items()}
        self.bindings = dict(layout.bindings)

    def where(self, index: int, packer: int | None = None) -> Slice:
        """What a step binds as a tensor; raises PackError for a window that doesn't fit."""
        tensor = self.plan.tensors[index]
        if tensor.home is Home.CONSTANT:
            return self.weights.of(index, packer)
        if tensor.window is not None:
            return self._slot(index)
        size = binding_size(self.sizes[index])
        if self.share and tensor.home is Home.ARENA:
            epoch, offset = self.places[index]
            return Slice(self.memory.arenas[epoch], offset, size)
        return Slice(self.memory.buffers[index], 0, size)

    def _slot(self, index: int) -> Slice:
        tensor = self.plan.tensors[index]
        assert tensor.window is not None
        ring = self.plan.tensors[tensor.window.ring]
        slots, pitch = evaluate_shape(ring.shape, self.bindings)
        (size,) = evaluate_shape([tensor.bytes], self.bindings)
        (shift,) = evaluate_shape([tensor.window.shift], self.bindings)
        step = pitch * ring.dtype.storage.bytes
        if not slots or step % 256 or binding_size(size) > step:
            raise PackError(
                f"tensor {index}: {size} bytes are no slot of {slots} of {step} bytes; pack again"
            )
        turn = 0 if tensor.window.loop is None else self.turns[tensor.window.loop]
        whole = self.where(tensor.window.ring)
        offset = (shift + turn) % slots * step
        return Slice(whole.buffer, whole.offset + offset, binding_size(size))


def lay_out(
    pack: Pack,
    device: Device,
    placed: Placed,
    epoch: int,
    lives: Lives,
    touched: Sequence[int],
    bindings: Mapping[str, int],
) -> tuple[Layout, bool]:
    """Make room for the tensors of one epoch; returns whether older recordings are void by that.

    `touched` are all of them but constants and windows; `lives` those in the arena.
    """
    plan = pack.plan
    shapes = {t: evaluate_shape(plan.tensors[t].shape, bindings) for t in touched}
    sizes = {t: math.prod(shapes[t]) * plan.tensors[t].dtype.storage.bytes for t in touched}
    _check_ports(plan, bindings, sizes)
    _check_bindings(plan, sizes, device.info)
    arena = place_epoch(plan, lives, bindings)
    memory = placed.memory
    moved = memory.reserve(epoch, sizes, arena.peak, placed.share, placed.weights.total)
    values = [bindings.get(s.id, 0) for s in plan.symbols]
    uniform = device.allocate(max(16, -(-len(values) // 4) * 16), "symbols")
    device.upload(uniform, 0, memoryview(struct.pack(f"<{len(values)}i", *values).ljust(16, b"\0")))
    return Layout(dict(bindings), shapes, sizes, arena.offsets, uniform), moved


def record(
    pack: Pack,
    device: Device,
    placed: Placed,
    kernels: Kernels,
    flow: Flow,
    loops: Mapping[Loop, int],
    uniform: Buffer,
) -> Recording:
    """The dispatches of runs and counted loops, at these symbols' values and turns of loops."""
    recorder = Recorder(pack, device, placed, kernels, loops)
    return device.record([dispatch for _, dispatch in recorder.flow(flow)], uniform)


class Recorder:
    """The dispatches of a flow, one after the other, each with the number of its step."""

    def __init__(
        self,
        pack: Pack,
        device: Device,
        placed: Placed,
        kernels: Kernels,
        loops: Mapping[Loop, int],
    ) -> None:
        self.plan = pack.plan
        self.info = device.info
        self.placed = placed
        self.kernels = kernels
        self.loops = loops
        self.count = 0
        self._bound: dict[int, tuple[tuple[int, int, int], float]] = {}
        self._fixed: dict[int, Dispatch] = {}

    def flow(self, flow: Flow) -> Iterator[tuple[int, Dispatch]]:
        for item in flow:
            if isinstance(item, Run):
                for index in range(item.first, item.end):
                    dispatch = self.dispatch(index)
                    if 0 not in dispatch.grid:
                        self.count += 1
                        yield index, dispatch
            elif isinstance(item, Loop):
                number = self.loops[item]
                for turn in range(turns_of(item, self.placed.bindings)):
                    self.placed.turns[number] = turn
                    yield from self.flow(item.body)
                    if self.count > MAX_DISPATCHES:
                        raise DeviceError(
                            f"{item.node}: passes {MAX_DISPATCHES} dispatches; try smaller inputs"
                        )

    def dispatch(self, index: int) -> Dispatch:
        """The dispatch of a step, the same in every turn where it touches no window."""
        if index in self._fixed:
            return self._fixed[index]
        step = self.plan.steps[index]
        kernel = self.kernels.problems[step.problem]
        grid, cost = self._grid(step.problem, kernel)
        reads = [self.placed.where(t, kernel.panels.get(j)) for j, t in enumerate(step.inputs)]
        writes = [self.placed.where(t) for t in step.outputs]
        self._check(step, reads, writes)
        made = Dispatch(kernel.pipeline, (*reads, *writes), grid, cost, len(writes))
        if not any(self._turning(t) for t in (*step.inputs, *step.outputs)):
            self._fixed[index] = made
        return made

    def _turning(self, tensor: int) -> bool:
        window = self.plan.tensors[tensor].window
        return window is not None and window.loop is not None

    def _grid(self, problem: int, kernel: Kernel) -> tuple[tuple[int, int, int], float]:
        if problem not in self._bound:
            bindings = self.placed.bindings
            (work,) = evaluate_shape([kernel.work], bindings)
            grid = _grid(kernel, bindings, self.info)
            self._bound[problem] = grid, work / OPERATIONS_PER_MS
        return self._bound[problem]

    def _check(self, step: Step, reads: Sequence[Slice], writes: Sequence[Slice]) -> None:
        rings = [t for t in (*step.inputs, *step.outputs) if self.plan.tensors[t].window]
        if rings and len({(s.buffer, s.offset) for s in writes}) < len(writes):
            raise PackError(f"{step.node}: writes one slot twice; pack the model again")
        if rings and any(
            w.buffer is r.buffer and w.offset == r.offset for w in writes for r in reads
        ):
            raise PackError(f"{step.node}: reads the slot that it writes; pack the model again")


def turns_of(loop: Loop, bindings: Mapping[str, int]) -> int:
    """How many turns a counted loop takes; raises ShapeError for more than it may."""
    assert loop.trips is not None
    trips = evaluate_dim(loop.trips, bindings)
    if trips > loop.most:
        raise ShapeError(f"{loop.node}: {trips} turns pass the {loop.most} that it may take")
    return max(trips, 0)


def _check_ports(plan: Plan, bindings: Mapping[str, int], sizes: Mapping[int, int]) -> None:
    for port in (*plan.inputs, *plan.outputs):
        if port.tensor in sizes:
            (count,) = evaluate_shape([dims.product(port.shape)], bindings)
            if count * plan.tensors[port.tensor].dtype.storage.bytes != sizes[port.tensor]:
                raise PackError(
                    f"{port.name!r} and its tensor differ in size; pack the model again"
                )


def _check_bindings(plan: Plan, sizes: Mapping[int, int], info: DeviceInfo) -> None:
    most = info.limits.max_storage_buffer_binding_size
    large = {t for t, size in sizes.items() if binding_size(size) > most}
    for step in plan.steps if large else ():
        for tensor in (*step.inputs, *step.outputs):
            if tensor in large:
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
