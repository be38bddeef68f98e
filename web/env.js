// onnxruntime-web's `env`: what a page sets once for all of its sessions.

import { UsageError } from "./errors.js";
import { asksForGpu } from "./fetches.js";

const VERSION = "0.1.0";

/** @type {Promise<GPUDevice> | undefined} the page's device, once there is one */
let shared;

/** @param {Promise<GPUDevice>} device */
function share(device) {
  const forget = () => { if (shared === device) shared = undefined; };
  shared = device;
  device.then((gpu) => gpu.lost.then(forget), forget);
  return device;
}

async function openShared() {
  const { powerPreference, forceFallbackAdapter } = env.webgpu;
  const { requestDevice } = await import("./adapter.js");
  return (await requestDevice({ powerPreference, forceFallbackAdapter })).gpu;
}

/** @type {import("./ort-types.js").Env} */
export const env = {
  logLevel: "warning",
  versions: { common: VERSION, web: VERSION },
  wasm: {},
  webgl: {},
  webgpu: {
    profiling: {},
    get device() {
      return shared ?? share(openShared());
    },
    set device(gpu) {
      if (!globalThis.GPUDevice || !(gpu instanceof GPUDevice)) {
        throw new UsageError("env.webgpu.device: expected a GPUDevice");
      }
      share(Promise.resolve(gpu));
    },
  },
};

/** Options with what the page set for all sessions.
 * @template {import("./devices.js").DeviceOptions & {worker?: boolean}} T
 * @param {T} options @returns {T} */
export function withEnv(options) {
  const { numThreads, proxy } = env.wasm;
  const { powerPreference } = env.webgpu;
  const worker = proxy && !options.gpuDevice && !asksForGpu(options.preferredOutputLocation);
  return { ...(numThreads && { threads: numThreads }), ...(worker && { worker }),
    ...(powerPreference && { powerPreference }), ...options };
}

/** The device that a session shares with the page; none where it has one of its own.
 * @param {import("./devices.js").DeviceOptions} options @returns {Promise<GPUDevice> | undefined} */
export const sharedDevice = ({ preferredOutputLocation }) => (
  asksForGpu(preferredOutputLocation) ? env.webgpu.device : shared);
