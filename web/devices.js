// Which device a session runs on, from what the page asks for.

import { env, sharedDevice } from "./env.js";
import { DeviceError, messageOf } from "./errors.js";
import { asksForGpu } from "./fetches.js";

/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./protocol.js").DeviceInfo} DeviceInfo */
/** `auto` is a hardware GPU, else wasm: a GPU in software is slower than the CPU's own kernels.
 * `threads` (wasm) is the browser's cores by default. `executionProviders` is onnxruntime-web's
 * way to say it: the first of them that can be had. `gpuDevice`
 * is the page's own device to run on, which `release()` leaves as it is; `preferredOutputLocation`
 * leaves outputs in GPU buffers. `assets` is the URL of a folder with the player's
 * files, for workers to start from, where a bundler has left them behind.
 * @typedef {{device?: string, executionProviders?: readonly (string | import("./ort-types.js").Provider)[],
 *   threads?: number, relaxedSimd?: boolean, assets?: string | URL,
 *   powerPreference?: GPUPowerPreference, gpuDevice?: GPUDevice,
 *   preferredOutputLocation?: import("./ort-types.js").OutputLocation}} DeviceOptions */

const NAMES = ["auto", "webgpu", "wasm"];
/** onnxruntime-web's other providers: as the next ones, where there are any. */
const ELSEWHERE = ["webgl", "webnn"];

/** The names that options ask for, in order; throws a DeviceError for one that there isn't.
 * @param {DeviceOptions} options @returns {string[]} */
export function deviceNames({ device, executionProviders = [], gpuDevice, preferredOutputLocation }) {
  const providers = executionProviders.map((p) => (typeof p === "string" ? p : p.name))
    .map((name) => (name === "cpu" ? "wasm" : name));
  const known = providers.filter((name) => !ELSEWHERE.includes(name));
  const names = device === undefined ? (known.length ? known : providers) : [device];
  if (!names.length && (gpuDevice || asksForGpu(preferredOutputLocation))) return ["webgpu"];
  for (const name of names) {
    if (!NAMES.includes(name)) {
      throw new DeviceError(`unknown device '${name}': expected auto, webgpu or wasm`);
    }
  }
  return names.length ? names : ["auto"];
}

/** The first device that can be had. `foresee` hears of a CPU before its workers are there.
 * @param {DeviceOptions} [options] @param {(info: DeviceInfo) => void} [foresee]
 * @returns {Promise<Device>} */
export async function openDevice(options = {}, foresee = () => {}) {
  const names = deviceNames(options);
  /** @type {Error[]} */
  const errors = [];
  for (const name of names) {
    try {
      return because("it is what the page asks for", await openOne(name, options, foresee));
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      errors.push(error);
    }
  }
  throw errors.length === 1 ? errors[0] : new DeviceError(
    names.map((name, j) => `${name}: ${messageOf(errors[j])}`).join("; "));
}

/** @param {string} name @param {DeviceOptions} options @param {(info: DeviceInfo) => void} foresee
 * @returns {Promise<Device>} */
async function openOne(name, options, foresee) {
  if (name === "webgpu") return openGpu(options);
  if (name === "wasm") return openCpu(options, foresee);
  const gpu = await openGpu(options).catch((error) => messageOf(error));
  if (typeof gpu !== "string" && gpu.info.adapterClass !== "cpu") return because(AUTO_GPU, gpu);
  if (typeof gpu !== "string") gpu.close();
  const reason = typeof gpu === "string" ? gpu
    : `the GPU is one in software, ${gpu.info.adapter}: slower than the CPU's own kernels`;
  return because(`auto: ${reason}`, await openCpu(options, foresee));
}

/** The reason of a GPU that `auto` has found, before it is compared with the CPU (auto.js). */
export const AUTO_GPU = "auto: a GPU";

/** @param {string} reason @param {Device} device */
function because(reason, device) {
  device.info.reason ??= reason;
  return device;
}

// A page loads the code of the device that it runs on, and of no other.

/** @param {DeviceOptions} options @returns {Promise<Device>} */
async function openGpu(options) {
  const { Device } = await import("./device.js");
  const [own] = (options.executionProviders ?? []).flatMap((p) => (
    typeof p === "object" && p.name === "webgpu" && p.device ? [p.device] : []));
  const gpuDevice = options.gpuDevice ?? own ?? await sharedDevice(options);
  return Device.open({ forceFallbackAdapter: env.webgpu.forceFallbackAdapter, ...options, gpuDevice });
}

/** @param {DeviceOptions} options @param {(info: DeviceInfo) => void} foresee
 * @returns {Promise<Device>} */
const openCpu = async (options, foresee) => (
  (await import("./wasm.js")).WasmDevice.open(options, foresee));
