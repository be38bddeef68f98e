"""From a pack's files to a pack on a device; and to another device, where that one was lost."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from webrt.errors import DeviceError, DeviceLostError, WebrtError
from webrt.pack.format import MANIFEST, Pack
from webrt.pack.read import check_shard, parse_manifest
from webrt.pack.widen import for_device
from webrt.runtime.bind import check_symbols
from webrt.runtime.device import Device
from webrt.runtime.kernels import Kernels, compile_kernels
from webrt.runtime.memory import Weights
from webrt.runtime.source import Source
from webrt.runtime.sync import is_blocking

PAUSES = (0.0, 0.2, 0.8)
"""A system that has just lost its GPU needs a moment until there is one again: seconds before each
attempt. web/recover.js has the same."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pack on a device, as that device runs it; `float16` is `Session.float16`."""

    pack: Pack
    device: Device
    kernels: Kernels
    weights: Weights
    float16: str | None


async def load(
    source: Source, device: Device, report: Callable[[str, int, int], None] = lambda *_: None
) -> Loaded:
    """Load a pack onto `device`, which is closed where that fails; everything is checked first.

    `report` gets `kernels` or `weights`, how many are done, and of how many. Raises PackError for a
    pack that is not whole, DeviceError where the device can't hold it.
    """
    try:
        pack = parse_manifest(await source.manifest(), f"{source.where}/{MANIFEST}")
        check_symbols(pack.plan)
        pack, float16 = for_device(pack, device.info.features)
        kernels = await compile_kernels(
            pack, source, device, lambda done, total: report("kernels", done, total)
        )
        weights = Weights(pack, device, kernels)
        for index, shard in enumerate(pack.shards):
            data = await source.file(shard)
            check_shard(pack, index, data, source.where)
            weights.upload(index, data)
            report("weights", index + 1, len(pack.shards))
        await device.read_many(())  # a page's GPU says only now what it refused of them
        return Loaded(pack, device, kernels, weights, float16)
    except BaseException:
        device.close()
        raise


@dataclass(frozen=True, slots=True)
class Opening:
    """How another device is had: as `asked` for, by `open`, which takes that name."""

    asked: str
    open: Callable[[str], Awaitable[Device]]

    @property
    def names(self) -> tuple[str, ...]:
        """What to ask for, in order: a GPU that is lost again and again leaves the CPU."""
        return ("auto", "wasm") if self.asked == "auto" else (self.asked,)


async def load_again(
    source: Source, opening: Opening, lost: DeviceLostError, is_wanted: Callable[[], bool]
) -> Loaded:
    """The pack on another device. Raises DeviceLostError where none can be had, or none `is_wanted`
    any more.
    """
    last: WebrtError = lost
    for name in opening.names:
        for pause in PAUSES if name == opening.asked else PAUSES[:1]:
            await _sleep(pause)
            if not is_wanted():
                raise lost
            try:
                return await load(source, await opening.open(name))
            except WebrtError as error:
                last = error
            if not isinstance(last, DeviceError):
                break  # no device would help
    if isinstance(last, DeviceLostError):
        raise last
    what = re.sub(r"; (create the session|load the pack) again$", "", str(lost))
    raise DeviceLostError(f"{what}; it can't be had again: {last}") from last


async def _sleep(seconds: float) -> None:
    if seconds and is_blocking():
        time.sleep(seconds)
    elif seconds:
        await asyncio.sleep(seconds)
