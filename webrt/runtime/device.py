"""The Device protocol: the few async-first methods that a session needs, and the data they take.

Implementations: `devices/wgpu.py` (native WebGPU), `devices/wasmtime.py` (the CPU natively) and
`devices/browser.py` (the page's own WebGPU or wasm, through `web/`, where this protocol stands in
JavaScript). They import nothing of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from webrt.dtypes import DType

RELAXED_SIMD = "relaxed-simd"
"""The feature of a wasm device that runs modules with relaxed SIMD."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device can do, in WebGPU's own terms; bytes and counts.

    `max_total_size` is what all buffers together may take, where the device knows a bound.
    """

    max_buffer_size: int
    max_storage_buffer_binding_size: int
    max_storage_buffers_per_shader_stage: int
    max_compute_workgroup_storage_size: int
    max_compute_invocations_per_workgroup: int
    max_compute_workgroup_size: tuple[int, int, int]
    max_compute_workgroups_per_dimension: int
    min_storage_buffer_offset_alignment: int
    max_total_size: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """Which device this is: part of a tuning record's key, and what `bench` prints."""

    kind: str  # "webgpu" or "wasm": which code it runs
    adapter: str  # a human's name of the adapter
    vendor: str
    architecture: str
    adapter_class: str  # "discrete", "integrated", "cpu", "unknown"
    features: tuple[str, ...]  # wasm: RELAXED_SIMD where the engine has it
    limits: Limits
    threads: int = 1  # wasm: workers that share a dispatch's units

    @property
    def is_software(self) -> bool:
        return self.adapter_class == "cpu"


@dataclass(frozen=True, slots=True)
class BindingLayout:
    """What the bind-group layout needs to know of one binding."""

    writable: bool


@dataclass(frozen=True, slots=True)
class WasmCode:
    """Entry number `entry` of a module's table (`codegen/abi.py`).

    `scratch` is how many bytes of its own memory a worker needs for it. Kernels of one module hold
    the very same `module`: it is compiled once.
    """

    module: bytes
    entry: int
    scratch: int


@dataclass(frozen=True, slots=True)
class KernelCode:
    """A kernel ready to compile: WGSL or wasm, as the device's kind asks.

    Binding i is `bindings[i]` (in WGSL, of group 0); the symbols come last.
    """

    name: str
    source: str | WasmCode
    bindings: tuple[BindingLayout, ...]


class Buffer(Protocol):
    """Device memory of `size` bytes, a multiple of 16."""

    @property
    def size(self) -> int: ...


class Pipeline(Protocol):
    """A compiled kernel."""


class Recording(Protocol):
    """Dispatches with their bind groups, built once."""


@dataclass(frozen=True, slots=True)
class Slice:
    """`size` bytes of a buffer from `offset`; the offset is 256-aligned, the size 16-aligned."""

    buffer: Buffer
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One kernel on its operands: slices in the order of the kernel's bindings, outputs last.

    On a wasm device, `grid` is (units of work, 1, 1).
    """

    pipeline: Pipeline
    slices: tuple[Slice, ...]
    grid: tuple[int, int, int]
    cost: float = 1.0  # estimated milliseconds on the slowest device, to cut long submissions
    outputs: int = 1  # how many of the slices are written


class Device(Protocol):
    """A device that runs plans. Natively each async method also completes under `run_sync`.

    Uploads, replays, reads and frees take effect in the order in which they are called.
    """

    @property
    def info(self) -> DeviceInfo: ...

    def allocate(self, size: int, label: str) -> Buffer:
        """Zeroed memory; raises DeviceError where it can't be had."""

    def upload(self, buffer: Buffer, offset: int, data: memoryview) -> None:
        """Queue a write; `offset` and the length are multiples of 4."""

    async def read(self, buffer: Buffer, size: int) -> bytes:
        """The first `size` bytes (a multiple of 4), after all that was queued before."""

    async def read_many(self, requests: Sequence[tuple[Buffer, int]]) -> list[bytes]:
        """`read` of several buffers with a single wait."""

    async def compile(
        self, kernels: Sequence[KernelCode], progress: Callable[[int, int], None] | None = None
    ) -> list[Pipeline]:
        """All kernels, concurrently where the device can; raises CompileError naming the kernel."""

    def record(self, dispatches: Sequence[Dispatch], uniform: Buffer) -> Recording:
        """Build the bind groups; `uniform` holds the symbols, as i32s, for every kernel."""

    def replay(self, recording: Recording) -> None:
        """Queue every dispatch in order; long recordings go as several submissions."""

    def discard(self, recording: Recording) -> None:
        """Give back what `record` took; the recording can't be replayed afterwards."""

    def free(self, buffer: Buffer) -> None: ...

    def close(self) -> None:
        """Give everything back; the device can't be used afterwards."""


HOST_TO_STORAGE = {
    DType.F32: "f", DType.I32: "i", DType.U32: "I", DType.I64: "q", DType.U64: "Q",
    DType.I16: "h", DType.U16: "H", DType.I8: "b", DType.U8: "B", DType.BOOL: "?", DType.F16: "e",
    DType.F64: "d",
}  # fmt: skip
"""The struct/array format character of each host type."""
