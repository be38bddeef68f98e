"""Runs one kernel on a software adapter: what the generated WGSL is checked with."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import wgpu

from webrt import dims
from webrt.codegen.wgsl import generate
from webrt.dtypes import DType
from webrt.kernel.loop import Kernel
from webrt.kernel.problem import Problem

NUMPY = {DType.F32: np.float32, DType.F16: np.float16, DType.I32: np.int32, DType.U32: np.uint32}


@cache
def device(driver: str = "lavapipe") -> wgpu.GPUDevice:
    """The adapter of that driver; its name holds `llvmpipe` or `SwiftShader`."""
    needle = {"lavapipe": "llvmpipe", "swiftshader": "swiftshader"}[driver]
    for adapter in wgpu.gpu.enumerate_adapters_sync():
        if needle in str(adapter.info["device"]).lower():
            wanted = [f for f in ("shader-f16",) if f in adapter.features]
            return adapter.request_device_sync(required_features=wanted)
    raise RuntimeError(f"no {driver} adapter: install mesa-vulkan-drivers or chromium")


class Program:
    """A compiled kernel with buffers, for one binding of its symbols."""

    def __init__(
        self,
        kernel: Kernel,
        arrays: Sequence[np.ndarray],
        outputs: Sequence[tuple[DType, int]],
        bindings: Mapping[str, int],
        driver: str = "lavapipe",
        source: str | None = None,
    ) -> None:
        self.device = device(driver)
        self.outputs = list(outputs)
        begin = time.perf_counter()
        module = self.device.create_shader_module(code=source or generate(kernel))
        layout = self._layout(kernel)
        self.pipeline = self.device.create_compute_pipeline(
            layout=self.device.create_pipeline_layout(bind_group_layouts=[layout]),
            compute={"module": module, "entry_point": "main"},
        )
        self.compile_seconds = time.perf_counter() - begin
        buffers = [self._upload(a) for a in arrays]
        self.results = [self._buffer(size * dtype.storage.bytes) for dtype, size in self.outputs]
        buffers += self.results
        if kernel.symbols:
            buffers.append(self._uniform(kernel, bindings))
        self.group = self.device.create_bind_group(
            layout=layout,
            entries=[{"binding": j, "resource": {"buffer": b}} for j, b in enumerate(buffers)],
        )
        self.grid = tuple(dims.evaluate(g, bindings) for g in kernel.grid)
        assert all(0 < g <= 65535 for g in self.grid), self.grid

    def _layout(self, kernel: Kernel) -> wgpu.GPUBindGroupLayout:
        kinds = ["storage" if b.writable else "read-only-storage" for b in kernel.bindings]
        kinds += ["uniform"] if kernel.symbols else []
        return self.device.create_bind_group_layout(
            entries=[
                {"binding": j, "visibility": wgpu.ShaderStage.COMPUTE, "buffer": {"type": kind}}
                for j, kind in enumerate(kinds)
            ]
        )

    def _buffer(self, size: int) -> wgpu.GPUBuffer:
        usage = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC | wgpu.BufferUsage.COPY_DST
        return self.device.create_buffer(size=max(16, -(-size // 16) * 16), usage=usage)

    def _upload(self, array: np.ndarray) -> wgpu.GPUBuffer:
        if array.dtype == np.bool_:
            array = array.astype(np.uint32)
        data = np.ascontiguousarray(array).tobytes()
        buffer = self._buffer(len(data))
        self.device.queue.write_buffer(buffer, 0, data + b"\0" * (-len(data) % 4))
        return buffer

    def _uniform(self, kernel: Kernel, bindings: Mapping[str, int]) -> wgpu.GPUBuffer:
        count = max(int(name[1:]) for name in kernel.symbols) // 4 * 4 + 4
        values = [bindings.get(f"s{j}", 0) for j in range(count)]
        usage = wgpu.BufferUsage.UNIFORM | wgpu.BufferUsage.COPY_DST
        data = struct.pack(f"<{count}i", *values)
        return self.device.create_buffer_with_data(data=data, usage=usage)

    def run(self, times: int = 1) -> None:
        encoder = self.device.create_command_encoder()
        compute = encoder.begin_compute_pass()
        compute.set_pipeline(self.pipeline)
        compute.set_bind_group(0, self.group)
        for _ in range(times):
            compute.dispatch_workgroups(*self.grid)
        compute.end()
        self.device.queue.submit([encoder.finish()])

    def read(self) -> list[np.ndarray]:
        """The outputs, flat; a bool output as bool."""
        arrays = []
        for (dtype, size), buffer in zip(self.outputs, self.results, strict=True):
            data = self.device.queue.read_buffer(buffer)
            array = np.frombuffer(data, NUMPY[dtype.storage])[:size]
            arrays.append(array.astype(bool) if dtype is DType.BOOL else array)
        return arrays


def run(
    kernel: Kernel,
    problem: Problem,
    arrays: Sequence[np.ndarray],
    bindings: Mapping[str, int] | None = None,
    driver: str = "lavapipe",
) -> list[np.ndarray]:
    """The problem's outputs, flat, as `kernel` computes them."""
    bound = dict(bindings or {})
    outputs = [(o.dtype, dims.evaluate(o.size, bound)) for o in problem.outputs]
    program = Program(kernel, arrays, outputs, bound, driver)
    program.run()
    return program.read()
