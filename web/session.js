// InferenceSession: load a pack, run it. In the shape of onnxruntime-web's API.

import { bind, checkSymbols, shapeOf } from "./bind.js";
import { Shapes } from "./bound.js";
import { Device } from "./device.js";
import { DeviceError, UsageError } from "./errors.js";
import { loadPack, loadWeights } from "./load.js";
import { Tensor, fromStorage } from "./tensor.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** @typedef {import("./device.js").Slice} Slice */
/** @typedef {import("./device.js").Pipeline} Pipeline */
/** @typedef {import("./bind.js").Feeds} Feeds */
/** What `onProgress` is told: bytes of weights, or kernels.
 * @typedef {{stage: "weights" | "kernels", done: number, total: number}} Progress */
/** @typedef {{device?: string, executionProviders?: readonly (string | {name: string})[],
 *   powerPreference?: GPUPowerPreference, onProgress?: (progress: Progress) => void}} Options */
/** `shape` holds numbers and the names of dynamic dims; `low` and `high` bound an input's integers.
 * @typedef {{name: string, isTensor: true, type: import("./tensor.js").Type,
 *   shape: (number | string)[], low?: number, high?: number}} Metadata */

/** A pack on a device, ready to run. */
export class InferenceSession {
  #pack;
  #device;
  #shapes;
  /** @type {Promise<unknown>} the last run */
  #tail = Promise.resolve();
  #released = false;

  /** Use `InferenceSession.create`. @param {Pack} pack @param {Device} device
   * @param {Pipeline[]} pipelines @param {Map<number, Slice>} constants */
  constructor(pack, device, pipelines, constants) {
    this.#pack = pack;
    this.#device = device;
    this.#shapes = new Shapes(pack, device, pipelines, constants);
    /** Names of the model's inputs, in its order. @type {readonly string[]} */
    this.inputNames = pack.inputs.map((p) => p.name);
    /** Names of the model's outputs, in its order. @type {readonly string[]} */
    this.outputNames = pack.outputs.map((p) => p.name);
    /** @type {readonly Metadata[]} */
    this.inputMetadata = pack.inputs.map((p) => metadata(pack, p));
    /** @type {readonly Metadata[]} */
    this.outputMetadata = pack.outputs.map((p) => metadata(pack, p));
    /** Which device this runs on. */
    this.deviceInfo = device.info;
    /** Kernels that were ever compiled: it stays as it is after loading. */
    this.compiledKernels = new Set(pipelines).size;
  }

  /**
   * Load a pack: kernels compile while the weights download and are verified.
   * @param {string | URL} url the pack's folder @param {Options} [options]
   * @returns {Promise<InferenceSession>}
   */
  static async create(url, options = {}) {
    if (typeof url !== "string" && !(url instanceof URL)) {
      throw new UsageError("InferenceSession.create takes the URL of a pack's folder");
    }
    checkDeviceName(options);
    const base = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
    if (!base.pathname.endsWith("/")) base.pathname += "/";
    const opening = Device.open(options);
    opening.catch(() => {}); // it is awaited below, after the manifest
    try {
      const pack = await loadPack(base);
      checkSymbols(pack);
      const device = await opening;
      checkKernels(pack, device);
      const { onProgress } = options;
      const [pipelines, constants] = await Promise.all([
        compileAll(pack, device, (done, total) => onProgress?.({ stage: "kernels", done, total })),
        loadWeights(base, pack, device,
          (done, total) => onProgress?.({ stage: "weights", done, total })),
      ]);
      return new InferenceSession(pack, device, pipelines, constants);
    } catch (error) {
      opening.then((device) => device.close(), () => {});
      throw error;
    }
  }

