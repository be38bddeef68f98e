"""The CPU natively: wasm through wasmtime, on one thread or several over one shared memory.

It needs no driver. A module's code is compiled to machine code once, and instantiated once a
worker; all buffers lie in the modules' one memory, of at most 4 GiB, laid out by `heap.Heap`.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

from webrt.codegen import abi
from webrt.errors import CompileError, DeviceError, DeviceLostError
from webrt.runtime.device import (
    RELAXED_SIMD,
    Buffer,
    DeviceInfo,
    Dispatch,
    KernelCode,
    Limits,
    Pipeline,
    Recording,
    Slice,
    WasmCode,
)
from webrt.runtime.devices.wasmtime_workers import Crew, TrapError, one_line
from webrt.runtime.heap import Heap, HeapFullError
from webrt.runtime.waits import waits

MAX_THREADS = 16
LIMIT = (4 << 30) - abi.SLACK
"""Where the last buffer ends."""
RESERVED = 16 << 20
"""What programs, symbols and rounding may take beside the buffers that a session counts."""
_COUNT = (1 << 31) - 1


@dataclass(frozen=True, slots=True, eq=False)
class WasmBuffer:
    address: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class WasmPipeline:
    """The kernel's entry of the table that all workers' instances hold alike."""

    entry: int


@dataclass(frozen=True, slots=True, eq=False)
class WasmRecording:
    """The program and its steps' arguments; a run leaves them as they are."""

    memory: WasmBuffer
    steps: int


async def open_device(threads: int | None = None, relaxed: bool | None = None) -> WasmtimeDevice:
    """The CPU, on `threads` threads: as many as this process may use, at most 16, if not given.

    `relaxed` False does without relaxed SIMD; None uses it where the engine has it. Raises
    DeviceError where that can't be had.
    """
    threads = default_threads() if threads is None else threads
    if not 1 <= threads <= MAX_THREADS:
        raise DeviceError(f"{threads} threads: expected 1 to {MAX_THREADS}")
    try:
        crew = Crew(threads)
    except (ImportError, OSError) as error:
        raise DeviceError(f"wasmtime can't be loaded ({error}): pip install wasmtime") from error
    if relaxed is None:
        relaxed = crew.has_relaxed_simd()
    return WasmtimeDevice(crew, _info(threads, relaxed))


def default_threads() -> int:
    """The cores that this process may use: two hardware threads of a core share its vector unit."""
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:
        return max(1, min(MAX_THREADS, os.cpu_count() or 1))
    return max(1, min(MAX_THREADS, len({_core(cpu) for cpu in allowed})))


def _core(cpu: int) -> str:
    """What names the physical core of a hardware thread (Linux), or the thread itself."""
    try:
        with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as file:
            return file.read().strip() or str(cpu)
    except OSError:
        return str(cpu)


def _info(threads: int, relaxed: bool) -> DeviceInfo:
    simd = "relaxed SIMD" if relaxed else "SIMD"
    return DeviceInfo(
        kind="wasm",
        adapter=f"wasm ({simd}, {threads} thread{'' if threads == 1 else 's'}) in wasmtime",
        vendor=f"wasmtime {_version()}, {_processor()}",
        architecture=platform.machine(),
        adapter_class="cpu",
        features=(RELAXED_SIMD,) if relaxed else (),
        limits=Limits(
            max_buffer_size=LIMIT - abi.FIRST_ADDRESS,
            max_storage_buffer_binding_size=LIMIT - abi.FIRST_ADDRESS,
            max_storage_buffers_per_shader_stage=_COUNT,
            max_compute_workgroup_storage_size=_COUNT,
            max_compute_invocations_per_workgroup=1,
            max_compute_workgroup_size=(1, 1, 1),
            max_compute_workgroups_per_dimension=_COUNT,
            min_storage_buffer_offset_alignment=16,
            max_total_size=LIMIT - abi.FIRST_ADDRESS - RESERVED,
        ),
        threads=threads,
    )


def _version() -> str:
    """The engine's major version: its compiler is what a kernel's speed depends on."""
    return version("wasmtime").partition(".")[0]


@cache
def _processor() -> str:
    """The processor's name as it calls itself. A page isn't told it, nor are its records."""
    try:
        with open("/proc/cpuinfo") as file:
            named = next((line for line in file if line.startswith("model name")), "")
    except OSError:
        named = ""
    name = named.partition(":")[2].strip() or platform.processor() or platform.machine()
    return " ".join(name.split()) or "unknown processor"


