// InferenceSession: load a pack, run it. In the shape of onnxruntime-web's API.

import { bind, checkSymbols, listedInputs, shapeOf } from "./bind.js";
import { AUTO_GPU, deviceNames, openDevice } from "./devices.js";
import { withEnv } from "./env.js";
import { DeviceLostError, UsageError } from "./errors.js";
import { filesOf } from "./fetch.js";
import { readFetches, staysOnGpu } from "./fetches.js";
import { moduleFor } from "./kernels.js";
import { load, rehearsed, tuningOf } from "./load.js";
import { Tensor, fromStorage } from "./tensor.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** @typedef {import("./load.js").Loaded} Loaded */
/** @typedef {import("./bind.js").Feeds} Feeds */
/** @typedef {import("./tune.js").Tuning} Tuning */
/** @typedef {import("./devices.js").DeviceOptions & import("./fetch.js").FileOptions &
 *   import("./tune-options.js").TuneOptions & import("./ort-types.js").OrtOptions &
 *   {worker?: boolean, onProgress?: import("./progress.js").OnProgress}} Options */
/** @typedef {ReturnType<typeof bind>} Bound */
/** @typedef {import("./ort-types.js").RunOptions} RunOptions */
/** @typedef {import("./ort-types.js").Fetches} Fetches */
/** @typedef {import("./ort-types.js").Asked} Asked */
/** @typedef {Options} InferenceSession.SessionOptions */
/** @typedef {import("./ort-types.js").RunOptions} InferenceSession.RunOptions */
/** @typedef {Feeds} InferenceSession.FeedsType */
/** @typedef {readonly string[] | Fetches} InferenceSession.FetchesType */
/** @typedef {Record<string, Tensor>} InferenceSession.ReturnType */
/** @typedef {Metadata} InferenceSession.ValueMetadata */
/** `shape` holds numbers and the names of dynamic dims; `low` and `high` bound an input's integers.
 * @typedef {{name: string, isTensor: true, type: import("./tensor.js").Type,
 *   shape: (number | string)[], low?: number, high?: number}} Metadata */
