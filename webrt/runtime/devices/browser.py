"""The page's own WebGPU under Pyodide, through `web/device.js`: one call replays a whole plan.

A call from Python into JavaScript costs 11–28 µs (Chromium, 2026-11), so the player keeps
recordings on its side. It comes out of this wheel; a page with a strict Content-Security-Policy
hands it over instead: `pyodide.registerJsModule("webrt_device", await import("./device.js"))`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import js
from pyodide.code import run_js
from pyodide.ffi import JsException, can_run_sync, create_proxy, run_sync, to_js

from webrt.errors import CompileError, DeviceError, DeviceLostError, PackError
from webrt.pack.format import MANIFEST, MAX_MANIFEST_BYTES, Shard, WasmModule
from webrt.resources import web_dir
from webrt.runtime.device import (
    Buffer,
    DeviceInfo,
    Dispatch,
    KernelCode,
    Limits,
    Pipeline,
    Recording,
)
from webrt.runtime.sync import is_blocking

_ERRORS = {e.__name__: e for e in (CompileError, DeviceError, DeviceLostError)}
_KINDS = ("auto", "webgpu")


@dataclass(frozen=True, slots=True, eq=False)
class BrowserBuffer:
    raw: Any
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class BrowserPipeline:
    raw: Any


@dataclass(frozen=True, slots=True, eq=False)
class BrowserRecording:
    raw: Any


async def open_device(kind: str = "auto", threads: int | None = None) -> BrowserDevice:
    """The page's WebGPU device; raises DeviceError where it can't be had."""
    if kind not in _KINDS:
        raise DeviceError(f"unknown device {kind!r}: expected {' or '.join(_KINDS)}")
    player = await _player()
    with _translated():
        return BrowserDevice(await player.Device.open())


async def _player() -> Any:
    """The module web/device.js: the page's, or this wheel's own as blobs."""
    try:
        return importlib.import_module("webrt_device")
    except ModuleNotFoundError:
        pass
    errors = _blob((web_dir() / "errors.js").read_text())
    source = (web_dir() / "device.js").read_text().replace("./errors.js", errors)
    module = _blob(source)
    try:
        return await run_js("(url) => import(url)")(module)
    finally:
        js.URL.revokeObjectURL(errors)
        js.URL.revokeObjectURL(module)


def _blob(source: str) -> str:
    options = js.Object.fromEntries(to_js([["type", "text/javascript"]]))
    return str(js.URL.createObjectURL(js.Blob.new(to_js([source]), options)))


@contextmanager
def _translated() -> Iterator[None]:
    """The player's errors as ours, by their names."""
    try:
        yield
    except JsException as error:
        kind = _ERRORS.get(error.name, DeviceError)
        raise kind(str(error.message)) from error


async def _settled(promise: Any) -> Any:
    """The promise's value; a session's blocking `run` suspends the whole stack (JSPI) for it."""
    if is_blocking() and can_run_sync():
        return run_sync(promise)
    return await promise


