"""What tests of tensors in GPU buffers do in a page, and what they expect of it."""

from __future__ import annotations

from typing import Any

HELPERS = """
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const upload = (gpu, data, more = {}) => {
    const size = Math.max(4, Math.ceil(data.byteLength / 4) * 4);
    const buffer = gpu.createBuffer({size, usage, ...more});
    const bytes = new Uint8Array(size).fill(0xa5); // what pads a tensor is anything
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    gpu.queue.writeBuffer(buffer, 0, bytes);
    return buffer;
  };
  const lend = (gpu, dataType, data, dims, more) => (
    Tensor.fromGpuBuffer(upload(gpu, data, more), {dataType, dims}));
  const int64 = (values) => BigInt64Array.from(values, BigInt);
  const show = async (outputs) => {
    const shown = {};
    for (const [name, tensor] of Object.entries(outputs)) {
      const {type, dims, location} = tensor;
      shown[name] = {type, dims, location, data: Array.from(await tensor.getData(), Number)};
    }
    return shown;
  };
"""


TOOLS = "InferenceSession, Tensor, env, rejection, devices"


def job(body: str) -> str:
    """An async function in a page, with the helpers above in scope."""
    return f"async ({{{TOOLS}}}, args) => {{{HELPERS}{body}}}"


def located(outputs: dict[str, Any], where: str = "gpu-buffer") -> dict[str, Any]:
    return {name: {**tensor, "location": where} for name, tensor in outputs.items()}
