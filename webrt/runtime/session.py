"""A model on a device: weights and pipelines held there, one recording for each shape seen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol, TypeVar

from webrt.errors import CompileError, DeviceError, DeviceLostError, UsageError
from webrt.pack.checks import read_checks
from webrt.pack.format import Pack
from webrt.pack.modules import check_file
from webrt.pack.read import check_shard
from webrt.plan.example import example_bindings
from webrt.plan.plan import Home, Plan
from webrt.runtime import arrays
from webrt.runtime.arrays import HostTensor
from webrt.runtime.bind import TensorInfo, bind, describe, evaluate_shape, listed_inputs
from webrt.runtime.device import Device, DeviceInfo, Pipeline
from webrt.runtime.explain import Explanation, Origin, explain, held, tuned_kernels
from webrt.runtime.flow import Runner
from webrt.runtime.kernels import Candidate, Kernel, Kernels
from webrt.runtime.load import Loaded, Opening, load, load_again
from webrt.runtime.memory import stored_bytes
from webrt.runtime.profile import KernelTime, measure
from webrt.runtime.shape import Placed
from webrt.runtime.source import Source
from webrt.runtime.sync import run_sync
from webrt.runtime.verify import Subject, Verdict, verify
from webrt.schedule import to_json

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """What loading reports: `stage` is `kernels`, then `weights`."""

    stage: str
    done: int
    total: int


class Attendant(Protocol):
    """Who follows a session's runs on the caller's thread, and ends with it."""

    def ran(self, feeds: Mapping[str, object]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Swapped:
    """A kernel that was swapped in, and what `explain` says of it."""

    bindings: Mapping[str, int]
    candidate: Candidate
    origin: Origin


class Session:
    """Runs one model. Made by `webrt.load` or `await webrt.load_async`; close it, or use `with`.

    Where its device is lost, it is loaded onto another one and the run under way is repeated, once:
    `recovered` counts that. `compiled_kernels` counts the kernels that were ever compiled: after
    loading it grows only by those that tuning swaps in, and by recovery.
    """

    def __init__(self, source: Source, loaded: Loaded, opening: Opening | None = None) -> None:
        self._source = source
        self._opening = opening
        self._lost: DeviceLostError | None = None  # why there is no device now
        self._recovering = asyncio.Lock()
        self.recovered = 0
        self.compiled_kernels = 0
        self.asked: str | None = None  # the device that `webrt.load` was asked for
        self._lock = threading.Lock()
        self._closed = False
        self.tuning: Attendant | None = None
        self._swapped: dict[tuple[tuple[int, ...], int], _Swapped] = {}
        self._take(loaded)
        plan = self._pack.plan
        self.inputs: tuple[TensorInfo, ...] = listed_inputs(plan)
        self.outputs: tuple[TensorInfo, ...] = tuple(describe(plan, p) for p in plan.outputs)

    def _take(self, loaded: Loaded) -> None:
        """Go on on a device, with the pack's own kernels."""
        self._pack, self._device, self._kernels = loaded.pack, loaded.device, loaded.kernels
        self._weights, self._float16 = loaded.weights, loaded.float16
        self._runner = Runner(loaded.pack, loaded.device, loaded.weights)
        self._tuned: dict[tuple[int, ...], dict[int, Kernel]] = {}
        self._packers = len(loaded.kernels.packers)
        self.compiled_kernels += loaded.kernels.compiled

    @classmethod
    async def open(
        cls,
        source: Source,
        device: Device,
        progress: Callable[[Progress], None] | None = None,
        opening: Opening | None = None,
    ) -> Session:
        """Load a pack onto `device`, which the session then owns; everything is checked first.

        `opening` is where another one comes from. Raises PackError for a pack that is not whole,
        DeviceError where the device can't hold it.
        """
        report = progress or (lambda _: None)
        loaded = await load(source, device, lambda *stands: report(Progress(*stands)))
        return cls(source, loaded, opening)

    @property
    def device_info(self) -> DeviceInfo:
        return self._device.info

    @property
    def device(self) -> Device:
        """The device: the tuner's trials run on it between two runs, under `lock`."""
        return self._device

    @property
    def lock(self) -> threading.Lock:
        """Held during a run; who uses the device otherwise holds it too."""
        return self._lock

    @property
    def adapter(self) -> str:
        """The adapter's name, for people."""
        return self._device.info.adapter

    @property
    def pack(self) -> Pack:
        """The manifest that this session runs: widened where the device lacks f16."""
        return self._pack

    @property
    def float16(self) -> str | None:
        """How a model of float16 runs: `native`, or `widened` to float32; None for others."""
        return self._float16

    def run(self, feeds: Mapping[str, object]) -> dict[str, Any]:
        """Outputs by name for inputs by name: NumPy arrays (`HostTensor`s where it isn't there).

        Labels that are strings come as arrays of objects.

        Raises ShapeError for feeds that don't fit, DeviceError and DeviceLostError from the device.
        """
        with self._lock:
            outputs = run_sync(self.run_async(feeds))
        if self.tuning is not None:
            self.tuning.ran(feeds)
        return outputs

    async def run_async(self, feeds: Mapping[str, object]) -> dict[str, Any]:
        """`run` without blocking. Runs may overlap: the device's queue keeps them in order."""
        outputs = await self._tensors(feeds)
        texts = {p.name: p.labels.texts for p in self._pack.plan.outputs}
        return {n: arrays.as_result(tensor, texts[n]) for n, tensor in outputs.items()}

    async def _tensors(self, feeds: Mapping[str, object]) -> dict[str, HostTensor]:
        return await self._execute(lambda: self._once(feeds))

    async def _execute(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something on the device, once more on another one where it is lost."""
        self._check_open()
        device, lost = self._device, self._lost
        if lost is None:
            try:
                return await work()
            except DeviceLostError as error:
                lost = error
            except DeviceError as error:
                if device is self._device and self._lost is None:
                    raise
                lost = DeviceLostError(str(error))  # another run gave the lost device back
        await self._recover(device, lost)
        return await work()

    async def _recover(self, device: Device, lost: DeviceLostError) -> None:
        """Load the pack once more, on a device that answers; raises DeviceLostError."""
        async with self._recovering:
            if self._device is not device:
                return  # another run has done it
            if self._opening is None:
                raise lost
            self._lost = lost
            device.close()
            loaded = await load_again(self._source, self._opening, lost, lambda: not self._closed)
            if self._closed:
                loaded.device.close()
                raise lost
            self._take(loaded)
            self._lost = None
            self.recovered += 1
            await self._swap_again(same=loaded.device.info == device.info)

    async def _swap_again(self, same: bool) -> None:
        """What was swapped in serves again where the device is of the `same` make."""
        if not same:
            self._swapped.clear()
        for (values, problem), known in list(self._swapped.items()):
            try:
                await self.swap(known.bindings, problem, known.candidate, origin=known.origin)
            except CompileError:
                del self._swapped[values, problem]  # the pack's own kernel serves

    async def _once(self, feeds: Mapping[str, object]) -> dict[str, HostTensor]:
        # What is meant is what there is now: another run may recover while this one waits.
        plan, device, runner, weights = self._pack.plan, self._device, self._runner, self._weights
        values, given = bind(plan, feeds)
        inputs = _stored(plan, given)
        wanted = {p.tensor for p in plan.outputs if plan.tensors[p.tensor].home is Home.OUTPUT}
        try:
            placed = await runner.run(values, self._kernels_at(values), inputs)
            read = await _read(device, runner, placed, sorted(wanted))
        except DeviceError:
            runner.free()  # nothing that was made for a failed run serves another one
            raise
        read |= {p.tensor: weights.kept[p.tensor] for p in plan.outputs if p.tensor in weights.kept}
        return _outputs(plan, placed.bindings, inputs, read)

    def trace(self, feeds: Mapping[str, object]) -> dict[int, Any]:
        """Run once with every tensor in memory of its own, and read them all: for `webrt check`.

        The result maps a tensor's index in the plan to its elements in their storage dtype.
        """
        with self._lock:
            return run_sync(self._execute(lambda: self._traced(feeds)))

    async def _traced(self, feeds: Mapping[str, object]) -> dict[int, Any]:
        plan = self._pack.plan
        values, given = bind(plan, feeds)
        runner = Runner(self._pack, self._device, self._weights, share=False)
        try:
            placed = await runner.run(values, self._kernels_at(values), _stored(plan, given))
            made = [t for s in plan.steps for t in s.outputs if t in runner.memory.buffers]
            made = [t for t in dict.fromkeys(made) if t in placed.sizes]
            raw = await _read(self._device, runner, placed, made)
        finally:
            runner.free()
        return {
            tensor: arrays.as_result(
                arrays.from_storage(plan.tensors[tensor].dtype, placed.shapes[tensor], raw[tensor])
            )
            for tensor in made
        }

    def profile(self, feeds: Mapping[str, object]) -> tuple[KernelTime, ...]:
        """Time each kernel of a run of these feeds by itself; what takes longest comes first.

        Raises ShapeError for feeds that don't fit, DeviceError and DeviceLostError from the device.
        """
        with self._lock:
            return run_sync(self._execute(lambda: self._profiled(feeds)))

    async def _profiled(self, feeds: Mapping[str, object]) -> tuple[KernelTime, ...]:
        plan = self._pack.plan
        values, _ = bind(plan, feeds)
        bindings = example_bindings(plan)  # for what only a run tells
        bindings |= zip(plan.given, values, strict=True)
        kernels, tuned = self._kernels_at(values), self._tuned.get(values, {})
        return await measure(self._pack, self._device, self._weights, kernels, bindings, tuned)

    def verify(self) -> Verdict:
        """Run the pack's check vectors on this device, with the kernels that serve now.

        Where an output is wrong, the first step that writes something wrong is named. Raises
        UsageError for a pack without vectors, PackError where they were altered.
        """
        with self._lock:
            return run_sync(self.verify_async())

    async def verify_async(self) -> Verdict:
        """`verify` without blocking."""
        return await self._execute(self._verified)

    async def _verified(self) -> Verdict:
        part = self._pack.checks
        if part is None:
            raise UsageError("this pack has no check vectors: pack with --check-inputs 2")
        data = await self._source.file(part)
        check_file(part, data, self._source.where)
        vectors = read_checks(data, self._pack.plan, f"{self._source.where}/{part.file}")
        return await verify(self.subject, vectors)

    @property
    def subject(self) -> Subject:
        """This session as check vectors are made of it, and held to it."""
        return Subject(
            self._pack, self._device, self._weights, self._float16 is not None, self._once,
            self._kernels_at, lambda values: tuple(self._tuned.get(values, ())),
        )  # fmt: skip

    def explain(self) -> Explanation:
        """Where the model runs and why, what it does without there, what memory it takes, which
        kernels serve; `print` it, or take `to_json()`.
        """
        self._check_open()
        pack, info = self._pack, self._device.info
        memory = held(pack, self._weights, self._runner.memory, info, self._kernels.scratch)
        changed = frozenset(problem for kernels in self._tuned.values() for problem in kernels)
        origins = {place: known.origin for place, known in self._swapped.items()}
        return explain(
            pack, info, self.asked, self._float16, memory, self.compiled_kernels,
            tuned_kernels(pack, self._tuned, origins), changed,
        )  # fmt: skip

    def _kernels_at(self, values: tuple[int, ...]) -> Kernels:
        """The kernels that serve these values of the symbols: the pack's, and those swapped in."""
        tuned = self._tuned.get(values)
        if not tuned:
            return self._kernels
        problems = tuple(tuned.get(j, k) for j, k in enumerate(self._kernels.problems))
        return replace(self._kernels, problems=problems)

    async def swap(
        self,
        bindings: Mapping[str, int],
        problem: int,
        candidate: Candidate,
        compiled: Sequence[Pipeline] = (),
        origin: Origin | None = None,
    ) -> None:
        """Serve `candidate` for a problem of the plan at these symbols' values, from now on.

        Other shapes keep the kernel they have. Raises CompileError or DeviceError; then nothing
        has changed. What it needs of the constants in another layout stays beside the pack's own.
        `compiled` is what the device made of the candidate's codes, where that was done before;
        `origin` is for `explain`.
        """
        self._check_open()
        plan = self._pack.plan
        values = tuple(bindings[name] for name in plan.given)
        codes = [candidate.code, *(p.code for p in candidate.panels)]
        pipeline, *packers = compiled or await self._device.compile(codes)
        numbers = {p.operand: self._packers + j for j, p in enumerate(candidate.panels)}
        for panel, packer in zip(candidate.panels, packers, strict=True):
            number = numbers[panel.operand]
            steps = [s for s in plan.steps if s.problem == problem]
            for index in dict.fromkeys(s.inputs[panel.operand] for s in steps):
                raw = await self._constant(index)
                self._weights.pack_constant(index, raw, {number: panel}, {number: packer})
        for step in plan.steps:
            if step.problem == problem:
                for operand, index in enumerate(step.inputs):
                    if self._weights.lacks(index) and operand not in numbers:
                        self._weights.keep(index, await self._constant(index))
        self._packers += len(packers)
        self.compiled_kernels += 1
        old = self._kernels.problems[problem]
        made = replace(
            old, pipeline=pipeline, grid=candidate.grid, panels=numbers,
            schedule=to_json(candidate.schedule),
        )  # fmt: skip
        self._tuned.setdefault(values, {})[problem] = made
        origin = origin or Origin("tuned in this session")
        self._swapped[values, problem] = _Swapped(dict(bindings), candidate, origin)
        self._runner.drop(values)

    async def _constant(self, index: int) -> memoryview:
        """A constant's bytes, read again from the pack and checked again."""
        place = self._pack.placements[index]
        data = await self._source.file(self._pack.shards[place.shard])
        check_shard(self._pack, place.shard, data, self._source.where)
        return stored_bytes(place, data)

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("the session is closed")

    def close(self) -> None:
        """Give the device's memory back; the session can't be used afterwards."""
        if self.tuning is not None:
            self.tuning.close()
        if not self._closed:
            self._closed = True
            self._device.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _stored(plan: Plan, given: Mapping[str, HostTensor]) -> dict[int, memoryview]:
    """The inputs' elements as the device stores them, by tensor."""
    return {
        p.tensor: arrays.to_storage(given[p.name], plan.tensors[p.tensor].dtype.storage)
        for p in plan.inputs
    }


async def _read(
    device: Device, runner: Runner, placed: Placed, tensors: Sequence[int]
) -> dict[int, bytes]:
    """The bytes of tensors that have buffers of their own, with one wait."""
    sizes = [-(-placed.sizes[t] // 4) * 4 for t in tensors]
    buffers = [runner.memory.buffers[t] for t in tensors]
    found = await device.read_many(list(zip(buffers, sizes, strict=True)))
    return dict(zip(tensors, found, strict=True))


def _outputs(
    plan: Plan,
    bindings: Mapping[str, int],
    inputs: Mapping[int, memoryview],
    read: Mapping[int, bytes],
) -> dict[str, HostTensor]:
    """Outputs in the model's dtypes; those that are inputs or constants are the host's."""
    outputs: dict[str, HostTensor] = {}
    for port in plan.outputs:
        raw = inputs[port.tensor] if port.tensor in inputs else read[port.tensor]
        storage = plan.tensors[port.tensor].dtype.storage
        shape = evaluate_shape(port.shape, bindings)
        outputs[port.name] = arrays.from_storage(port.dtype, shape, raw, storage)
    return outputs
