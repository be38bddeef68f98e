// Which device a session runs on, from what the page asks for.

import { DeviceError, messageOf } from "./errors.js";

/** @typedef {import("./protocol.js").Device} Device */
/** `auto` is a hardware GPU, else wasm: a GPU in software is slower than the CPU's own kernels.
 * `threads` (wasm) is the browser's cores by default. `executionProviders` is onnxruntime-web's
 * way to say it: the first of them that can be had. `assets` is the URL of a folder with the player's
 * files, for workers to start from, where a bundler has left them behind.
 * @typedef {{device?: string, executionProviders?: readonly (string | {name: string})[],
 *   threads?: number, relaxedSimd?: boolean, assets?: string | URL,
 *   powerPreference?: GPUPowerPreference}} DeviceOptions */

const NAMES = ["auto", "webgpu", "wasm"];

/** The names that options ask for, in order; throws a DeviceError for one that there isn't.
 * @param {DeviceOptions} options @returns {string[]} */
export function deviceNames({ device, executionProviders = [] }) {
  const providers = executionProviders.map((p) => (typeof p === "string" ? p : p.name));
  const names = device === undefined ? providers : [device];
  for (const name of names) {
    if (!NAMES.includes(name)) {
      throw new DeviceError(`unknown device '${name}': expected auto, webgpu or wasm`);
    }
  }
  return names.length ? names : ["auto"];
}

/** The first device that can be had. @param {DeviceOptions} [options] @returns {Promise<Device>} */
export async function openDevice(options = {}) {
  const names = deviceNames(options);
  /** @type {Error[]} */
  const errors = [];
  for (const name of names) {
    try {
      return await openOne(name, options);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      errors.push(error);
    }
  }
  throw errors.length === 1 ? errors[0] : new DeviceError(
    names.map((name, j) => `${name}: ${messageOf(errors[j])}`).join("; "));
}

/** @param {string} name @param {DeviceOptions} options @returns {Promise<Device>} */
async function openOne(name, options) {
  if (name === "webgpu") return openGpu(options);
  if (name === "wasm") return openCpu(options);
  const gpu = await openGpu(options).catch(() => null);
  if (gpu && gpu.info.adapterClass !== "cpu") return gpu;
  gpu?.close();
  return openCpu(options);
}

// A page loads the code of the device that it runs on, and of no other.

/** @param {DeviceOptions} options @returns {Promise<Device>} */
const openGpu = async (options) => (await import("./device.js")).Device.open(options);

/** @param {DeviceOptions} options @returns {Promise<Device>} */
const openCpu = async (options) => (await import("./wasm.js")).WasmDevice.open(options);
