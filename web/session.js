// InferenceSession: load a pack, bind shapes, run. In the shape of onnxruntime-web's API.

import { MAX_SYMBOL, elements, evaluate, show } from "./dims.js";
import { Device } from "./device.js";
import { DeviceError, ShapeError, UsageError, messageOf } from "./errors.js";
import { loadPack, loadWeights } from "./load.js";
import { elementBytes, place } from "./memory.js";
import { Tensor, fromStorage, isType, toStorage } from "./tensor.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** @typedef {import("./device.js").Slice} Slice */
/** @typedef {import("./device.js").Pipeline} Pipeline */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** What `onProgress` is told: bytes of the pack, or kernels.
 * @typedef {{phase: "download" | "compile", done: number, total: number}} Progress */
/** @typedef {{device?: string, executionProviders?: readonly (string | {name: string})[],
 *   powerPreference?: GPUPowerPreference, onProgress?: (progress: Progress) => void}} Options */
/** `shape` holds numbers and the names of dynamic dims.
 * @typedef {{name: string, isTensor: true, type: import("./tensor.js").Type,
 *   shape: (number | string)[]}} Metadata */
/** A tensor, or anything with its three members (onnxruntime-web's own Tensor, say).
 * @typedef {{type: string, data: any, dims: readonly number[]}} TensorLike */
/** All that one combination of input shapes needs, built once.
 * @typedef {{bindings: Bindings, slices: Slice[], owned: GPUBuffer[],
 *   recording: ReturnType<Device["record"]>}} Bound */

/** Combinations of shapes that keep their memory; the least recently used goes first. */
const MAX_BOUND = 4;

/** Scalar operations a millisecond on a slow device (SwiftShader, 2 cores, 2026-11): until a run
 * was timed, submissions are cut by it. */
const SLOW_RATE = 1e6;

/** A pack on a device, ready to run. */
export class InferenceSession {
  #pack;
  #device;
  #pipelines;
  #constants;
  /** @type {Map<string, Bound>} */
  #bound = new Map();
  /** @type {Promise<unknown>} */
  #tail = Promise.resolve();
  #released = false;

  /** Use `InferenceSession.create`. @param {Pack} pack @param {Device} device
   * @param {Pipeline[]} pipelines @param {Map<number, Slice>} constants */
  constructor(pack, device, pipelines, constants) {
    this.#pack = pack;
    this.#device = device;
    this.#pipelines = pipelines;
    this.#constants = constants;
    /** Names of the model's inputs, in its order. @type {readonly string[]} */
    this.inputNames = pack.inputs.map((p) => p.name);
    /** Names of the model's outputs, in its order. @type {readonly string[]} */
    this.outputNames = pack.outputs.map((p) => p.name);
    /** @type {readonly Metadata[]} */
    this.inputMetadata = pack.inputs.map((p) => metadata(p, pack));
    /** @type {readonly Metadata[]} */
    this.outputMetadata = pack.outputs.map((p) => metadata(p, pack));
    /** Which device this runs on. */
    this.deviceInfo = device.info;
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
    opening.catch(() => {});
    const pack = await loadPack(base);
    const device = await opening;
    try {
      checkKernels(pack, device);
      const { onProgress } = options;
      const sources = pack.kernels.map((k) => ({ name: k.name, source: k.wgsl, bindings: k.bindings }));
      const [pipelines, constants] = await Promise.all([
        device.compile(sources, (done, total) => onProgress?.({ phase: "compile", done, total })),
        loadWeights(base, pack, device,
          (done, total) => onProgress?.({ phase: "download", done, total })),
      ]);
      return new InferenceSession(pack, device, pipelines, constants);
    } catch (error) {
      device.close();
      throw error;
    }
  }

