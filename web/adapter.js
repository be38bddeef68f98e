// A GPUDevice of the page's adapter, with all that kernels may use of it.

import { DeviceError, messageOf } from "./errors.js";

export const LIMITS = /** @type {const} */ ([
  "maxBufferSize", "maxStorageBufferBindingSize", "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize", "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX", "maxComputeWorkgroupSizeY", "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension", "minStorageBufferOffsetAlignment",
]);
/** What kernels may use; timestamps are for profiles alone. */
const FEATURES = /** @type {const} */ (["shader-f16", "subgroups", "timestamp-query"]);

/** @param {GPURequestAdapterOptions} [options]
 * @returns {Promise<{info: GPUAdapterInfo, gpu: GPUDevice}>} */
export async function requestDevice({ powerPreference = "high-performance", forceFallbackAdapter = false } = {}) {
  const { gpu } = globalThis.navigator ?? {};
  if (!gpu) {
    throw new DeviceError(globalThis.isSecureContext === false
      ? "WebGPU needs a secure page: open it over https or on localhost"
      : "this browser has no WebGPU: use a current Chrome, Edge, Firefox or Safari, or turn it on");
  }
  const adapter = await gpu.requestAdapter({ powerPreference, forceFallbackAdapter })
    .catch(() => null);
  if (!adapter) {
    throw new DeviceError("no WebGPU adapter: the GPU or its driver is blocked; see about:gpu");
  }
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  const requiredFeatures = FEATURES.filter((name) => adapter.features.has(name));
  try {
    const device = await adapter.requestDevice({ requiredLimits, requiredFeatures });
    return { info: adapter.info, gpu: device };
  } catch (error) {
    throw new DeviceError(`the WebGPU device can't be had: ${messageOf(error)}`);
  }
}