/** `texts` are the strings that an output of strings chooses among, `columns` the classes that the
 * columns of a matrix belong to. @typedef {Omit<Metadata, "type"> & {
 *   type: import("./tensor.js").Type | "string", texts?: readonly string[],
 *   columns?: readonly (string | number)[]}} OutputMetadata */

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
  /** @type {Promise<void> | null} */
  #released = null;
  /** @type {Tuning | null} */
  #tuning = null;
  /** @type {import("./recover.js").Origin | null} to load again from, after the device was lost */
  #origin = null;
  /** @type {DeviceLostError | null} why there is no device now */
  #lost = null;
  /** @type {import("./recover.js").Recovery | null} */
  #recovery = null;
  /** @type {Promise<unknown> | null} the code that recovers */
  #ready = null;
  /** @type {import("./gpu-tensor.js").GpuPorts | null} for tensors in GPU buffers */
  #ports = null;
  /** @type {import("./auto.js").Comparison | null} of devices, where `auto` hasn't compared them yet */
  #auto = null;
  /** Whether the page has something of this very device. */
  #pinned = false;

  /** Use `InferenceSession.create`. @param {Loaded} loaded */
  constructor({ pack, device, kernels, shapes, float16 }) {
    this.#pack = pack;
    this.#device = device;
    this.#shapes = shapes;
    /** What tuning came to, once it has ended; null where none was needed or wanted.
     * @type {Promise<import("./records.js").Outcome | null>} */
    this.tuned = Promise.resolve(null);
    /** What a run takes on each device, once `device: "auto"` has compared them; null where it need not.
     * @type {Promise<import("./auto.js").Times | null>} */
    this.compared = Promise.resolve(null);
    /** Names of the model's inputs, in its order. @type {readonly string[]} */
    this.inputNames = listedInputs(pack).map((p) => p.name);
    /** Names of the model's outputs, in its order. @type {readonly string[]} */
    this.outputNames = pack.outputs.map((p) => p.name);
    /** Types and shapes of the inputs, in the model's order. @type {readonly Metadata[]} */
    this.inputMetadata = listedInputs(pack).map((p) => /** @type {Metadata} */ (metadata(pack, p)));
    /** Types and shapes of the outputs, in the model's order.
     * @type {readonly OutputMetadata[]} */
    this.outputMetadata = pack.outputs.map((p) => metadata(pack, p));
    /** Which device this runs on; `recovered` counts those before it, which were lost. */
    this.deviceInfo = { ...device.info, recovered: 0 };
    /** How a model of float16 runs: `native`, or `widened` to float32 where the device has no
     * float16; null for other models. @type {"native" | "widened" | null} */
    this.float16 = float16;
    /** Kernels that were ever compiled: after loading, only tuning and recovery add to it. */
    this.compiledKernels = kernels.compiled;
  }

  /**
   * Load a pack: kernels compile while the weights download and are verified.
   * @param {string | URL | ArrayBuffer | ArrayBufferView | Blob} source the URL of a pack's folder, or
   *   of a pack in one file (`.webrt`), or what such a file holds
   * @param {Options | number} [options] or, as in onnxruntime-web, where in an ArrayBuffer it begins
   * @param {number} [length] of it then @param {Options} [more] the options then
   * @returns {Promise<InferenceSession>}
   */
  static async create(source, options = {}, length = undefined, more = {}) {
    if (typeof options === "number") {
      return this.create(new DataView(/** @type {ArrayBuffer} */ (source), options, length), more);
    }
    options = withEnv(options);
    const gpu = options.preferredOutputLocation && await import("./gpu-options.js");
    if (gpu) gpu.checkOutputs(options);
    deviceNames(options);
    options.signal?.throwIfAborted();
    if (options.worker && ways.remote) return (await ways.remote()).createRemote(source, options);
    const files = await filesOf(source, options);
    /** @type {(info: import("./protocol.js").DeviceInfo) => void} */
    let foresee = () => {};
    /** @type {Promise<import("./protocol.js").DeviceInfo>} a CPU's, before its workers are there */
    const foreseen = new Promise((resolve) => { foresee = resolve; });
    let opening = openDevice(options, foresee);
    opening.catch(() => {}); // it is awaited below, after the manifest
    /** @type {Loaded | null} */
    let loaded = null;
    /** @type {Tuning | null} */
    let tuning = null;
    try {
      const pack = await files.manifest();
      checkSymbols(pack);
      foreseen.then((info) => files.moduleAhead(moduleFor(pack, info)));
      tuning = await tuningOf(pack, files, options);
      opening = opening.then(async (device) => (device.info.reason !== AUTO_GPU ? device
        : (await import("./auto.js")).better(device, pack, options)));
      loaded = await load(pack, files, opening, tuning).catch(async (error) => {
        if (!(error instanceof DeviceLostError)) throw error;
        const { Recovery } = await import("./recover.js");
        const device = await opening;
        device.close();
        const recovery = new Recovery({ pack, files, tuning, options }, files);
        return recovery.run(error, { ...device.info, recovered: 0 });
      });
      files.used();
      options.signal?.throwIfAborted();
      if (gpu) gpu.checkDevice(options, loaded.device);
      const session = new InferenceSession(loaded);
      session.#origin = { pack, files, tuning, options };
      await rehearsed(loaded);
      await session.#prepare(options);
      if (tuning) {
        await tuning.warm();
        session.#tuning = tuning;
        session.tuned = tuning.done;
        session.#attach();
      }
      files.progress.ready();
      return session;
    } catch (error) {
      files.stop();
      tuning?.stop();
      loaded?.device.close();
      opening.then((device) => device.close(), () => {});
      options.signal?.throwIfAborted();
      throw error;
    }
  }

  /**
   * Run the model: `await session.run({name: tensor})` gives `{name: tensor}`. Calls queue; leave
   * the feeds' data alone until the promise settles.
   * @param {Feeds} feeds
   * @param {readonly string[] | Fetches | RunOptions} [fetches] names of the outputs wanted, all by
   *   default; or by name null, or a tensor for the result
   * @param {RunOptions} [options] `signal` ends the wait; a run that hasn't begun never does then
   * @returns {Promise<Record<string, Tensor>>}
   */
  async run(feeds, fetches, options) {
    if (this.#released) throw new UsageError("the session is closed");
    const { asked, options: { signal } } = readFetches(this.outputNames, fetches, options);
    signal?.throwIfAborted();
    const pack = this.#pack;
    const bound = bind(pack, feeds);
    const compare = this.#auto?.after(feeds);
    this.#tuning?.enter();
    const work = () => this.#once(
      pack === this.#pack ? bound : bind(this.#pack, feeds), asked); // a CPU stores no float16
    const result = this.#tail.then(() => {
      signal?.throwIfAborted();
      return this.#execute(work);
    });
    this.#tail = result.catch(() => {}).then(() => this.#tuning?.leave(bound.bindings));
    if (compare) result.then(compare, () => {});
    return signal ? unlessAborted(result, signal, asked) : result;
  }

  /**
   * Run the check vectors that the pack ships on this device, with the kernels that serve now; where
   * an output is wrong, the first step that writes something wrong is named.
   * @returns {Promise<import("./insight-verify.js").Verdict>}
   */
  async verify() {
    return this.#insight((insight, subject) => insight.verify(subject));
  }

  /**
   * Time every kernel of a run by itself: `dims` are the sizes of dynamic dims by the model's names,
   * `feeds` what to run on, else random inputs; `runs` is how often each is timed.
   * @param {import("./insight-profile.js").ProfileOptions} [options]
   * @returns {Promise<import("./insight-profile.js").Profile>}
   */
  async profile(options) {
    const { withTrace } = await import("./insight.js");
    return withTrace(await this.#insight((insight, subject) => insight.profile(subject, options)));
  }

  /** Where the model runs and why, what it does without there, what memory it takes, which kernels
   * serve. @returns {Promise<import("./insight-explain.js").Explanation>} */
  async explain() {
    return this.#insight((insight, subject) => insight.explain(subject));
  }

  /** @template T @param {(insight: typeof import("./insight.js"),
   *   subject: import("./insight-steps.js").Subject) => Promise<T>} look @returns {Promise<T>} */
  async #insight(look) {
    if (this.#released) throw new UsageError("the session is closed");
    const insight = await import("./insight.js");
    this.#tuning?.enter();
    const result = this.#tail.then(() => this.#execute(() => look(insight, {
      pack: this.#pack, device: this.#device, shapes: this.#shapes, float16: this.float16,
      deviceInfo: this.deviceInfo, origin: this.#origin,
    })));
    this.#tail = result.catch(() => {}).then(() => this.#tuning?.turns.leave());
    return result;
  }

  /** Give the device's memory back, after the runs that are under way. @returns {Promise<void>} */
  release() {
    return this.#released ??= this.#end();
  }

  async #end() {
    this.#tuning?.stop();
    this.#recovery?.stop();
    await this.#auto?.stop();
    await this.#tail;
    this.#device.close();
    await this.#origin?.files.keeper.begin();
  }

  /** `await using session = …` releases it. @returns {Promise<void>} */
  [Symbol.asyncDispose]() {
    return this.release();
  }

  /** `using session = …` releases it, and doesn't wait. */
  [Symbol.dispose]() {
    this.release();
  }

  /** The GPUDevice that this runs on, to make buffers for `Tensor.fromGpuBuffer`; null on the CPU.
   * @returns {GPUDevice | null} */
  get gpuDevice() {
    const { gpu = null } = /** @type {{gpu?: GPUDevice}} */ (this.#device);
    this.#pinned ||= gpu !== null;
    return gpu;
  }

  /** For the sake of onnxruntime-web's programs: without effect. */
  startProfiling() {}

  /** For the sake of onnxruntime-web's programs: without effect. */
  endProfiling() {}

  #attach() {
    this.#tuning?.attach({
      shapes: this.#shapes,
      between: (work) => this.#between(work),
      swapped: () => { this.compiledKernels += 1; },
    });
  }

  /** Run, on another device where this one is lost. @template T @param {() => Promise<T>} work
   * @returns {Promise<T>} */
  async #execute(work) {
    await this.#tuning?.turns.before();
    if (!this.#lost) {
      try {
        const result = await work();
        this.#origin?.files.keeper.answered();
        this.#ready ??= import("./recover.js").catch(() => null); // a lost network can't keep it away
        return result;
      } catch (error) {
        if (!(error instanceof DeviceLostError) || !this.#origin) throw error;
        this.#lost = error;
      }
    }
    await this.#recover(this.#lost);
    return work();
  }

  /** Load the pack once more, on a device that answers. @param {DeviceLostError} lost */
  async #recover(lost) {
    this.#device.close();
    const module = await import("./recover.js").catch(() => null);
    if (!module || !this.#origin || this.#released) throw lost;
    this.#recovery = new module.Recovery(this.#origin);
    const loaded = await this.#recovery.run(lost, this.deviceInfo);
    this.#lost = null;
    this.#recovery = null;
    this.#adopt(loaded, this.deviceInfo.recovered + 1);
  }

  /** Go on on another device. @param {Loaded} loaded @param {number} recovered */
  #adopt({ pack, device, kernels, shapes, float16 }, recovered) {
    [this.#pack, this.#device, this.#shapes] = [pack, device, shapes];
    this.deviceInfo = { ...device.info, recovered };
    this.float16 = float16;
    this.compiledKernels += kernels.compiled;
    this.#attach();
  }

  /** Where `auto` hasn't compared the devices yet: after the first answer, or before tuning begins.
   * @param {Options} options */
  async #prepare(options) {
    const [origin, device] = [this.#origin, this.#device];
    if (!origin || !this.deviceInfo.reason?.startsWith(AUTO_GPU)) return;
    const { Comparison, UNKNOWN } = await import("./auto.js");
    if (this.deviceInfo.reason !== UNKNOWN) return;
    const free = () => !this.#released && !this.#lost && !this.#pinned && this.#device === device;
    this.#auto = new Comparison(origin, {
      between: (work) => this.#between(work),
      serving: () => (free() ? { pack: this.#pack, shapes: this.#shapes, device } : null),
      move: (loaded) => {
        this.#adopt(loaded, this.deviceInfo.recovered);
        device.close();
      },
      told: (reason) => {
        if (this.#device === device) this.deviceInfo = { ...this.deviceInfo, reason };
      },
    });
    this.compared = this.#auto.done;
    if (options.tune === "now") await this.#auto.now();
  }

  /** Do something after the runs that were asked for so far, before those to come.
   * @template T @param {() => T | Promise<T>} work @returns {Promise<T>} */
  #between(work) {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => {});
    return done;
  }

  /** @param {Bound} bound @param {Asked} asked @returns {Promise<Record<string, Tensor>>} */
  async #once({ bindings, data }, asked) {
    const outputs = [...asked.keys()].map((name) => (
      /** @type {Port} */ (this.#pack.outputs.find((port) => port.name === name))));
    const gpu = await this.#onGpu(data, outputs, asked);
    try {
      const { bytes, dims } = await this.#shapes.run(
        bindings, gpu?.uploads ?? /** @type {Uint8Array<ArrayBuffer>[]} */ (data), outputs, gpu);
      const results = Object.fromEntries(outputs.map(({ name, type, tensor }, j) => {
        const shape = /** @type {number[]} */ (dims.get(name));
        const { storage } = this.#pack.tensors[tensor];
        return [name, gpu?.tensors.get(name) ?? fromStorage(type, bytes[j], shape, storage)];
      }));
      for (const { name, labels: { texts } } of outputs) {
        if (!texts || gpu?.tensors.has(name)) continue;
        results[name] = (await import("./texts.js")).named(results[name], texts);
      }
      if ([...asked.values()].every((given) => !given)) return results;
      return (await import("./given.js")).filled(results, asked);
    } catch (error) {
      // What else there is to say of this run is not for the next one to hear.
      const more = await this.#device.settle().catch((later) => later);
      if (more instanceof DeviceLostError) throw more;
      throw gpu ? await gpu.failed(error) : error;
    }
  }

  /** A run's tensors in GPU buffers; null where there are none. @param {Bound["data"]} data
   * @param {Port[]} outputs @param {Asked} asked */
  async #onGpu(data, outputs, asked) {
    const location = this.#origin?.options.preferredOutputLocation;
    if (!data.some((feed) => feed instanceof Tensor)
      && ![...asked].some(([name, given]) => staysOnGpu(name, given, location))) return null;
    this.#pinned = true;
    const { GpuPorts } = await import("./gpu-tensor.js");
    this.#ports = GpuPorts.of(this.#ports, this.#pack, this.#device);
    return this.#ports.begin(data, outputs, asked, location);
  }
}

/** @param {Promise<Record<string, Tensor>>} result @param {AbortSignal} signal @param {Asked} asked
 * @returns {Promise<Record<string, Tensor>>} */
function unlessAborted(result, signal, asked) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      reject(signal.reason);
      result.then((made) => { // nobody will: what it made on the GPU
        for (const name in made) if (!asked.get(name)) made[name].dispose();
      }, () => {});
    };
    signal.addEventListener("abort", stop, { once: true });
    result.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** @param {Pack} pack @param {Port} port @returns {OutputMetadata} */
function metadata(pack, port) {
  const { name, low, high, labels } = port;
  const type = labels.texts ? "string" : port.type;
  const bounds = { ...(low !== null && { low }), ...(high !== null && { high }) };
  return { name, isTensor: true, type, shape: shapeOf(pack, port), ...bounds, ...labels };
}
