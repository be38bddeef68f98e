"""The public functions. Each imports what it needs when it is called: `import webrt` is cheap."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webrt.errors import DeviceError, PackError, RecordsError, UsageError

if TYPE_CHECKING:
    from webrt.builder import PackReport
    from webrt.runtime.device import Device
    from webrt.runtime.session import Progress, Session
    from webrt.runtime.source import Source
    from webrt.tune.background import TuneProgress
    from webrt.tune.records import Records

DEVICES = ("auto", "webgpu", "wasm")
TUNE = ("off", "background", "now")
_log = logging.getLogger("webrt")


def pack(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    strict: bool = False,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    dump_after: str | None = None,
    records: str | os.PathLike[str] | None = None,
    check_inputs: int | Sequence[Mapping[str, Any]] = 0,
    check_dims: Mapping[str, int] | None = None,
) -> PackReport:
    """Pack the ONNX model at `path` into the folder `out`, and report what was made.

    An `out` that ends in `.webrt` is one file, with all in it, instead of a folder.

    `strict` refuses a model of which some part can't run on a device. `dump_after` names a pass:
    the IR after it goes to standard error. `records`, a file or a URL of tuning records, travel
    in the pack: they serve at once on the devices that they are of, and order the trials of
    others. `check_inputs` tells how many vectors of random inputs with ONNX Runtime's outputs
    travel along, for `session.verify`, or what the inputs shall be: NumPy arrays by name, for each
    vector; `check_dims` fixes dynamic dims of random ones. Raises ModelError,
    UnsupportedOpError, ShapeError, PackError or RecordsError, UsageError where ONNX Runtime isn't
    installed to make vectors; `out` is then as it was before.
    """
    from webrt.builder import build_pack
    from webrt.tune.start import records_at

    del strict  # there is no partial pack yet: what can't run on a device is always refused
    known = None if records is None else records_at(records)
    checks = None
    if check_inputs:
        from webrt.checking import vectors

        if isinstance(check_inputs, int):
            wanted = vectors.Wanted(check_inputs, check_dims or {})
        else:
            feeds = tuple(dict(f) for f in check_inputs)
            wanted = vectors.Wanted(len(feeds), feeds=feeds)
        checks = vectors.maker(Path(path), wanted, progress)

    return build_pack(Path(path), Path(out), progress, dump_after, known, checks)


def load(
    path: str | os.PathLike[str],
    device: str = "auto",
    *,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    tune: str = "off",
    budget: float = 30.0,
    dims: Mapping[str, int] | None = None,
    records: str | os.PathLike[str] | None = None,
    on_tune: Callable[[TuneProgress], None] | None = None,
) -> Session:
    """Load the pack at `path`, a folder or a file, onto a device.

    `webgpu` is the best WebGPU adapter there is, `wasm` the CPU, on `threads` threads (one a core
    if not given); `auto` is WebGPU where there is a GPU for it, else wasm.

    What tuning found on this device before serves at once: from the user's cache, from the pack,
    and from `records`, a file or a URL. `tune` is `off`; `now`, to tune before this returns, at
    the sizes `dims` of the model's dynamic dims (1, or 128 for lengths, where not given); or
    `background`, to tune from the first run on, at its shape, while runs go on as before. Tuning
    takes `budget` seconds in all, however often a model is loaded; `on_tune` hears how it stands,
    on the tuning thread. `session.tuning` cancels it, as closing the session does.

    Raises PackError for a pack that isn't whole, DeviceError where the device can't be had,
    RecordsError for `records` that aren't any. In a browser, `await load_async` instead.
    """
    from webrt.runtime.sync import run_sync

    if sys.platform == "emscripten":
        raise UsageError("a browser can't block: use await webrt.load_async(url)")
    if tune not in TUNE:
        raise UsageError(f"tune={tune!r}: expected off, background or now")
    if budget <= 0:
        raise UsageError(f"budget={budget}: expected some seconds")
    session, known = run_sync(_load(path, device, threads, progress, records))
    if tune != "off":
        from webrt.tune import start

        try:
            start.tune(session, Path(path), tune, budget, dims, known, on_tune)
        except BaseException:
            session.close()
            raise
    return session


async def load_async(
    source: str | os.PathLike[str],
    device: str = "auto",
    *,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    records: str | os.PathLike[str] | None = None,
) -> Session:
    """`load` without blocking, and without tuning.

    In a browser, `source` is the pack's URL, and the user's own records are those that a page of
    its origin found by tuning. A task that is cancelled ends downloads and gives the device back.
    """
    session, _ = await _load(source, device, threads, progress, records)
    return session


async def _load(
    source: str | os.PathLike[str],
    device: str,
    threads: int | None,
    progress: Callable[[Progress], None] | None,
    records: str | os.PathLike[str] | None,
) -> tuple[Session, Records]:
    """The session, and all records that there are."""
    from webrt.runtime.load import Opening
    from webrt.runtime.session import Session

    if device not in DEVICES:
        raise DeviceError(f"unknown device {device!r}: expected auto, webgpu or wasm")
    if threads is not None and device == "webgpu":
        raise UsageError("threads are for the wasm device, not for webgpu")
    place, opening = await _place(source, threads)
    session = await Session.open(place, await opening(device), progress, Opening(device, opening))
    session.asked = device
    try:
        if sys.platform == "emscripten":
            return session, await _page_records(session, place, records)
        from webrt.tune import start

        return session, await start.use_records(session, place, records)
    except BaseException:
        session.close()
        raise


async def _page_records(
    session: Session, source: Source, given: str | os.PathLike[str] | None
) -> Records:
    """`tune.start.use_records` in a browser, whose storage has the user's own records."""
    from webrt.runtime.devices import browser
    from webrt.tune import live
    from webrt.tune.records import Records, device_file, device_key

    device = device_key(session.device_info)
    handed, own = None, await browser.own_records(device)
    if given is not None:
        try:
            handed = await browser.fetched_records(os.fspath(given), device_file(device))
        except PackError as error:
            raise RecordsError(str(error)) from error
    known = [Records.from_json(text, name) for text, name in
             ((handed, str(given)), (own, "IndexedDB")) if text is not None]  # fmt: skip
    return await live.serve(session, (await live.shipped(session, source), *known))


async def _place(
    source: str | os.PathLike[str], threads: int | None
) -> tuple[Source, Callable[[str], Awaitable[Device]]]:
    """The pack's source, and what opens this platform's devices by their names."""
    if sys.platform == "emscripten":
        from webrt.runtime.devices import browser

        return browser.UrlSource(os.fspath(source)), lambda kind: browser.open_device(kind, threads)
    from webrt.runtime.source import source_at

    folder = source_at(Path(source))
    await folder.manifest()  # a missing pack is said before a device is looked for
    return folder, lambda kind: _native_device(kind, threads)


def open_device(kind: str = "auto", threads: int | None = None) -> Device:
    """A device as `load` takes it, without a model; raises DeviceError."""
    from webrt.runtime.sync import run_sync

    if kind not in DEVICES:
        raise DeviceError(f"unknown device {kind!r}: expected auto, webgpu or wasm")
    return run_sync(_native_device(kind, threads))


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
