"""The devices that device tests run on: software adapters, and the CPU in wasm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from webrt.runtime.device import Device
from webrt.runtime.devices import wasmtime, wgpu
from webrt.runtime.sync import run_sync

ADAPTERS = ["llvmpipe", pytest.param("SwiftShader", marks=pytest.mark.swiftshader)]
WASM = {
    "wasm-1": (1, True),
    "wasm-2": (2, True),
    "wasm-plain-1": (1, False),
    "wasm-plain-2": (2, False),
}
"""Threads, and whether with relaxed SIMD."""
DEVICES = [*ADAPTERS, *WASM]


@contextmanager
def opened(name: str = "llvmpipe") -> Iterator[Device]:
    """An adapter by a part of its name, or a wasm device of `WASM`."""
    opening = wasmtime.open_device(*WASM[name]) if name in WASM else wgpu.open_device(name)
    device: Device = run_sync(opening)
    try:
        yield device
    finally:
        device.close()
