"""Tries schedules of one problem on a device: generate, compile, validate, time."""

from __future__ import annotations

import math
import struct
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from webrt import dims
from webrt.dtypes import DType
from webrt.errors import CompileError, DeviceError, DeviceLostError
from webrt.kernel.problem import Problem
from webrt.runtime.device import Buffer, Device, DeviceInfo, Dispatch, Pipeline, Recording, Slice
from webrt.runtime.kernels import Candidate
from webrt.runtime.memory import aligned, binding_size
from webrt.runtime.timing import Timer
from webrt.tune.candidate import default_candidate
from webrt.tune.data import Noise, difference, poison

GLANCE_MS, GLANCES, ROUNDS = 4.0, 64, 5
"""What a pass of a glance should take, the most dispatches in it, and how many passes."""


Compiled = tuple[Candidate, Sequence[Pipeline]]


class RejectedError(Exception):
    """A candidate can't be served; the message is why."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A candidate compiled, its constants laid out, and one dispatch of it."""

    candidate: Candidate
    pipelines: tuple[Pipeline, ...]
    dispatch: Dispatch
    own: tuple[Buffer, ...]  # its panels


class Trials:
    """Buffers, random operands and the reference's results of one problem at one shape.

    Buffers are this object's until `close`. Every method may raise DeviceLostError.
    """

    def __init__(
        self,
        device: Device,
        problem: Problem,
        bindings: Mapping[str, int],
        seed: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.device = device
        self.problem = problem
        self.bindings = dict(bindings)
        self._buffers: list[Buffer] = []
        noise = Noise(seed)
        self._operands = []
        for operand in problem.operands:
            count = dims.evaluate(operand.size, self.bindings)
            made = self._allocate(operand.dtype.storage.bytes * count)
            self._upload(made, noise.fill(operand.dtype, count))
            self._operands.append(made)
        sizes = [dims.evaluate(output.size, self.bindings) for output in problem.outputs]
        self._sizes = sizes
        self._dtypes = [output.dtype for output in problem.outputs]
        lengths = [d.storage.bytes * n for d, n in zip(self._dtypes, sizes, strict=True)]
        self._wanted = [self._allocate(length) for length in lengths]
        self._found = [self._allocate(length) for length in lengths]
        self._symbols = self._allocate(4 * (1 + max(map(_number, self.bindings), default=0)))
        table = [0] * (1 + max(map(_number, self.bindings), default=0))
        for name, value in self.bindings.items():
            table[_number(name)] = value
        self._upload(self._symbols, struct.pack(f"<{len(table)}i", *table))
        self.timer = Timer(device, self._symbols.buffer, clock)
        self._compared: list[tuple[Recording, Buffer, int]] = []
        self._reference: Compiled | None = None
        self._best: Ready | None = None
        self._best_ms = math.inf

    @property
    def held_bytes(self) -> int:
        """What its buffers hold."""
        return sum(buffer.size for buffer in self._buffers)

    @property
    def best(self) -> Compiled | None:
        """What challengers have to beat."""
        return None if self._best is None else (self._best.candidate, self._best.pipelines)

    async def defend(self, best: Compiled, ms: float) -> None:
        """From now on, candidates are timed beside this one, which takes so many milliseconds."""
        self._best, self._best_ms = self._bound(*best, self._found), ms
        self._once(self._best.dispatch)

    async def set_reference(self, candidate: Candidate) -> None:
        """Compute the results that candidates are held to."""
        ready = await self.ready(candidate, self._wanted)
        self._reference = candidate, ready.pipelines
        self._poison(self._wanted)
        self._once(ready.dispatch)
        await self.timer.settle()
        self._free(ready.own)

    async def ready(self, candidate: Candidate, outputs: Sequence[Slice]) -> Ready:
        """Compile a candidate and bind it; raises RejectedError where the device refuses it."""
        return self._bound(*await self.compiled(candidate), outputs)

    async def compiled(self, candidate: Candidate) -> Compiled:
        """A candidate's pipelines; raises RejectedError where the device refuses it."""
        if self._reference is not None and self._reference[0] is candidate:
            return self._reference
        codes = [candidate.code, *(p.code for p in candidate.panels)]
        try:
            return candidate, await self.device.compile(codes)
        except DeviceLostError:
            raise
        except (CompileError, DeviceError) as error:
            raise RejectedError(f"it doesn't compile: {error}") from error

    def _bound(
        self, candidate: Candidate, pipelines: Sequence[Pipeline], outputs: Sequence[Slice]
    ) -> Ready:
        kernel, *packers = pipelines
        operands = list(self._operands)
        own: list[Buffer] = []
        for panel, packer in zip(candidate.panels, packers, strict=True):
            made = self._allocate(panel.bytes)
            own.append(made.buffer)
            packing = Dispatch(packer, (operands[panel.operand], made), (panel.units, 1, 1))
            self._once(packing)
            operands[panel.operand] = made
        x, y, z = (dims.evaluate(size, self.bindings) for size in candidate.grid)
        dispatch = Dispatch(kernel, (*operands, *outputs), (x, y, z), outputs=len(outputs))
        return Ready(candidate, tuple(pipelines), dispatch, tuple(own))

    async def attempt(self, candidate: Candidate) -> float:
        """Milliseconds a dispatch, of a candidate that gives the reference's results.

        Raises RejectedError where it doesn't. It is timed in turns with the best so far, and its
        time is told beside that one's: a device's speed changes from trial to trial. Who wins has
        to win twice: of fifty that are equally fast, one always seems to be faster.
        """
        ready = await self.ready(candidate, self._found)
        loser: Ready | None = ready
        try:
            await self._validate(ready)
            if self._best is None:
                ms = await self.timer.dispatch(ready.dispatch)
            else:
                turns = ready.dispatch, self._best.dispatch
                ratio = await self.timer.ratio(*turns)
                if ratio < 1:
                    ratio = max(ratio, await self.timer.ratio(*turns))
                ms = self._best_ms * ratio
            if ms < self._best_ms:
                loser, self._best, self._best_ms = self._best, ready, ms
            return ms
        finally:
            self._free(() if loser is None else loser.own)

    async def glance(self, candidates: Sequence[Candidate]) -> list[float]:
        """Milliseconds a dispatch of each, whatever it computes: nothing timed so may be served.

        They are timed in turns, and the least counts: a device may be busy. Infinity stands for one
        that the device refuses.
        """
        made = [await self._ready_or_none(candidate) for candidate in candidates]
        found = [math.inf] * len(made)
        alone = [self._recorded(ready, 1) for ready in made]
        for _ in range(2):  # the first time, drivers compile
            single = [await self.timer.once(r) for r in alone if r is not None]
        repeats = max(1, min(GLANCES, round(GLANCE_MS / max(min(single, default=1.0), 1e-3))))
        many = [self._recorded(ready, repeats) for ready in made]
        empty = math.inf
        for _ in range(ROUNDS):
            empty = min(empty, await self.timer.once(None))
            for j, recording in enumerate(many):
                if recording is not None:
                    found[j] = min(found[j], await self.timer.once(recording))
        found = [max(ms - empty, 1e-3) / repeats for ms in found]
        for recording in (*alone, *many):
            if recording is not None:
                self.device.discard(recording)
        for ready in made:
            self._free(() if ready is None else ready.own)
        return found

    async def _ready_or_none(self, candidate: Candidate) -> Ready | None:
        try:
            return await self.ready(candidate, self._found)
        except RejectedError:
            return None

    def _recorded(self, ready: Ready | None, times: int) -> Recording | None:
        if ready is None:
            return None
        return self.device.record([ready.dispatch] * times, self._symbols.buffer)

    async def validate(self, candidate: Candidate) -> None:
        """Hold a candidate to the reference's results; raises RejectedError where they differ."""
        ready = await self.ready(candidate, self._found)
        try:
            await self._validate(ready)
        finally:
            self._free(ready.own)

    async def _validate(self, ready: Ready) -> None:
        self._poison(self._found)
        self._once(ready.dispatch)
        wrong = await self._count_differences()
        if wrong:
            raise RejectedError(f"{wrong} of {sum(self._sizes)} results are wrong")

    async def _count_differences(self) -> int:
        if not self._compared:
            for output, wanted, found, size in zip(
                self.problem.outputs, self._wanted, self._found, self._sizes, strict=True
            ):
                if size:
                    await self._prepare_comparison(output.dtype, size, found, wanted)
        for recording, _, _ in self._compared:
            self.device.replay(recording)
        raws = await self.device.read_many([(b, aligned(4 * n)) for _, b, n in self._compared])
        counts = (array("i", raw)[:n] for raw, (_, _, n) in zip(raws, self._compared, strict=True))
        return sum(map(sum, counts))

    async def _prepare_comparison(
        self, dtype: DType, size: int, found: Slice, wanted: Slice
    ) -> None:
        candidate, rows = _comparison(dtype, size, self.device.info)
        (pipeline,) = await self.device.compile([candidate.code])
        counts = self._allocate(4 * rows)
        x, y, z = (dims.evaluate(extent, {}) for extent in candidate.grid)
        dispatch = Dispatch(pipeline, (found, wanted, counts), (x, y, z))
        recording = self.device.record([dispatch], self._symbols.buffer)
        self._compared.append((recording, counts.buffer, rows))

    def _once(self, dispatch: Dispatch) -> None:
        recording = self.device.record([dispatch], self._symbols.buffer)
        self.device.replay(recording)
        self.device.discard(recording)

    # Memory

    def _allocate(self, size: int) -> Slice:
        buffer = self.device.allocate(aligned(binding_size(size)), "a trial")
        self._buffers.append(buffer)
        return Slice(buffer, 0, binding_size(size))

    def _upload(self, place: Slice, data: bytes) -> None:
        if data:
            self.device.upload(place.buffer, 0, memoryview(data))

    def _poison(self, outputs: Sequence[Slice]) -> None:
        for place, dtype, size in zip(outputs, self._dtypes, self._sizes, strict=True):
            self._upload(place, poison(dtype, size))

    def _free(self, buffers: Sequence[Buffer]) -> None:
        for buffer in buffers:
            self._buffers.remove(buffer)
            self.device.free(buffer)

    def close(self) -> None:
        """Give everything back."""
        for recording, _, _ in self._compared:
            self.device.discard(recording)
        self._free(tuple(self._buffers))


@lru_cache
def _comparison(dtype: DType, size: int, info: DeviceInfo) -> tuple[Candidate, int]:
    """What compares results, and the rows of its output; every problem of a size shares it."""
    problem = difference(dtype, size)
    return default_candidate(problem, info), dims.evaluate(problem.outputs[0].size, {})


def _number(symbol: str) -> int:
    return int(symbol[1:])