class BrowserDevice:
    """`runtime.device.Device` on the player's Device."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.info = _info(raw.info)
        self._closed = False

    def allocate(self, size: int, label: str) -> BrowserBuffer:
        self._check_open()
        with _translated():
            return BrowserBuffer(self.raw.allocate(size, label), size)

    def upload(self, buffer: Buffer, offset: int, data: memoryview) -> None:
        self._check_open()
        # A view of Python's memory: writeBuffer makes the one copy.
        proxy = create_proxy(data)
        view = proxy.getBuffer("u8")
        try:
            with _translated():
                self.raw.upload(_raw(buffer), offset, view.data)
        finally:
            view.release()
            proxy.destroy()

    async def read(self, buffer: Buffer, size: int) -> bytes:
        return (await self.read_many([(buffer, size)]))[0]

    async def read_many(self, requests: Sequence[tuple[Buffer, int]]) -> list[bytes]:
        self._check_open()
        slices = [{"buffer": _raw(b), "offset": 0, "size": size} for b, size in requests]
        with _translated():
            found = await _settled(self.raw.readMany(_objects(slices)))
            return [part.to_bytes() for part in found]

    async def compile(
        self, kernels: Sequence[KernelCode], progress: Callable[[int, int], None] | None = None
    ) -> list[Pipeline]:
        self._check_open()
        codes = [
            {
                "name": k.name,
                "source": k.source,
                "bindings": [{"writable": b.writable} for b in k.bindings],
            }
            for k in kernels
        ]
        report = create_proxy(progress or (lambda done, total: None))
        try:
            with _translated():
                return [BrowserPipeline(p) for p in await self.raw.compile(_objects(codes), report)]
        finally:
            report.destroy()

    def record(self, dispatches: Sequence[Dispatch], uniform: Buffer) -> BrowserRecording:
        self._check_open()
        plan = [
            {
                "pipeline": _raw_pipeline(d.pipeline),
                "slices": [
                    {"buffer": _raw(s.buffer), "offset": s.offset, "size": s.size} for s in d.slices
                ],
                "grid": list(d.grid),
                "cost": d.cost,
            }
            for d in dispatches
        ]
        with _translated():
            return BrowserRecording(self.raw.record(_objects(plan), _raw(uniform)))

    def replay(self, recording: Recording) -> None:
        self._check_open()
        assert isinstance(recording, BrowserRecording)
        with _translated():
            self.raw.replay(recording.raw)

    def discard(self, recording: Recording) -> None:
        """Nothing to do: bind groups are garbage collected."""

    def free(self, buffer: Buffer) -> None:
        self.raw.free(_raw(buffer))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.raw.close()

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceError("the device is closed")


def _objects(data: object) -> Any:
    """Lists and dicts as JavaScript's arrays and objects; JavaScript's own values stay."""
    return to_js(data, dict_converter=js.Object.fromEntries)


def _raw(buffer: Buffer) -> Any:
    assert isinstance(buffer, BrowserBuffer)
    return buffer.raw


def _raw_pipeline(pipeline: Pipeline) -> Any:
    assert isinstance(pipeline, BrowserPipeline)
    return pipeline.raw


def _info(info: Any) -> DeviceInfo:
    found = info.limits
    size = tuple(getattr(found, f"maxComputeWorkgroupSize{axis}") for axis in "XYZ")
    return DeviceInfo(
        kind=info.kind,
        adapter=info.adapter,
        vendor=info.vendor,
        architecture=info.architecture,
        adapter_class=info.adapterClass,
        features=tuple(info.features),
        limits=Limits(
            max_buffer_size=found.maxBufferSize,
            max_storage_buffer_binding_size=found.maxStorageBufferBindingSize,
            max_storage_buffers_per_shader_stage=found.maxStorageBuffersPerShaderStage,
            max_compute_workgroup_storage_size=found.maxComputeWorkgroupStorageSize,
            max_compute_invocations_per_workgroup=found.maxComputeInvocationsPerWorkgroup,
            max_compute_workgroup_size=(size[0], size[1], size[2]),
            max_compute_workgroups_per_dimension=found.maxComputeWorkgroupsPerDimension,
            min_storage_buffer_offset_alignment=found.minStorageBufferOffsetAlignment,
        ),
    )


class UrlSource:
    """A pack behind a URL, relative to the page."""

    def __init__(self, url: str) -> None:
        page = js.document.baseURI if hasattr(js, "document") else js.location.href
        self.where = str(js.URL.new(url.rstrip("/") + "/", page).href).rstrip("/")

    async def manifest(self) -> bytes:
        return bytes(await self._fetch(MANIFEST, MAX_MANIFEST_BYTES))

    async def file(self, part: Shard | WasmModule) -> memoryview:
        return await self._fetch(part.file, part.bytes)

    async def _fetch(self, file: str, most: int) -> memoryview:
        url = f"{self.where}/{file}"
        try:
            response = await js.fetch(url)
        except JsException as error:
            raise PackError(f"{url}: can't be fetched: {error.message}") from error
        if not response.ok:
            raise PackError(
                f"{url}: HTTP status {response.status}; the pack is not there or incomplete"
            )
        try:
            data = await response.arrayBuffer()
        except JsException as error:
            raise PackError(f"{url}: the download broke off: {error.message}") from error
        if data.byteLength > most:
            raise PackError(
                f"{url}: expected {most} bytes, found {data.byteLength}; copy the pack again"
            )
        view: memoryview = data.to_memoryview()
        return view.cast("B")
