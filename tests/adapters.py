"""The software adapters that device tests run on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from webrt.runtime.devices.wgpu import WgpuDevice, open_device
from webrt.runtime.sync import run_sync

ADAPTERS = ["llvmpipe", pytest.param("SwiftShader", marks=pytest.mark.swiftshader)]


@contextmanager
def opened(adapter: str = "llvmpipe") -> Iterator[WgpuDevice]:
    device = run_sync(open_device(adapter))
    try:
        yield device
    finally:
        device.close()