class WasmtimeDevice:
    """`runtime.device.Device` on wasmtime; a replay is over when `replay` returns."""

    def __init__(self, crew: Crew, info: DeviceInfo) -> None:
        self.info = info
        self._crew = crew
        self._heap = Heap(abi.FIRST_ADDRESS, LIMIT)
        self._buffers: set[WasmBuffer] = set()
        self._scratch: list[WasmBuffer] = []
        self._lost = ""
        self._closed = False

    def allocate(self, size: int, label: str) -> WasmBuffer:
        self._check_open()
        touched = self._heap.peak
        try:
            address = self._heap.allocate(size)
        except HeapFullError as error:
            raise DeviceError(
                f"allocating {size} bytes for {label}: wasm has 4 GiB of memory,"
                f" {self._heap.end - abi.FIRST_ADDRESS} bytes are taken"
            ) from error
        try:
            self._crew.reserve(self._heap.end + abi.SLACK)
        except MemoryError as error:
            self._heap.free(address)
            raise DeviceError(f"allocating {size} bytes for {label}: {error}") from error
        if address < touched:  # memory that is new is zero
            ctypes.memset(self._crew.base() + address, 0, min(size, touched - address))
        buffer = WasmBuffer(address, size)
        self._buffers.add(buffer)
        return buffer

    def upload(self, buffer: Buffer, offset: int, data: memoryview) -> None:
        self._check_open()
        address = _address(buffer) + offset
        assert 0 <= offset <= offset + data.nbytes <= buffer.size, (offset, data.nbytes)
        self._write(address, data)

    def _write(self, address: int, data: memoryview) -> None:
        if data.nbytes:
            place = (ctypes.c_ubyte * data.nbytes).from_address(self._crew.base() + address)
            memoryview(place).cast("B")[:] = data.cast("B")

    async def read(self, buffer: Buffer, size: int) -> bytes:
        return (await self.read_many([(buffer, size)]))[0]

    async def read_many(self, requests: Sequence[tuple[Buffer, int]]) -> list[bytes]:
        self._check_open()
        base = self._crew.base()
        return [ctypes.string_at(base + _address(b), size) for b, size in requests]

    async def compile(
        self, kernels: Sequence[KernelCode], progress: Callable[[int, int], None] | None = None
    ) -> list[Pipeline]:
        self._check_open()
        self._make_scratch(kernels)
        added: dict[bytes, range] = {}
        made: list[Pipeline] = []
        for kernel in kernels:
            code = kernel.source
            assert isinstance(code, WasmCode), f"{kernel.name} is WGSL"
            if code.module not in added:
                added[code.module] = self._add(kernel.name, code.module)
            entries = added[code.module]
            if code.entry >= len(entries):
                raise CompileError(f"kernel {kernel.name}: the module has {len(entries)} kernels")
            made.append(WasmPipeline(entries[code.entry]))
            if progress is not None:
                progress(len(made), len(kernels))
        return made

    def _add(self, name: str, module: bytes) -> range:
        try:
            return self._crew.add(module)
        except ValueError as error:
            made = CompileError(f"kernel {name}: {one_line(str(error))}")
            made.add_note(str(error))
            raise made from error

    def _make_scratch(self, kernels: Sequence[KernelCode]) -> None:
        """A piece of memory a worker that is large enough for every kernel."""
        needed = max(
            (k.source.scratch for k in kernels if isinstance(k.source, WasmCode)), default=0
        )
        if self._scratch and self._scratch[0].size >= needed:
            return
        made: list[WasmBuffer] = []
        try:
            for _ in range(self.info.threads):
                made.append(self.allocate(max(needed, 16), "scratch"))
            made, self._scratch = self._scratch, made
        finally:  # the old ones, or, where there is no room for all, the new ones
            for buffer in made:
                self.free(buffer)

    def record(self, dispatches: Sequence[Dispatch], uniform: Buffer) -> WasmRecording:
        self._check_open()
        marks = waits([_ranges(d) for d in dispatches])
        head = 4 * (abi.HEADER_WORDS + abi.STEP_WORDS * len(dispatches))
        size = head + sum(4 * (len(d.slices) + 1) for d in dispatches)
        memory = self.allocate(size, "a program")
        steps: list[abi.ProgramStep] = []
        tail = b""
        for dispatch, mark in zip(dispatches, marks, strict=True):
            assert isinstance(dispatch.pipeline, WasmPipeline)
            args = memory.address + head + len(tail)
            units, *rest = dispatch.grid
            assert rest == [1, 1], dispatch.grid
            steps.append(abi.ProgramStep(dispatch.pipeline.entry, args, units, mark))
            tail += abi.arguments([_start(s) for s in dispatch.slices], _address(uniform))
        self._write(memory.address, memoryview(abi.program(steps) + tail))
        return WasmRecording(memory, len(steps))

    def replay(self, recording: Recording) -> None:
        self._check_open()
        assert isinstance(recording, WasmRecording)
        if not recording.steps:
            return
        try:
            self._crew.run(recording.memory.address, [b.address for b in self._scratch])
        except TrapError as error:
            self._lost = str(error)
            raise DeviceError(f"running: {self._lost}") from error

    def discard(self, recording: Recording) -> None:
        assert isinstance(recording, WasmRecording)
        self.free(recording.memory)

    def free(self, buffer: Buffer) -> None:
        assert isinstance(buffer, WasmBuffer)
        if buffer in self._buffers:
            self._buffers.remove(buffer)
            self._heap.free(buffer.address)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._crew.close()

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceError("the device is closed")
        if self._lost:
            raise DeviceLostError(f"the device was lost: {self._lost}; load the pack again")


def _address(buffer: Buffer) -> int:
    assert isinstance(buffer, WasmBuffer)
    return buffer.address


def _start(part: Slice) -> int:
    return _address(part.buffer) + part.offset


def _ranges(dispatch: Dispatch) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The memory that a dispatch reads, and that which it writes."""
    ranges = [(_start(s), _start(s) + s.size) for s in dispatch.slices]
    first = len(ranges) - dispatch.outputs
    return ranges[:first], ranges[first:]
