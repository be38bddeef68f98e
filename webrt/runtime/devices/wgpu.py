"""The native device: WebGPU through wgpu-py, on Vulkan, Metal or Direct3D 12.

wgpu-py raises validation and out-of-memory errors from the call that caused them, so no error
scopes are opened here; what it raises is translated into webrt's errors.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webrt.errors import CompileError, DeviceError, DeviceLostError
from webrt.runtime.device import (
    BindingLayout,
    Buffer,
    DeviceInfo,
    Dispatch,
    KernelCode,
    Limits,
    Pipeline,
    Recording,
)
from webrt.runtime.sync import is_blocking

SUBMISSION_MS = 200.0
"""Estimated milliseconds after which a recording is cut: other users of the GPU get their turn."""

MAX_STAGED_BYTES = 32 << 20
"""Uploads are copied and the copies held until a submission: weights come in hundreds of MB."""

# WebGPU runs on these three; wgpu's OpenGL backend lacks parts of it.
_BACKENDS = ("Vulkan", "Metal", "D3D12")
_CLASSES = {"DiscreteGPU": "discrete", "IntegratedGPU": "integrated", "CPU": "cpu"}
_PREFERENCE = {"discrete": 0, "integrated": 1, "unknown": 2, "cpu": 3}
_NO_ADAPTER = (
    "no WebGPU adapter: install a GPU driver with Vulkan"
    " (on Debian a software one is in mesa-vulkan-drivers), or use --device wasm"
)
_GPU_FILES = ("dri/renderD*", "nvidia[0-9]*", "dxg", "kgsl-3d*", "mali*")


@dataclass(frozen=True, slots=True, eq=False)
class WgpuBuffer:
    raw: Any
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class WgpuPipeline:
    raw: Any
    layout: Any


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    pipeline: Any
    group: Any
    grid: tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class WgpuRecording:
    """One tuple of calls a submission."""

    submissions: tuple[tuple[_Call, ...], ...]


async def open_device(adapter: str | None = None) -> WgpuDevice:
    """Open the best adapter, hardware before software; `adapter` picks one by a part of its name.

    Raises DeviceError where there is none.
    """
    found = [a for a in _adapters() if adapter is None or adapter.lower() in _name(a).lower()]
    if not found:
        raise DeviceError(
            _NO_ADAPTER if adapter is None else f"no WebGPU adapter named {adapter!r}"
        )
    return await _open(found[0])


async def open_hardware() -> WgpuDevice | None:
    """Open the best adapter that is a GPU; None where there is none, soon and in silence."""
    if not _may_have_gpu():
        return None
    try:
        hardware = [a for a in _adapters() if _adapter_class(a) != "cpu"]
    except DeviceError:
        return None
    return await _open(hardware[0]) if hardware else None


def _may_have_gpu() -> bool:
    """False where Linux has none of the device files that a GPU's driver opens.

    Asking Vulkan costs 0.1–1 s, and without a driver it complains on standard error.
    """
    return sys.platform != "linux" or any(Path("/dev").glob(p) for p in _GPU_FILES)


async def _open(adapter: Any) -> WgpuDevice:
    with _translated("request_device"):
        promise = adapter.request_device_async(required_features=_features(adapter))
        raw = promise.sync_wait() if is_blocking() else await promise
    return WgpuDevice(raw, _info(adapter, raw))


def _adapters() -> list[Any]:
    """All adapters, best first."""
    # Mesa's loader complains on stderr about a missing XDG_RUNTIME_DIR, which compute never uses.
    if "XDG_RUNTIME_DIR" not in os.environ:
        os.environ["XDG_RUNTIME_DIR"] = "/tmp"
    try:
        import wgpu
    except (ImportError, OSError) as error:
        raise DeviceError(f"wgpu-py can't be loaded ({error}): pip install wgpu") from error
    wgpu.logger.setLevel(logging.CRITICAL)  # it logs what it also raises
    found = [a for a in wgpu.gpu.enumerate_adapters_sync() if a.info["backend_type"] in _BACKENDS]
    return sorted(found, key=lambda a: _PREFERENCE[_adapter_class(a)])


def _name(adapter: Any) -> str:
    return str(adapter.info["device"])


def _adapter_class(adapter: Any) -> str:
    return _CLASSES.get(adapter.info["adapter_type"], "unknown")


def _features(adapter: Any) -> list[str]:
    """What generated kernels may use one day: part of a tuning record's key."""
    return sorted({"shader-f16", "subgroup", "timestamp-query"} & set(adapter.features))


