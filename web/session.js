// InferenceSession: load a pack, run it. In the shape of onnxruntime-web's API.

import { bind, checkSymbols, shapeOf } from "./bind.js";
import { Shapes } from "./bound.js";
import { deviceNames, openDevice } from "./devices.js";
import { UsageError } from "./errors.js";
import { Files } from "./fetch.js";
import { compileKernels, moduleFor } from "./kernels.js";
import { Tensor, fromStorage } from "./tensor.js";
import { rehearse, warmKernels, warmPackers } from "./warm.js";
import { WasmDevice } from "./wasm.js";
import { Weights } from "./weights.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./kernels.js").Kernels} Kernels */
/** @typedef {import("./bind.js").Feeds} Feeds */
/** What `onProgress` is told: bytes of weights, or kernels.
 * @typedef {{stage: "weights" | "kernels", done: number, total: number}} Progress */
/** @typedef {import("./devices.js").DeviceOptions & import("./fetch.js").FileOptions &
 *   {onProgress?: (progress: Progress) => void}} Options */
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
   * @param {Kernels} kernels @param {Weights} weights */
  constructor(pack, device, kernels, weights) {
    this.#pack = pack;
    this.#device = device;
    this.#shapes = new Shapes(pack, device, kernels, weights);
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
    this.compiledKernels = kernels.compiled;
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
    deviceNames(options);
    const base = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
    if (!base.pathname.endsWith("/")) base.pathname += "/";
    options.signal?.throwIfAborted();
    const files = new Files(base, options);
    const opening = openDevice(options);
    opening.catch(() => {}); // it is awaited below, after the manifest
    try {
      const pack = await files.manifest();
      checkSymbols(pack);
      const device = await opening;
      const weights = new Weights(pack, device);
      const { onProgress } = options;
      const kernels = compile(pack, files, device,
        (done, total) => onProgress?.({ stage: "kernels", done, total }));
      await Promise.all([
        weights.load(files, kernels, (done, total) => onProgress?.({ stage: "weights", done, total })),
        device instanceof WasmDevice && kernels.then((made) => warmKernels(pack, device, made)),
      ]);
      options.signal?.throwIfAborted();
      const session = new InferenceSession(pack, device, await kernels, weights);
      if (device instanceof WasmDevice) await rehearse(pack, device, session.#shapes);
      return session;
    } catch (error) {
      files.stop();
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
    let bytes;
    try {
      bytes = await device.replayAndRead(recording, outputs.map((port) => slices[port.tensor]));
    } catch (error) {
      this.#shapes.clear(); // where there was no memory for it, smaller inputs may have some
      throw error;
    }
    return Object.fromEntries(outputs.map(({ name, type }, j) => (
      [name, fromStorage(type, bytes[j], /** @type {number[]} */ (dims.get(name)))])));
  }
}

/** @param {Pack} pack @param {Files} files @param {Device} device
 * @param {(done: number, total: number) => void} progress @returns {Promise<Kernels>} */
async function compile(pack, files, device, progress) {
  const { info } = device;
  const module = info.kind === "wasm" ? await files.module(moduleFor(pack, info)) : null;
  const kernels = await compileKernels(pack, device, module, progress);
  if (device instanceof WasmDevice) await warmPackers(pack, device, kernels);
  return kernels;
}

/** @param {Pack} pack @param {Port} port @returns {Metadata} */
function metadata(pack, port) {
  const { name, type, low, high } = port;
  const bounds = { ...(low !== null && { low }), ...(high !== null && { high }) };
  return { name, isTensor: true, type, shape: shapeOf(pack, port), ...bounds };
}
