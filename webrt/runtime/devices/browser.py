"""The page's own WebGPU or wasm under Pyodide, through `web/`: one call replays a whole plan.

A call from Python into JavaScript costs 11–28 µs (Chromium, 2026-11), so the player keeps
recordings on its side. It comes out of this wheel; a page with a strict Content-Security-Policy
hands it over instead: `pyodide.registerJsModule("webrt_device", await import("./devices.js"))`,
and `"webrt_records"`, records.js, for what tuning found in this browser.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import js
from pyodide.code import run_js
from pyodide.ffi import (
    JsException,
    can_run_sync,
    create_once_callable,
    create_proxy,
    run_sync,
    to_js,
)

from webrt.errors import CompileError, DeviceError, DeviceLostError, PackError, UsageError
from webrt.pack.format import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    MAX_RECORDS_BYTES,
    ChecksFile,
    RecordsFile,
    Shard,
    WasmModule,
)
from webrt.resources import web_dir
from webrt.runtime.device import (
    Buffer,
    DeviceInfo,
    Dispatch,
    KernelCode,
    Limits,
    Pipeline,
    Recording,
    WasmCode,
)
from webrt.runtime.sync import is_blocking

_ERRORS = {e.__name__: e for e in (CompileError, DeviceError, DeviceLostError, UsageError)}


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


async def open_device(
    kind: str = "auto", threads: int | None = None, relaxed: bool | None = None
) -> BrowserDevice:
    """The page's WebGPU or wasm device; raises DeviceError where it can't be had.

    `threads` and `relaxed` are the wasm device's: as many as the browser has cores for, and relaxed
    SIMD where the browser has it, if not given.
    """
    options: dict[str, object] = {"device": kind, "relaxedSimd": relaxed is not False}
    if threads is not None:
        options["threads"] = threads
    with _translated():
        player = await _module("devices.js", "webrt_device")
        opening = player.openDevice(_objects(options))
        try:
            return BrowserDevice(await _settled(opening))
        except asyncio.CancelledError:
            # Where it fails, there is nothing to give back.
            opening.then(create_once_callable(lambda device: device.close()), js.Object)
            raise


async def own_records(device: str) -> str | None:
    """What tuning found in this browser for the device of this key, as JSON; None for nothing."""
    try:
        records = importlib.import_module("webrt_records")
    except ModuleNotFoundError:
        if "webrt_device" in sys.modules:
            return None  # a page that hands its modules over may not link any
        records = await _module("records.js", "webrt_records")
    store = await records.Store.open()
    if store is None:
        return None
    known = await store.load(device)
    form = {"format": "webrt records", "version": 1, "records": known}
    text: str = js.JSON.stringify(_objects(form))
    return text


async def fetched_records(url: str, file: str) -> bytes | None:
    """The records at a URL: a file (….json), or `file` in a folder; None where the folder has none.

    Raises PackError where they can't be had.
    """
    place = UrlSource(url).where
    if place.endswith(".json"):
        return bytes(await _file(place, MAX_RECORDS_BYTES))
    data = await _fetch(f"{place}/{file}", MAX_RECORDS_BYTES)
    return None if data is None else bytes(data)


_linked: dict[str, str] = {}
"""URLs of this wheel's modules, by their names, once one was needed."""


async def _module(file: str, name: str) -> Any:
    """A module that the page handed over as `name`, else this wheel's `file`, out of blobs."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        pass
    load = run_js("(url) => import(url)")
    if not _linked:
        sources = {path.name: path.read_text() for path in web_dir().glob("*.js")}
        options = _objects({"type": "text/javascript"})
        blob = js.Blob.new(to_js([sources["link.js"]]), options)
        linker = await _settled(load(js.URL.createObjectURL(blob)))
        urls = linker.link(_objects(sources), to_js(["devices.js", "records.js"]))
        _linked.update(js.Object.entries(urls).to_py())
    return await _settled(load(_linked[file]))


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
        # A view of Python's memory: the player makes the one copy.
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
        modules: dict[bytes, Any] = {}

        def source(code: str | WasmCode) -> object:
            if isinstance(code, str):
                return code
            if code.module not in modules:  # each becomes one array, for all its kernels
                modules[code.module] = to_js(code.module)
            return {
                "module": modules[code.module],
                "entry": code.entry,
                "scratch": code.scratch,
            }

        codes = [
            {
                "name": k.name,
                "source": source(k.source),
                "bindings": [{"writable": b.writable} for b in k.bindings],
            }
            for k in kernels
        ]
        report = create_proxy(progress or (lambda done, total: None))
        try:
            with _translated():
                made = await _settled(self.raw.compile(_objects(codes), report))
                return [BrowserPipeline(p) for p in made]
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
                "outputs": d.outputs,
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
        assert isinstance(recording, BrowserRecording)
        self.raw.discard(recording.raw)

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
            max_total_size=getattr(found, "maxTotalSize", None),
        ),
        threads=info.threads,
    )


class UrlSource:
    """A pack behind a URL, relative to the page."""

    def __init__(self, url: str) -> None:
        page = js.document.baseURI if hasattr(js, "document") else js.location.href
        self.where = str(js.URL.new(url.rstrip("/") + "/", page).href).rstrip("/")

    async def manifest(self) -> bytes:
        return bytes(await _file(f"{self.where}/{MANIFEST}", MAX_MANIFEST_BYTES))

    async def file(self, part: Shard | WasmModule | RecordsFile | ChecksFile) -> memoryview:
        return await _file(f"{self.where}/{part.file}", part.bytes)


async def _file(url: str, most: int) -> memoryview:
    """The bytes at `url`; raises PackError where there are none, or more than `most`."""
    data = await _fetch(url, most)
    if data is None:
        raise PackError(f"{url}: HTTP status 404; the pack is not there or incomplete")
    return data


async def _fetch(url: str, most: int) -> memoryview | None:
    """`_file`, or None where the server has none; a task that is cancelled ends the download."""
    controller = js.AbortController.new()
    try:
        response = await _settled(js.fetch(url, _objects({"signal": controller.signal})))
        if response.status == 404:
            return None
        if not response.ok:
            raise PackError(
                f"{url}: HTTP status {response.status}; the pack is not there or incomplete"
            )
        data = await _settled(response.arrayBuffer())
    except JsException as error:
        raise PackError(f"{url}: can't be fetched: {error.message}") from error
    except asyncio.CancelledError:
        controller.abort()
        raise
    if data.byteLength > most:
        raise PackError(
            f"{url}: expected {most} bytes, found {data.byteLength}; copy the pack again"
        )
    view: memoryview = data.to_memoryview()
    return view.cast("B")