  /**
   * Run the model: `await session.run({name: tensor})` gives `{name: tensor}`. Calls queue; leave
   * the feeds' data alone until the promise settles.
   * @param {Readonly<Record<string, TensorLike>>} feeds
   * @param {readonly string[]} [fetches] names of the outputs wanted; all by default
   * @returns {Promise<Record<string, Tensor>>}
   */
  async run(feeds, fetches = this.outputNames) {
    if (this.#released) throw new UsageError("the session was released");
    const tensors = this.#checkFeeds(feeds);
    const bindings = bindSymbols(this.#pack, tensors);
    const data = this.#pack.inputs.map((p, j) => toStorage(p.name, tensors[j], p.low, p.high));
    const outputs = [...fetches].map((name) => {
      const port = this.#pack.outputs.find((p) => p.name === name);
      if (port) return port;
      throw new UsageError(`output ${name}: no such output; expected ${this.outputNames.join(", ")}`);
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

  /** @param {Readonly<Record<string, TensorLike>>} feeds @returns {Tensor[]} */
  #checkFeeds(feeds) {
    const expected = this.inputNames.join(", ");
    for (const name of Object.keys(feeds ?? {})) {
      if (!this.inputNames.includes(name)) {
        throw new ShapeError(`input ${name}: no such input; expected ${expected}`);
      }
    }
    return this.#pack.inputs.map(({ name, type }) => {
      const feed = feeds && Object.hasOwn(feeds, name) ? feeds[name] : undefined;
      if (!feed) throw new ShapeError(`input ${name}: is missing; expected ${expected}`);
      if (feed.type !== type) {
        throw new ShapeError(`input ${name}: expected ${type}, found ${feed.type}`);
      }
      if (feed instanceof Tensor) return feed;
      return new Tensor(isType(feed.type) ? feed.type : type, feed.data, feed.dims);
    });
  }

  /** @param {Bindings} bindings @param {Uint8Array<ArrayBuffer>[]} data @param {Port[]} outputs
   * @returns {Promise<Record<string, Tensor>>} */
  async #execute(bindings, data, outputs) {
    const bound = this.#bind(bindings);
    this.#pack.inputs.forEach((port, j) => {
      this.#device.upload(bound.slices[port.tensor].buffer, 0, data[j]);
    });
    const requests = outputs.map((port) => bound.slices[port.tensor]);
    const bytes = await this.#device.replayAndRead(bound.recording, requests);
    return Object.fromEntries(outputs.map((port, j) => {
      const dims = port.shape.map((dim) => evaluate(dim, bindings));
      return [port.name, fromStorage(port.type, bytes[j], dims)];
    }));
  }

  /** What these symbols' values need: memory, bind groups, dispatches. @param {Bindings} bindings */
  #bind(bindings) {
    const key = this.#pack.symbols.map((s) => bindings[s.id]).join();
    let bound = this.#bound.get(key);
    if (bound) {
      this.#bound.delete(key); // and set again: a Map keeps the order of insertion
    } else {
      for (const [oldest, { owned }] of this.#bound) {
        if (this.#bound.size < MAX_BOUND) break;
        owned.forEach((buffer) => this.#device.free(buffer));
        this.#bound.delete(oldest);
      }
      bound = build(this.#pack, this.#device, this.#pipelines, this.#constants, bindings);
    }
    this.#bound.set(key, bound);
    return bound;
  }
}

/** @param {Options} options */
function checkDeviceName({ device, executionProviders = [] }) {
  const providers = executionProviders.map((p) => (typeof p === "string" ? p : p.name));
  for (const name of device === undefined ? providers : [device]) {
    if (name !== "webgpu" && name !== "auto") {
      throw new DeviceError(`unknown device ${JSON.stringify(name)}: expected "webgpu" or "auto"`);
    }
  }
}

/** @param {Port} port @param {Pack} pack @returns {Metadata} */
function metadata({ name, type, shape }, pack) {
  const names = Object.fromEntries(pack.symbols.map((s) => [s.id, s.name]));
  const dims = shape.map((dim) => (typeof dim === "number" ? dim : show(dim, names)));
  return { name, isTensor: true, type, shape: dims };
}

/** Refuse kernels that the device can't run, before it is asked to. @param {Pack} pack
 * @param {Device} device */
function checkKernels(pack, { gpu: { limits, features } }) {
  const most = [limits.maxComputeWorkgroupSizeX, limits.maxComputeWorkgroupSizeY,
    limits.maxComputeWorkgroupSizeZ];
  for (const { name, workgroup, bindings } of pack.kernels) {
    const lanes = workgroup.reduce((a, b) => a * b);
    if (workgroup.some((n, j) => n > most[j]) || lanes > limits.maxComputeInvocationsPerWorkgroup) {
      throw new DeviceError(`kernel ${name}: workgroups of ${workgroup.join(" × ")} lanes are more `
        + `than the device's ${limits.maxComputeInvocationsPerWorkgroup}`);
    }
    if (bindings.length > limits.maxStorageBuffersPerShaderStage) {
      throw new DeviceError(`kernel ${name}: ${bindings.length} buffers are more than the device's `
        + limits.maxStorageBuffersPerShaderStage);
    }
    if (bindings.some((b) => b.dtype === "f16") && !features.has("shader-f16")) {
      throw new DeviceError(`kernel ${name}: needs float16, which this device lacks`);
    }
  }
}

/** The symbols' values that the feeds' shapes show; every shape has to agree.
 * @param {Pack} pack @param {Tensor[]} tensors @returns {Bindings} */
export function bindSymbols(pack, tensors) {
  /** @type {Bindings} */
  const bindings = {};
  const names = Object.fromEntries(pack.symbols.map((s) => [s.id, s.name]));
  pack.inputs.forEach(({ shape }, j) => shape.forEach((dim, axis) => {
    const size = tensors[j].dims[axis];
    if (typeof dim === "string" && size !== undefined) bindings[dim] ??= size;
  }));
  for (const { id, name } of pack.symbols) {
    if (bindings[id] === undefined) throw new ShapeError(`no input's shape shows ${name}`);
    if (bindings[id] < 1 || bindings[id] > MAX_SYMBOL) {
      throw new ShapeError(`${name} is ${bindings[id]}: expected 1 to ${MAX_SYMBOL}`);
    }
  }
  pack.inputs.forEach(({ name, shape }, j) => {
    const { dims } = tensors[j];
    const agrees = dims.length === shape.length
      && shape.every((dim, axis) => evaluate(dim, bindings) === dims[axis]);
    if (agrees) return;
    const wanted = shape.map((dim) => show(dim, names)).join(", ");
    const values = pack.symbols.filter((s) => shape.includes(s.id))
      .map((s) => `${s.name} = ${bindings[s.id]}`).join(", ");
    throw new ShapeError(`input ${name}: expected shape [${wanted}]${values && ` with ${values}`}, `
      + `found [${dims.join(", ")}]`);
  });
  return bindings;
}

/** @param {Pack} pack @param {Device} device @param {Pipeline[]} pipelines
 * @param {Map<number, Slice>} constants @param {Bindings} bindings @returns {Bound} */
function build(pack, device, pipelines, constants, bindings) {
  /** @type {GPUBuffer[]} */
  const owned = [];
  /** @param {number} size @param {string} label */
  const allocate = (size, label) => {
    const buffer = device.allocate(size, label);
    owned.push(buffer);
    return buffer;
  };
  try {
    const { offsets, peak } = place(pack, bindings);
    const arena = allocate(peak, "arena");
    const slices = pack.tensors.map(({ shape, home, dtype }, index) => {
      const constant = constants.get(index);
      if (constant) return constant;
      const size = Math.max(16, Math.ceil(elements(shape, bindings) * elementBytes(dtype) / 16) * 16);
      const offset = offsets.get(index);
      if (offset !== undefined) return { buffer: arena, offset, size };
      // An arena tensor that no step touches takes no memory.
      return { buffer: home === "arena" ? arena : allocate(size, home), offset: 0, size };
    });
    const uniform = allocate(Math.max(16, 4 * pack.symbols.length), "symbols");
    const values = Int32Array.from(pack.symbols, (s) => bindings[s.id]);
    device.upload(uniform, 0, new Uint8Array(values.buffer));
    const dispatches = pack.steps.map((step) => dispatch(pack, device, pipelines, slices, bindings, step));
    return { bindings, slices, owned, recording: device.record(dispatches, uniform) };
  } catch (error) {
    owned.forEach((buffer) => device.free(buffer));
    const typed = error instanceof DeviceError || error instanceof ShapeError;
    throw typed ? error : new ShapeError(`these shapes can't be run: ${messageOf(error)}`);
  }
}

/** @param {Pack} pack @param {Device} device @param {Pipeline[]} pipelines @param {Slice[]} slices
 * @param {Bindings} bindings @param {import("./manifest.js").Step} step */
function dispatch(pack, device, pipelines, slices, bindings, { problem, inputs, outputs, node }) {
  const kernel = pack.kernels[problem];
  const { maxComputeWorkgroupsPerDimension: most, maxStorageBufferBindingSize } = device.gpu.limits;
  const grid = kernel.grid.map((dim) => evaluate(dim, bindings));
  if (grid.some((n) => n < 0 || n > most)) {
    throw new DeviceError(`${node}: a grid of ${grid.join(" × ")} workgroups is more than the `
      + `device's ${most} a dimension`);
  }
  const used = [...inputs, ...outputs].map((index) => slices[index]);
  for (const { size } of used) {
    if (size > maxStorageBufferBindingSize) {
      throw new DeviceError(`${node}: a tensor of ${size} bytes is more than the device binds `
        + `(${maxStorageBufferBindingSize})`);
    }
  }
  const cost = Math.max(0, evaluate(kernel.work, bindings)) / SLOW_RATE;
  return { pipeline: pipelines[problem], slices: used, grid, cost };
}
