"""The software adapters that device tests run on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from webrt.runtime.devices.wgpu import WgpuDevice, open_device
from webrt.runtime.sync import run_sync

DRIVERS = {
    "llvmpipe": Path("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json"),
    "SwiftShader": Path("/usr/lib/chromium/vk_swiftshader_icd.json"),
}
# The loader reads this when the first adapter is looked for.
os.environ["VK_DRIVER_FILES"] = ":".join(str(p) for p in DRIVERS.values() if p.exists())

ADAPTERS = ["llvmpipe", pytest.param("SwiftShader", marks=pytest.mark.swiftshader)]


@contextmanager
def opened(adapter: str = "llvmpipe") -> Iterator[WgpuDevice]:
    device = run_sync(open_device("webgpu", adapter=adapter))
    try:
        yield device
    finally:
        device.close()
