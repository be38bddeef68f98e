// InferenceSession: load a pack, run it. In the shape of onnxruntime-web's API.

import { bind, checkSymbols, shapeOf } from "./bind.js";
import { deviceNames, openDevice } from "./devices.js";
import { DeviceLostError, UsageError } from "./errors.js";
import { Files } from "./fetch.js";
import { load, rehearsed, tuningOf } from "./load.js";
import { Progress } from "./progress.js";
import { Tensor, fromStorage } from "./tensor.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** @typedef {import("./load.js").Loaded} Loaded */
/** @typedef {import("./bind.js").Feeds} Feeds */
/** @typedef {import("./tune.js").Tuning} Tuning */
/** @typedef {import("./devices.js").DeviceOptions & import("./fetch.js").FileOptions &
 *   import("./tune-options.js").TuneOptions &
 *   {worker?: boolean, onProgress?: import("./progress.js").OnProgress}} Options */
/** @typedef {ReturnType<typeof bind>} Bound */
/** @typedef {{signal?: AbortSignal}} RunOptions */
/** `shape` holds numbers and the names of dynamic dims; `low` and `high` bound an input's integers.
 * @typedef {{name: string, isTensor: true, type: import("./tensor.js").Type,
 *   shape: (number | string)[], low?: number, high?: number}} Metadata */

/** How a session is made in a worker: what workers load knows nothing of it, or bundlers would go in
 * circles. @type {{remote: (() => Promise<typeof import("./remote.js")>) | null}} */
export const ways = { remote: null };

/** A pack on a device, ready to run. */
export class InferenceSession {
  #pack;
  #device;
  #shapes;
  /** @type {Promise<unknown>} the last run */
  #tail = Promise.resolve();
  #released = false;
  /** @type {Tuning | null} */
  #tuning = null;
  /** @type {((device: string) => Promise<Loaded>) | null} load again after a trial took the device */
  #again = null;

  /** Use `InferenceSession.create`. @param {Loaded} loaded */
  constructor({ pack, device, kernels, shapes, float16 }) {
    this.#pack = pack;
    this.#device = device;
    this.#shapes = shapes;
    /** What tuning came to, once it has ended; null where none was needed or wanted.
     * @type {Promise<import("./records.js").Outcome | null>} */
    this.tuned = Promise.resolve(null);
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
    /** How a model of float16 runs: `native`, or `widened` to float32 where the device has no
     * float16; null for other models. @type {"native" | "widened" | null} */
    this.float16 = float16;
    /** Kernels that were ever compiled: after loading, only tuning adds to it. */
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
    if (options.worker && ways.remote) return (await ways.remote()).createRemote(url, options);
    const files = new Files(base, options, new Progress(String(url), options.onProgress));
    const opening = openDevice(options);
    opening.catch(() => {}); // it is awaited below, after the manifest
    try {
      const pack = await files.manifest();
      checkSymbols(pack);
      const tuning = await tuningOf(pack, files, options);
      const loaded = await load(pack, files, opening, tuning);
      await files.used();
      options.signal?.throwIfAborted();
      const session = new InferenceSession(loaded);
      await rehearsed(loaded);
      if (tuning) {
        await tuning.warm();
        session.#tuning = tuning;
        session.#again = (kind) => (
          load(pack, files, openDevice({ ...options, device: kind }), tuning));
        session.tuned = tuning.done;
        session.#attach();
      }
      files.progress.ready();
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
   * @param {RunOptions} [options] `signal` ends the wait; a run that hasn't begun never does then
   * @returns {Promise<Record<string, Tensor>>}
   */
  async run(feeds, fetches = this.outputNames, { signal } = {}) {
    if (this.#released) throw new UsageError("the session is closed");
    signal?.throwIfAborted();
    const bound = bind(this.#pack, feeds);
    const outputs = fetches.map((name) => {
      const port = this.#pack.outputs.find((p) => p.name === name);
      if (port) return port;
      const known = this.outputNames.join(", ");
      throw new UsageError(`unknown output '${name}': this model's outputs are ${known}`);
    });
    this.#tuning?.enter();
    const result = this.#tail.then(() => {
      signal?.throwIfAborted();
      return this.#execute(bound, outputs, feeds);
    });
    this.#tail = result.catch(() => {}).then(() => this.#tuning?.leave(bound.bindings));
    return signal ? unlessAborted(result, signal) : result;
  }

  /** Give the device's memory back, after the runs that are under way. @returns {Promise<void>} */
  async release() {
    if (this.#released) return;
    this.#released = true;
    this.#tuning?.stop();
    await this.#tail;
    this.#device.close();
  }

  #attach() {
    this.#tuning?.attach({
      shapes: this.#shapes,
      between: (work) => {
        const done = this.#tail.then(work);
        this.#tail = done.catch(() => {});
        return done;
      },
      swapped: () => { this.compiledKernels += 1; },
    });
  }

  /** @param {Bound} bound @param {Port[]} outputs @param {Feeds} feeds
   * @returns {Promise<Record<string, Tensor>>} */
  async #execute(bound, outputs, feeds) {
    if (!this.#tuning) return this.#once(bound, outputs);
    await this.#tuning.turns.before();
    try {
      return await this.#once(bound, outputs);
    } catch (error) {
      if (!(error instanceof DeviceLostError) || this.#released || !this.#tuning.tried()) throw error;
      await this.#recover(error);
      return this.#once(bind(this.#pack, feeds), outputs); // the CPU stores no float16
    }
  }

  /** A trial may take the GPU away from the page too: then the pack is loaded once more, on a GPU
   * that still answers or on the CPU. @param {Error} error */
  async #recover(error) {
    const kinds = this.#tuning?.gpuGone ? ["wasm"] : [this.deviceInfo.kind, "wasm"];
    this.#device.close();
    for (const kind of kinds) {
      const loaded = await this.#again?.(kind).catch(() => null);
      if (!loaded) continue;
      const { pack, device, shapes, float16 } = loaded;
      [this.#pack, this.#device, this.#shapes] = [pack, device, shapes];
      this.deviceInfo = device.info;
      this.float16 = float16;
      this.#attach();
      return;
    }
    throw error;
  }

  /** @param {Bound} bound @param {Port[]} outputs @returns {Promise<Record<string, Tensor>>} */
  async #once({ bindings, data }, outputs) {
    const { bytes, dims } = await this.#shapes.run(bindings, data, outputs);
    return Object.fromEntries(outputs.map(({ name, type, tensor }, j) => {
      const shape = /** @type {number[]} */ (dims.get(name));
      return [name, fromStorage(type, bytes[j], shape, this.#pack.tensors[tensor].storage)];
    }));
  }
}

/** @template T @param {Promise<T>} result @param {AbortSignal} signal @returns {Promise<T>} */
function unlessAborted(result, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    result.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** @param {Pack} pack @param {Port} port @returns {Metadata} */
function metadata(pack, port) {
  const { name, type, low, high } = port;
  const bounds = { ...(low !== null && { low }), ...(high !== null && { high }) };
  return { name, isTensor: true, type, shape: shapeOf(pack, port), ...bounds };
}
