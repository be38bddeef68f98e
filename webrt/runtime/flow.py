"""Runs a plan's flow: recordings replayed one after the other, and what the host decides between.

A plan without a flow is one recording. `web/flow.js` is this file in JavaScript.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union, assert_never

from webrt.errors import PackError, ShapeError
from webrt.pack.format import Pack
from webrt.plan.flow import Outline, Span, items_of, tensors_of
from webrt.plan.memory import Lives, lifetimes
from webrt.plan.plan import Branch, Flow, Home, HostStep, Loop, Need, Plan, Run
from webrt.runtime import host
from webrt.runtime.bind import evaluate_dim, evaluate_shape
from webrt.runtime.device import Device, Recording
from webrt.runtime.kernels import Kernels
from webrt.runtime.memory import Memory, Weights
from webrt.runtime.shape import Layout, Placed, Recorder, lay_out, record

MAX_SHAPES = 32
"""Shapes of inputs whose recordings are kept; the one not used for longest goes first."""
MAX_KEPT = 1024
"""Recordings of one shape of inputs: what the host decides may differ from run to run."""


@dataclass(frozen=True, slots=True, eq=False)
class Straight:
    """Runs and counted loops of one recording; `turns` are the loops around that matter to it."""

    items: Flow
    epoch: int
    turns: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stop:
    """Where the host decides; `parts` are its branches or its body."""

    item: HostStep | Branch | Loop | Need
    span: Span
    parts: tuple[tuple[Part, ...], ...]


Part = Union[Straight, Stop]


class Route:
    """A plan's flow cut into parts, with the tensors of each epoch: what depends on no shape."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loops = {loop: j for j, loop in enumerate(_loops(plan.items))}
        outline = Outline(plan)
        self.lives: dict[int, Lives] = lifetimes(plan)
        self.touched: dict[int, list[int]] = {epoch: [] for epoch in self.lives}
        outside = (Home.CONSTANT, Home.WINDOW)
        lives = outline.lives()
        for index, tensor in enumerate(plan.tensors):
            if tensor.home not in outside:
                epoch = outline.epochs[lives[index][0]] if index in lives else 0
                self.touched[0 if tensor.home is Home.INPUT else epoch].append(index)
        self._spans = outline.spans
        self.parts = self._parts(plan.items, 0)
        self.stops = any(isinstance(p, Stop) for p in self.parts)

    def _parts(self, flow: Flow, epoch: int) -> tuple[Part, ...]:
        """The parts of a flow that begins in `epoch`."""
        parts: list[Part] = []
        straight: list[Run | Loop] = []
        for item in flow:
            if isinstance(item, Run) or (isinstance(item, Loop) and _is_counted(item)):
                straight.append(item)
                continue
            if straight:
                parts.append(self._straight(tuple(straight), epoch))
                straight.clear()
            stop = self._stop(item)
            parts.append(stop)
            epoch = stop.span.after
        if straight:
            parts.append(self._straight(tuple(straight), epoch))
        return tuple(parts)

    def _straight(self, items: Flow, epoch: int) -> Straight:
        windows = [self.plan.tensors[t].window for t in tensors_of(self.plan, items)]
        inside = {self.loops[loop] for loop in _loops(items)}
        turns = {w.loop for w in windows if w is not None and w.loop is not None} - inside
        return Straight(items, epoch, tuple(sorted(turns)))

    def _stop(self, item: HostStep | Branch | Loop | Need) -> Stop:
        span = self._spans[id(item)]
        flows: tuple[Flow, ...] = ()
        if isinstance(item, Branch):
            flows = item.then, item.other
        elif isinstance(item, Loop):
            flows = (item.body,)
        parts = (self._parts(f, e) for f, e in zip(flows, span.begins, strict=True))
        return Stop(item, span, tuple(parts))


def _loops(flow: Flow) -> Iterator[Loop]:
    return (item for item in items_of(flow) if isinstance(item, Loop))


def _is_counted(loop: Loop) -> bool:
    """Whether a loop can be recorded: the host decides nothing in it."""
    return (
        loop.condition is None
        and loop.symbol is None
        and all(isinstance(i, Run) or (isinstance(i, Loop) and _is_counted(i)) for i in loop.body)
    )


@dataclass(slots=True)
class Shape:
    """What was made for one shape of the inputs."""

    kernels: Kernels
    layouts: dict[tuple[int, tuple[int, ...]], Layout] = field(default_factory=dict)
    recordings: dict[tuple[Straight, tuple[int, ...], tuple[int, ...]], Recording] = field(
        default_factory=dict
    )


Observer = Callable[[int, Placed], Awaitable[None]]
"""Gets a step's number when the device has been told to run it, and where everything is then."""


