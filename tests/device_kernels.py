"""Kernels for the device contract: one in WGSL and in wasm, and the data to run it on."""

from __future__ import annotations

import struct
from functools import cache

from webrt.codegen import wasm
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel.expr import Const, Index, Load, call
from webrt.kernel.loop import Binding, If, Kernel, Store
from webrt.runtime.device import (
    RELAXED_SIMD,
    BindingLayout,
    Buffer,
    Device,
    Dispatch,
    KernelCode,
    Pipeline,
    Slice,
    WasmCode,
)

ADD_WGSL = """
    @group(0) @binding(0) var<storage, read_write> x0: array<f32>;
    @group(0) @binding(1) var<storage, read_write> x1: array<f32>;
    @group(0) @binding(2) var<uniform> symbols: array<vec4<i32>, 1>;
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3<u32>) {
      let i = i32(id.x);
      if (i >= symbols[0].x) { return; }
      x1[i] = x1[i] + x0[i];
    }
    """
BROKEN_WGSL = "fn main() { let x: f32 = 1u; }"
LAYOUTS = (BindingLayout(writable=True), BindingLayout(writable=True))


@cache
def add_module(relaxed: bool, plus: float = 0.0) -> bytes:
    """Entry 0: `x1[i] += x0[i] + plus` for each unit i below the first symbol.

    Entry 1 does the same, but reads outside of the memory.
    """
    return wasm.module([_add(plus, 0), _add(plus, 1 << 28)], relaxed)


def _add(plus: float, far: Dim) -> Kernel:
    unit = symbol("wg0")
    value = call("add", Load(1, unit, DType.F32), Load(0, unit + far, DType.F32))
    if plus:
        value = call("add", value, Const(plus, DType.F32))
    guard = call("lt", Index(unit), Index(symbol("s0")))
    body = (If(guard, (Store(1, unit, value),)),)
    bindings = tuple(Binding(f"x{j}", DType.F32, 1, writable=True) for j in range(2))
    return Kernel("add", bindings, ("s0",), (), (1, 1, 1), (symbol("s0"), 1, 1), body)


def add(device: Device, constant: bool = False) -> KernelCode:
    """`x1[i] += x0[i]` for i below the first symbol; `constant` binds x0 read-only."""
    layouts = (BindingLayout(writable=not constant), LAYOUTS[1])
    if device.info.kind == "wasm":
        module = add_module(RELAXED_SIMD in device.info.features)
        return KernelCode("add", WasmCode(module, 0, 0), layouts)
    wgsl = ADD_WGSL.replace("read_write> x0", "read> x0") if constant else ADD_WGSL
    return KernelCode("add", wgsl, layouts)


def broken(device: Device) -> KernelCode:
    if device.info.kind == "wasm":
        module = bytearray(add_module(relaxed=False))
        module[-2] ^= 0xFF
        return KernelCode("broken", WasmCode(bytes(module), 0, 0), LAYOUTS)
    return KernelCode("broken", BROKEN_WGSL, ())


def dispatch(device: Device, pipeline: Pipeline, *slices: Slice, units: int = 4) -> Dispatch:
    """`add` on that many elements."""
    grid = (units, 1, 1) if device.info.kind == "wasm" else (-(-units // 64), 1, 1)
    return Dispatch(pipeline, slices, grid)


def floats(*values: float) -> memoryview:
    return memoryview(struct.pack(f"<{len(values)}f", *values))


def uniform(device: Device, *values: int) -> Buffer:
    buffer = device.allocate(16, "symbols")
    device.upload(buffer, 0, memoryview(struct.pack(f"<{len(values)}i", *values).ljust(16, b"\0")))
    return buffer