  /**
   * Run the model: `await session.run({name: tensor})` gives `{name: tensor}`. Calls queue; leave
   * the feeds' data alone until the promise settles.
   * @param {Feeds} feeds
   * @param {readonly string[]} [fetches] names of the outputs wanted; all by default
   * @returns {Promise<Record<string, Tensor>>}
   */
  async run(feeds, fetches = this.outputNames) {
    if (this.#released) throw new UsageError("the session is closed");
    const { bindings, data } = bind(this.#pack, feeds);
    const outputs = fetches.map((name) => {
      const port = this.#pack.outputs.find((p) => p.name === name);
      if (port) return port;
      const known = this.outputNames.join(", ");
      throw new UsageError(`unknown output '${name}': this model's outputs are ${known}`);
    });
    const result = this.#tail.then(() => this.#execute(bindings, data, outputs));
    this.#tail = result.catch(() => {});
    return result;
  }

  /** Give the device's memory back, after the runs that are under way. @returns {Promise<void>} */
  async release() {
    if (this.#released) return;
    this.#released = true;
    await this.#tail;
    this.#device.close();
  }

  /** @param {import("./dims.js").Bindings} bindings @param {Uint8Array<ArrayBuffer>[]} data
   * @param {Port[]} outputs @returns {Promise<Record<string, Tensor>>} */
  async #execute(bindings, data, outputs) {
    const device = this.#device;
    const { slices, recording, dims } = this.#shapes.get(bindings);
    this.#pack.inputs.forEach((port, j) => device.upload(slices[port.tensor].buffer, 0, data[j]));
    const bytes = await device.replayAndRead(recording, outputs.map((port) => slices[port.tensor]));
    return Object.fromEntries(outputs.map(({ name, type }, j) => (
      [name, fromStorage(type, bytes[j], /** @type {number[]} */ (dims.get(name)))])));
  }
}

/** @param {Options} options */
function checkDeviceName({ device, executionProviders = [] }) {
  const providers = executionProviders.map((p) => (typeof p === "string" ? p : p.name));
  for (const name of device === undefined ? providers : [device]) {
    if (name !== "webgpu" && name !== "auto") {
      throw new DeviceError(`unknown device '${name}': expected auto or webgpu`);
    }
  }
}

/** @param {Pack} pack @param {Port} port @returns {Metadata} */
function metadata(pack, port) {
  const { name, type, low, high } = port;
  const bounds = { ...(low !== null && { low }), ...(high !== null && { high }) };
  return { name, isTensor: true, type, shape: shapeOf(pack, port), ...bounds };
}

/** Refuse kernels that the device can't run, before it is asked to. @param {Pack} pack
 * @param {Device} device */
function checkKernels(pack, { info, gpu: { limits, features } }) {
  const sides = [limits.maxComputeWorkgroupSizeX, limits.maxComputeWorkgroupSizeY,
    limits.maxComputeWorkgroupSizeZ];
  const lanes = limits.maxComputeInvocationsPerWorkgroup;
  const buffers = limits.maxStorageBuffersPerShaderStage;
  for (const { name, workgroup, bindings } of pack.kernels) {
    if (workgroup.some((n, j) => n > sides[j]) || workgroup.reduce((a, b) => a * b) > lanes) {
      throw new DeviceError(`kernel ${name} needs workgroups of ${workgroup.join(" × ")} lanes, `
        + `${info.adapter} has at most ${lanes}`);
    }
    if (bindings.length > buffers) {
      throw new DeviceError(`kernel ${name} binds ${bindings.length} buffers, ${info.adapter} has `
        + `at most ${buffers}`);
    }
    if (bindings.some((b) => b.dtype === "f16") && !features.has("shader-f16")) {
      throw new DeviceError(`kernel ${name} needs shader-f16, which ${info.adapter} lacks`);
    }
  }
}

/** A pipeline for every kernel; kernels of the same code and bindings share one.
 * @param {Pack} pack @param {Device} device @param {(done: number, total: number) => void} progress
 * @returns {Promise<Pipeline[]>} */
async function compileAll(pack, device, progress) {
  const keys = pack.kernels.map((k) => k.bindings.map((b) => Number(b.writable)).join("") + k.wgsl);
  const unique = [...new Set(keys)];
  const codes = unique.map((key) => {
    const { name, wgsl, bindings } = pack.kernels[keys.indexOf(key)];
    return { name, source: wgsl, bindings };
  });
  const made = await device.compile(codes, progress);
  return keys.map((key) => made[unique.indexOf(key)]);
}
