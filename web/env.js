// onnxruntime-web's `env`: what a page sets once for all of its sessions. Some of it has nothing to
// do here and is accepted all the same (README.md says which).

import { asksForGpu } from "./fetches.js";
import { UsageError } from "./errors.js";

const VERSION = "0.1.0";

/** @type {Promise<GPUDevice> | undefined} the page's device, once there is one */
let shared;

/** A device of ours, until it is lost. @returns {Promise<GPUDevice>} */
async function open() {
  const { requestDevice } = await import("./adapter.js");
  const { powerPreference, forceFallbackAdapter } = env.webgpu;
  const { gpu } = await requestDevice({ powerPreference, forceFallbackAdapter });
  gpu.lost.then(() => { shared = undefined; });
  return gpu;
}

export const env = {
  /** @type {"verbose" | "info" | "warning" | "error" | "fatal"} without effect */
  logLevel: "warning",
  /** Without effect. @type {boolean} */
  debug: false,
  /** Without effect. @type {boolean} */
  trace: false,
  versions: Object.freeze({ common: VERSION, web: VERSION }),
  wasm: {
    /** Threads of sessions that don't say `threads`; 0 is the browser's cores. @type {number | undefined} */
    numThreads: 0,
    /** Sessions run in a worker (option `worker`). @type {boolean} */
    proxy: false,
    /** Without effect: kernels have SIMD. @type {boolean | "fixed" | "relaxed"} */
    simd: true,
    /** Without effect: what a session needs lies in its pack and beside the player.
     * @type {string | {wasm?: string | URL, mjs?: string | URL} | undefined} */
    wasmPaths: undefined,
    /** Without effect. @type {ArrayBufferLike | Uint8Array | undefined} */
    wasmBinary: undefined,
    /** Without effect. @type {number} */
    initTimeout: 0,
    /** Without effect. @type {boolean} */
    trace: false,
  },
  /** Without effect. @type {Record<string, unknown>} */
  webgl: {},
  webgpu: {
    /** @type {GPUPowerPreference | undefined} */
    powerPreference: undefined,
    /** @type {boolean | undefined} */
    forceFallbackAdapter: undefined,
    /** Without effect. @type {"off" | "default"} */
    profilingMode: "off",
    /** Without effect. @type {{mode?: "off" | "default", ondata?: (data: unknown) => void}} */
    profiling: {},
    /** Without effect. @type {boolean} */
    validateInputContent: false,

    /** The page's GPUDevice, which sessions share that are made after it was asked for or set, and
     * those with outputs in GPU buffers: their tensors fit one another. `release()` leaves it as it is.
     * @returns {Promise<GPUDevice>} */
    get device() {
      if (!shared) {
        const opening = open();
        shared = opening;
        opening.catch(() => { if (shared === opening) shared = undefined; });
      }
      return shared;
    },

    /** @param {any} gpuDevice a GPUDevice */
    set device(gpuDevice) {
      if (!globalThis.GPUDevice || !(gpuDevice instanceof GPUDevice)) {
        throw new UsageError("env.webgpu.device: expected a GPUDevice");
      }
      const given = Promise.resolve(gpuDevice);
      shared = given;
      gpuDevice.lost.then(() => { if (shared === given) shared = undefined; });
    },
  },
};

/** Options of a session with what the page set for all.
 * @template {{threads?: number, worker?: boolean, gpuDevice?: unknown,
 *   preferredOutputLocation?: import("./fetches.js").OutputLocation}} T
 * @param {T} options @returns {T} */
export function withEnv(options) {
  const { numThreads, proxy } = env.wasm;
  const onGpu = options.gpuDevice || asksForGpu(options.preferredOutputLocation);
  return { ...(numThreads && { threads: numThreads }), ...(proxy && !onGpu && { worker: true }), ...options };
}

/** The device that a session shares with the page; none where it has one of its own.
 * @param {{preferredOutputLocation?: import("./fetches.js").OutputLocation}} options
 * @returns {Promise<GPUDevice> | undefined} */
export const sharedDevice = ({ preferredOutputLocation }) => (
  asksForGpu(preferredOutputLocation) ? env.webgpu.device : shared);
