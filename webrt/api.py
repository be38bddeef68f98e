"""The public functions. Each imports what it needs when it is called: `import webrt` is cheap."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from webrt.errors import DeviceError, RecordsError, UsageError

if TYPE_CHECKING:
    from webrt.builder import PackReport
    from webrt.runtime.device import Device
    from webrt.runtime.session import Progress, Session
    from webrt.runtime.source import Source

DEVICES = ("auto", "webgpu", "wasm")
_log = logging.getLogger("webrt")


def pack(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    strict: bool = False,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    dump_after: str | None = None,
) -> PackReport:
    """Pack the ONNX model at `path` into the folder `out`, and report what was made.

    `strict` refuses a model of which some part can't run on a device. `dump_after` names a pass:
    the IR after it goes to standard error. Raises ModelError,
    UnsupportedOpError, ShapeError or PackError; `out` is then as it was before.
    """
    from webrt.builder import build_pack

    del strict  # there is no partial pack yet: what can't run on a device is always refused
    return build_pack(Path(path), Path(out), progress, dump_after)


def load(
    path: str | os.PathLike[str],
    device: str = "auto",
    *,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Session:
    """Load the pack in the folder `path` onto a device.

    `webgpu` is the best WebGPU adapter there is, `wasm` the CPU, on `threads` threads (one a core
    if not given); `auto` is WebGPU where there is a GPU for it, else wasm.

    Raises PackError for a pack that isn't whole, DeviceError where the device can't be had. In a
    browser, `await load_async` instead.
    """
    from webrt.runtime.sync import run_sync

    if sys.platform == "emscripten":
        raise UsageError("a browser can't block: use await webrt.load_async(url)")
    return run_sync(load_async(path, device, threads=threads, progress=progress))


async def load_async(
    source: str | os.PathLike[str],
    device: str = "auto",
    *,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Session:
    """`load` without blocking; in a browser, `source` is the pack's URL."""
    from webrt.runtime.session import Session

    if device not in DEVICES:
        raise DeviceError(f"unknown device {device!r}: expected auto, webgpu or wasm")
    if threads is not None and device == "webgpu":
        raise UsageError("threads are for the wasm device, not for webgpu")
    place, opened = await _open(source, device, threads)
    session = await Session.open(place, opened, progress)
    if sys.platform != "emscripten":
        await _use_records(session)
    return session


async def _use_records(session: Session) -> None:
    """Serve what `webrt tune` found on this device; broken records are said and left alone."""
    from webrt.tune import live
    from webrt.tune.records import Records, cache_file

    try:
        records = Records.read(cache_file())
        for bindings in live.shapes(session, records):
            await live.apply(session, bindings, records)
    except RecordsError as error:
        _log.warning("%s", error)


async def _open(
    source: str | os.PathLike[str], device: str, threads: int | None
) -> tuple[Source, Device]:
    """The pack's source and the device of this platform."""
    if sys.platform == "emscripten":
        from webrt.runtime.devices import browser

        return browser.UrlSource(os.fspath(source)), await browser.open_device(device, threads)
    from webrt.runtime.source import FolderSource

    folder = FolderSource(Path(source))
    await folder.manifest()  # a missing pack is said before a device is looked for
    return folder, await _native_device(device, threads)


async def _native_device(kind: str, threads: int | None) -> Device:
    if kind != "wasm":
        from webrt.runtime.devices import wgpu

        if kind == "webgpu":
            return await wgpu.open_device()
        try:
            hardware = await wgpu.open_hardware()
        except DeviceError as error:
            _log.warning("the GPU can't be used (%s): running on the CPU", error)
            hardware = None
        if hardware is not None:
            return hardware
    from webrt.runtime.devices import wasmtime

    return await wasmtime.open_device(threads)