def _info(adapter: Any, device: Any) -> DeviceInfo:
    limits = device.limits
    size = tuple(limits[f"max-compute-workgroup-size-{axis}"] for axis in "xyz")
    return DeviceInfo(
        kind="webgpu",
        adapter=_name(adapter),
        vendor=str(adapter.info["vendor"]),
        architecture=str(adapter.info["architecture"]),
        adapter_class=_adapter_class(adapter),
        features=tuple(_features(adapter)),
        limits=Limits(
            max_buffer_size=limits["max-buffer-size"],
            max_storage_buffer_binding_size=limits["max-storage-buffer-binding-size"],
            max_storage_buffers_per_shader_stage=limits["max-storage-buffers-per-shader-stage"],
            max_compute_workgroup_storage_size=limits["max-compute-workgroup-storage-size"],
            max_compute_invocations_per_workgroup=limits["max-compute-invocations-per-workgroup"],
            max_compute_workgroup_size=(size[0], size[1], size[2]),
            max_compute_workgroups_per_dimension=limits["max-compute-workgroups-per-dimension"],
            min_storage_buffer_offset_alignment=limits["min-storage-buffer-offset-alignment"],
        ),
    )


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """wgpu-py's errors as ours: one line, the whole text as a note."""
    import wgpu

    try:
        yield
    except (wgpu.GPUError, RuntimeError) as error:
        text = str(error)
        reason = next((s for s in reversed(_lines(text)) if s), type(error).__name__)
        lost = "lost" in text.lower() and "device" in text.lower()
        if lost:
            made: DeviceError = DeviceLostError(
                f"{what}: the device was lost ({reason}); load the pack again"
            )
        else:
            made = DeviceError(f"{what}: {reason}")
        made.add_note(text)
        raise made from error


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