class Runner:
    """Runs a pack's plan on a device; `share` False gives every tensor memory of its own.

    With `observe`, every step is queued by itself, and `observe` waited for after it.
    """

    def __init__(
        self,
        pack: Pack,
        device: Device,
        weights: Weights,
        share: bool = True,
        observe: Observer | None = None,
    ) -> None:
        self.plan = pack.plan
        self.route = Route(pack.plan)
        self.memory = Memory(pack.plan, device)
        self._pack = pack
        self._device = device
        self._weights = weights
        self._share = share
        self._observe = observe
        self._shapes: OrderedDict[tuple[int, ...], Shape] = OrderedDict()
        self._turn = asyncio.Lock()

    def shape(self, values: tuple[int, ...], kernels: Kernels) -> Shape:
        """What belongs to these values of the given symbols."""
        shape = self._shapes.get(values)
        if shape is None:
            shape = self._shapes[values] = Shape(kernels)
            if len(self._shapes) > MAX_SHAPES:
                self._free(self._shapes.popitem(last=False)[1])
        self._shapes.move_to_end(values)
        if len(shape.recordings) > MAX_KEPT or len(shape.layouts) > MAX_KEPT:
            self._free(shape)
        return shape

    def drop(self, values: tuple[int, ...]) -> None:
        """Forget a shape: other kernels serve it from now on."""
        shape = self._shapes.pop(values, None)
        if shape is not None:
            self._free(shape)

    async def run(
        self, values: tuple[int, ...], kernels: Kernels, inputs: Mapping[int, memoryview]
    ) -> Placed:
        """Run once with the tensors `inputs` uploaded; returns where everything is afterwards."""
        if not self.route.stops:  # everything is queued at once: runs may overlap
            return await self._run(values, kernels, inputs)
        async with self._turn:
            return await self._run(values, kernels, inputs)

    async def _run(
        self, values: tuple[int, ...], kernels: Kernels, inputs: Mapping[int, memoryview]
    ) -> Placed:
        placed = self.bound(values, kernels)
        for tensor, data in inputs.items():
            if data.nbytes:
                self._device.upload(self.memory.buffers[tensor], 0, data)
        await self._parts(self.route.parts, self._shapes[values], placed, inputs)
        return placed

    def bound(self, values: tuple[int, ...], kernels: Kernels) -> Placed:
        """What is laid out where a run begins."""
        placed = Placed(self.plan, self.memory, self._weights, self._share)
        bindings = dict(zip(self.plan.given, values, strict=True))
        self._enter(0, self.shape(values, kernels), placed, bindings)
        if not self.route.stops:
            for part in self.route.parts:
                assert isinstance(part, Straight)
                self._recording(part, self._shapes[values], placed)
        return placed

    def _enter(self, epoch: int, shape: Shape, placed: Placed, bindings: Mapping[str, int]) -> None:
        """Lay out an epoch's tensors, as soon as the symbols that it begins with have values."""
        key = epoch, self._values(bindings)
        if key not in shape.layouts:
            try:
                shape.layouts[key], moved = lay_out(
                    self._pack, self._device, placed, epoch, self.route.lives[epoch],
                    self.route.touched[epoch], bindings,
                )  # fmt: skip
            except BaseException:
                self.free()  # some buffers may have been replaced
                raise
            if moved:  # older recordings name the old buffers
                self._drop_recordings()
        placed.add(epoch, shape.layouts[key])

    def _values(self, bindings: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(bindings.get(s.id, 0) for s in self.plan.symbols)

    def _recording(self, part: Straight, shape: Shape, placed: Placed) -> Recording:
        values = self._values(placed.bindings)
        key = part, values, tuple(placed.turns[loop] for loop in part.turns)
        if key not in shape.recordings:
            shape.recordings[key] = record(
                self._pack, self._device, placed, shape.kernels, part.items, self.route.loops,
                shape.layouts[part.epoch, values].uniform,
            )  # fmt: skip
        return shape.recordings[key]

    async def _step_by_step(
        self, part: Straight, shape: Shape, placed: Placed, observe: Observer
    ) -> None:
        uniform = shape.layouts[part.epoch, self._values(placed.bindings)].uniform
        loops = self.route.loops
        recorder = Recorder(self._pack, self._device, placed, shape.kernels, loops)
        for step, dispatch in recorder.flow(part.items):
            recording = self._device.record([dispatch], uniform)
            self._device.replay(recording)
            await observe(step, placed)
            self._device.discard(recording)

    async def _parts(
        self,
        parts: Sequence[Part],
        shape: Shape,
        placed: Placed,
        inputs: Mapping[int, memoryview],
    ) -> None:
        for part in parts:
            if isinstance(part, Straight) and self._observe is not None:
                await self._step_by_step(part, shape, placed, self._observe)
                continue
            if isinstance(part, Straight):
                self._device.replay(self._recording(part, shape, placed))
                continue
            before = dict(placed.bindings)
            bound: dict[str, int] = {}
            match part.item:
                case HostStep():
                    results = await self._host(part.item, placed, inputs)
                    bound = {
                        n: size + 1
                        for n, size in zip(part.item.symbols, results.sizes, strict=True)
                    }
                case Branch():
                    chosen = await self._holds(part.item.condition, placed, inputs)
                    bound = {
                        name: evaluate_dim(then if chosen else other, before)
                        for name, then, other in part.item.bound
                    }
                    self._check_bound(bound, part.item.node)
                    before |= bound
                    first, second = part.span.begins
                    if bound:
                        self._enter(first, shape, placed, before)
                    if not chosen and second != first:
                        self._enter(second, shape, placed, before)
                    await self._parts(part.parts[0 if chosen else 1], shape, placed, inputs)
                case Loop():
                    turns = await self._loop(part, shape, placed, inputs)
                    if part.item.symbol is not None:
                        bound = {part.item.symbol: turns + 1}
                case Need(left, right, node):
                    found = [evaluate_dim(d, before) for d in (left, right)]
                    if found[0] != found[1]:
                        raise ShapeError(
                            f"{node}: expected {found[1]}, found {found[0]} ({left}) at this input"
                            " shape"
                        )
                case _:
                    assert_never(part.item)
            self._check_bound(bound, part.item.node)
            placed.bindings = before | bound
            if part.span.enters:
                self._enter(part.span.after, shape, placed, placed.bindings)
            if isinstance(part.item, HostStep):
                self._write(part.item, placed, results.arrays)

    async def _loop(
        self, part: Stop, shape: Shape, placed: Placed, inputs: Mapping[int, memoryview]
    ) -> int:
        loop = part.item
        assert isinstance(loop, Loop)
        before = dict(placed.bindings)
        trips = None if loop.trips is None else evaluate_dim(loop.trips, before)
        turn = 0
        while trips is None or turn < trips:
            if loop.condition is not None and not await self._holds(loop.condition, placed, inputs):
                break
            if turn == loop.most:
                raise ShapeError(
                    f"{loop.node}: takes more than the {loop.most} turns that it may take"
                )
            placed.turns[self.route.loops[loop]] = turn
            placed.bindings = dict(before)
            await self._parts(part.parts[0], shape, placed, inputs)
            turn += 1
        return turn

    async def _read(
        self, tensors: Sequence[int], placed: Placed, inputs: Mapping[int, memoryview]
    ) -> list[memoryview]:
        """The bytes of inputs, which the host has, and of outputs, which it waits for."""
        fetched = [t for t in tensors if t not in inputs]
        sizes = [-(-placed.sizes[t] // 4) * 4 for t in fetched]
        buffers = [self.memory.buffers[t] for t in fetched]
        read = (
            await self._device.read_many(list(zip(buffers, sizes, strict=True))) if fetched else []
        )
        found = {t: memoryview(data) for t, data in zip(fetched, read, strict=True)}
        return [(found[t] if t in found else inputs[t])[: placed.sizes[t]] for t in tensors]

    async def _holds(
        self, condition: int, placed: Placed, inputs: Mapping[int, memoryview]
    ) -> bool:
        (data,) = await self._read([condition], placed, inputs)
        if data.nbytes < 4:
            raise ShapeError(f"tensor {condition}, a condition, holds no element")
        return any(data[:4])

    async def _host(
        self, step: HostStep, placed: Placed, inputs: Mapping[int, memoryview]
    ) -> host.Results:
        read = await self._read(step.inputs, placed, inputs)
        given = []
        for index, data in zip(step.inputs, read, strict=True):
            tensor = self.plan.tensors[index]
            shape = evaluate_shape(tensor.shape, placed.bindings)
            given.append(host.Given(tensor.dtype.storage, shape, data))
        return host.compute(step.op, dict(step.options), given, step.node)

    def _write(self, step: HostStep, placed: Placed, arrays: Sequence[host.Given]) -> None:
        for index, made in zip(step.outputs, arrays, strict=True):
            tensor = self.plan.tensors[index]
            if made.dtype is not tensor.dtype.storage or made.data.nbytes != placed.sizes[index]:
                raise PackError(
                    f"{step.node}: tensor {index} is {tensor.dtype} of {placed.sizes[index]} bytes,"
                    f" the host made {made.dtype} of {made.data.nbytes}; pack the model again"
                )
            where = placed.where(index)
            data = bytes(made.data) + bytes(-made.data.nbytes % 4)
            if data:
                self._device.upload(where.buffer, where.offset, memoryview(data))

    def _check_bound(self, bound: Mapping[str, int], node: str) -> None:
        most = {s.id: s.most for s in self.plan.symbols}
        for name, value in bound.items():
            if not 1 <= value <= most[name]:
                raise ShapeError(f"{node}: a size is {value - 1}, expected 0 to {most[name] - 1}")

    def _drop_recordings(self) -> None:
        for shape in self._shapes.values():
            for recording in shape.recordings.values():
                self._device.discard(recording)
            shape.recordings.clear()

    def _free(self, shape: Shape) -> None:
        for recording in shape.recordings.values():
            self._device.discard(recording)
        for layout in shape.layouts.values():
            self._device.free(layout.uniform)
        shape.recordings.clear()
        shape.layouts.clear()

    def forget(self) -> None:
        """Give the recordings of every shape back."""
        for shape in self._shapes.values():
            self._free(shape)
        self._shapes.clear()

    def free(self) -> None:
        """Give everything back but the weights."""
        self.forget()
        self.memory.free()