class WgpuDevice:
    """`runtime.device.Device` on wgpu-py."""

    def __init__(self, raw: Any, info: DeviceInfo) -> None:
        self.raw = raw
        self.info = info
        self._layouts: dict[tuple[BindingLayout, ...], Any] = {}
        self._buffers: set[WgpuBuffer] = set()
        self._staging: Any = None
        self._staged = 0
        self._closed = False

    def allocate(self, size: int, label: str) -> WgpuBuffer:
        import wgpu

        usage = wgpu.BufferUsage
        with _translated(f"allocating {size} bytes for {label}"):
            self._check_open()
            raw = self.raw.create_buffer(
                label=label,
                size=size,
                usage=usage.STORAGE | usage.UNIFORM | usage.COPY_SRC | usage.COPY_DST,
            )
        buffer = WgpuBuffer(raw, size)
        self._buffers.add(buffer)
        return buffer

    def upload(self, buffer: Buffer, offset: int, data: memoryview) -> None:
        with _translated("upload"):
            self._check_open()
            self.raw.queue.write_buffer(_raw(buffer), offset, data)
            self._staged += data.nbytes
            if self._staged > MAX_STAGED_BYTES:
                self.raw.queue.submit([])
                self._staged = 0

    async def read(self, buffer: Buffer, size: int) -> bytes:
        return (await self.read_many([(buffer, size)]))[0]

    async def read_many(self, requests: Sequence[tuple[Buffer, int]]) -> list[bytes]:
        import wgpu

        starts: list[int] = []
        total = 0
        for _, size in requests:
            starts.append(total)
            total += -(-size // 16) * 16
        if not total:
            return [b"" for _ in requests]
        with _translated("reading results"):
            self._check_open()
            staging = self._staging_of(total)
            encoder = self.raw.create_command_encoder()
            for (buffer, size), start in zip(requests, starts, strict=True):
                if size:
                    encoder.copy_buffer_to_buffer(_raw(buffer), 0, staging, start, size)
            self.raw.queue.submit([encoder.finish()])
            promise = staging.map_async(wgpu.MapMode.READ, 0, total)
            if is_blocking():
                promise.sync_wait()
            else:
                await promise
            try:
                whole = staging.read_mapped(0, total, copy=False)
                pairs = zip(requests, starts, strict=True)
                return [bytes(whole[start : start + size]) for (_, size), start in pairs]
            finally:
                staging.unmap()

    def _staging_of(self, size: int) -> Any:
        import wgpu

        # A buffer that a cancelled read left mapped or pending can't be used again.
        usable = self._staging is not None and self._staging.map_state == "unmapped"
        if not usable or self._staging.size < size:
            if usable:
                self._staging.destroy()
            usage = wgpu.BufferUsage.MAP_READ | wgpu.BufferUsage.COPY_DST
            self._staging = self.raw.create_buffer(label="staging", size=size, usage=usage)
        return self._staging

    async def compile(
        self, kernels: Sequence[KernelCode], progress: Callable[[int, int], None] | None = None
    ) -> list[Pipeline]:
        with _translated("compiling"):
            self._check_open()
            for kernel in kernels:  # layouts are cached, so they are made before the threads start
                self._layout(kernel.bindings)
        made: list[Pipeline] = []
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            try:
                for pipeline in pool.map(self._compile, kernels):
                    made.append(pipeline)
                    if progress is not None:
                        progress(len(made), len(kernels))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return made

    def _compile(self, kernel: KernelCode) -> Pipeline:
        import wgpu

        layout = self._layout(kernel.bindings)
        assert isinstance(kernel.source, str), f"{kernel.name} is wasm"
        try:
            module = self.raw.create_shader_module(label=kernel.name, code=kernel.source)
            raw = self.raw.create_compute_pipeline(
                label=kernel.name,
                layout=self.raw.create_pipeline_layout(bind_group_layouts=[layout]),
                compute={"module": module, "entry_point": "main"},
            )
        except (wgpu.GPUError, RuntimeError) as error:
            text = str(error)
            if "device is lost" in text.lower():
                raise DeviceLostError(f"compiling {kernel.name}: the device was lost") from error
            reasons = [s for s in _lines(text) if "error" in s.lower() and s != "Validation Error"]
            made = CompileError(f"kernel {kernel.name}: {(reasons or _lines(text))[0]}")
            made.add_note(text)
            made.add_note(kernel.source)
            raise made from error
        return WgpuPipeline(raw, layout)

    def _layout(self, bindings: tuple[BindingLayout, ...]) -> Any:
        if bindings not in self._layouts:
            import wgpu

            types = ["storage" if b.writable else "read-only-storage" for b in bindings]
            self._layouts[bindings] = self.raw.create_bind_group_layout(
                entries=[
                    {"binding": j, "visibility": wgpu.ShaderStage.COMPUTE, "buffer": {"type": t}}
                    for j, t in enumerate([*types, "uniform"])
                ]
            )
        return self._layouts[bindings]

    def record(self, dispatches: Sequence[Dispatch], uniform: Buffer) -> WgpuRecording:
        submissions: list[tuple[_Call, ...]] = []
        calls: list[_Call] = []
        cost = 0.0
        with _translated("recording"):
            self._check_open()
            for dispatch in dispatches:
                if calls and cost + dispatch.cost > SUBMISSION_MS:
                    submissions.append(tuple(calls))
                    calls, cost = [], 0.0
                calls.append(self._call(dispatch, uniform))
                cost += dispatch.cost
        submissions.append(tuple(calls))
        return WgpuRecording(tuple(submissions))

    def _call(self, dispatch: Dispatch, uniform: Buffer) -> _Call:
        pipeline = dispatch.pipeline
        assert isinstance(pipeline, WgpuPipeline)
        resources = [
            {"buffer": _raw(s.buffer), "offset": s.offset, "size": s.size} for s in dispatch.slices
        ]
        resources.append({"buffer": _raw(uniform), "offset": 0, "size": uniform.size})
        group = self.raw.create_bind_group(
            layout=pipeline.layout,
            entries=[{"binding": j, "resource": r} for j, r in enumerate(resources)],
        )
        return _Call(pipeline.raw, group, dispatch.grid)

    def replay(self, recording: Recording) -> None:
        assert isinstance(recording, WgpuRecording)
        with _translated("running"):
            self._check_open()
            for calls in recording.submissions:
                encoder = self.raw.create_command_encoder()
                compute = encoder.begin_compute_pass()
                pipeline = None
                for call in calls:
                    if call.pipeline is not pipeline:
                        pipeline = call.pipeline
                        compute.set_pipeline(pipeline)
                    compute.set_bind_group(0, call.group)
                    compute.dispatch_workgroups(*call.grid)
                compute.end()
                self.raw.queue.submit([encoder.finish()])

    def discard(self, recording: Recording) -> None:
        """Nothing to do: bind groups are garbage collected."""

    def free(self, buffer: Buffer) -> None:
        assert isinstance(buffer, WgpuBuffer)
        if buffer in self._buffers:
            self._buffers.remove(buffer)
            buffer.raw.destroy()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for buffer in list(self._buffers):
            self.free(buffer)
        if self._staging is not None:
            self._staging.destroy()
        self.raw.destroy()

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceError("the device is closed")


def _raw(buffer: Buffer) -> Any:
    assert isinstance(buffer, WgpuBuffer)
    return buffer.raw
