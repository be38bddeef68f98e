// What a session makes when it first sees an input shape: memory laid out, dispatches recorded.

import { elements, evaluate } from "./dims.js";
import { DeviceError, PackError, ShapeError, messageOf } from "./errors.js";
import { elementBytes, place } from "./memory.js";
import { aligned, bindingSize, checkTotal } from "./weights.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./protocol.js").Buffer} Buffer */
/** @typedef {import("./protocol.js").Slice} Slice */
/** @typedef {import("./kernels.js").Kernels} Kernels */
/** @typedef {import("./kernels.js").Kernel} Kernel */
/** @typedef {import("./weights.js").Weights} Weights */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** @typedef {import("./gpu-tensor.js").GpuRun} GpuRun */
/** `slices` of the plan's tensors, `dims` of its output ports, a dispatch a step.
 * @typedef {{slices: Slice[], uniform: Buffer, recording: any, dispatches: Dispatch[],
 *   dims: Map<string, number[]>}} Bound */
/** @typedef {import("./protocol.js").Dispatch} Dispatch */

/** Shapes whose recordings are kept; the one not used for longest goes first. */
const MAX_RECORDINGS = 32;

/** A slow software adapter's speed (2026-11): what a kernel's `work` is divided by for its cost. */
export const OPERATIONS_PER_MS = 2e6;

/** Every shape's recording, over memory that they share and that grows with the largest. */
export class Shapes {
  /** @param {Pack} pack @param {Device} device @param {Kernels} kernels @param {Weights} weights */
  constructor(pack, device, kernels, weights) {
    this.pack = pack;
    this.device = device;
    this.kernels = kernels;
    this.weights = weights;
    /** @type {Map<string, Bound>} by the symbols' values, least recently used first */
    this.known = new Map();
    /** @type {Map<number | "arena", Buffer>} inputs and outputs by tensor, and the arena */
    this.buffers = new Map();
    /** @type {Map<number, {dims: Bindings, kernel: Kernel}[]>} by problem: kernels that tuning found
     * for some values of symbols */
    this.tuned = new Map();
  }

  /** The kernel that serves a problem at these symbols' values.
   * @param {number} problem @param {Bindings} bindings @returns {Kernel} */
  kernel(problem, bindings) {
    const tuned = this.tuned.get(problem)?.find(({ dims }) => agree(dims, bindings));
    return tuned?.kernel ?? this.kernels.problems[problem];
  }

  /** Serve a tuned kernel for a problem at these values of symbols, from the next run on. No run may
   * be under way. Gives the kernel that it takes the place of, if that was a tuned one.
   * @param {number} problem @param {Bindings} dims @param {Kernel} kernel
   * @returns {Kernel | undefined} */
  install(problem, dims, kernel) {
    const others = (this.tuned.get(problem) ?? []).filter((t) => !(agree(t.dims, dims)
      && agree(dims, t.dims)));
    const old = this.tuned.get(problem)?.find((t) => !others.includes(t))?.kernel;
    this.tuned.set(problem, [...others, { dims, kernel }]);
    for (const key of [...this.known.keys()]) {
      const values = key.split(",");
      const bindings = Object.fromEntries(this.pack.symbols.map((s, j) => [s.id, Number(values[j])]));
      if (agree(dims, bindings)) this.#drop(key);
    }
    return old;
  }

  /** What these symbols' values need, made when they are first seen.
   * @param {Bindings} bindings @returns {Bound} */
  get(bindings) {
    const key = this.pack.symbols.map((s) => bindings[s.id]).join();
    let bound = this.known.get(key);
    if (bound) {
      this.known.delete(key); // and set again: a Map keeps the order of insertion
    } else {
      bound = this.#build(bindings);
      if (this.known.size >= MAX_RECORDINGS) this.#forget(1);
    }
    this.known.set(key, bound);
    return bound;
  }

  /** Drop the `count` oldest recordings. @param {number} count */
  #forget(count) {
    for (const key of [...this.known.keys()].slice(0, count)) this.#drop(key);
  }

  /** @param {string} key of a recording */
  #drop(key) {
    this.#end(/** @type {Bound} */ (this.known.get(key)));
    this.known.delete(key);
  }

  /** @param {Bound} bound */
  #end({ uniform, recording }) {
    this.device.discard(recording);
    this.device.free(uniform);
  }

  /** @param {Bindings} bindings @param {GpuRun | null} [gpu] that lends buffers @returns {Bound} */
  #build(bindings, gpu) {
    const { pack, device } = this;
    const layout = layOut(pack, bindings);
    checkSizes(pack, device, layout.sizes);
    const lent = gpu?.lend(layout);
    const kernels = pack.steps.map(({ problem }) => this.kernel(problem, bindings));
    const grids = kernels.map((kernel) => gridOf(kernel, device, bindings));
    this.#reserve(layout, lent);
    const slices = layout.sizes.map((bytes, index) => {
      if (pack.tensors[index].home === "constant") return this.weights.of(index);
      const offset = layout.offsets.get(index);
      const buffer = lent?.get(index) ?? this.buffers.get(offset === undefined ? index : "arena");
      return { buffer: /** @type {Buffer} */ (buffer), offset: offset ?? 0, size: bindingSize(bytes) };
    });
    const dispatches = pack.steps.map(({ inputs, outputs }, j) => ({
      pipeline: kernels[j].pipeline,
      slices: [...inputs, ...outputs].map((index, position) => {
        const packer = kernels[j].panels.get(position);
        return packer === undefined ? slices[index] : this.weights.of(index, packer);
      }),
      outputs: outputs.length,
      grid: grids[j],
      cost: Math.max(0, evaluate(kernels[j].work, bindings)) / OPERATIONS_PER_MS,
    }));
    const uniform = device.allocate(4 * pack.symbols.length, "symbols");
    try {
      const values = Int32Array.from(pack.symbols, (s) => bindings[s.id]);
      device.upload(uniform, 0, new Uint8Array(values.buffer));
      const recording = device.record(dispatches, uniform);
      return { slices, uniform, recording, dispatches, dims: layout.dims };
    } catch (error) {
      device.free(uniform);
      throw error;
    }
  }

  /** Make room; where a buffer is replaced, older recordings name the old one and go.
   * @param {ReturnType<typeof layOut>} layout @param {ReadonlyMap<number, unknown>} [lent] */
  #reserve({ sizes, peak }, lent) {
    /** @type {[number | "arena", number][]} */
    const wanted = [["arena", peak]];
    this.pack.tensors.forEach(({ home }, index) => {
      if ((home === "input" || home === "output") && !lent?.has(index)) wanted.push([index, sizes[index]]);
    });
    /** @param {number | "arena"} key */
    const sizeOf = (key) => this.buffers.get(key)?.size ?? 0;
    const held = wanted.reduce((sum, [key, size]) => sum + aligned(Math.max(size, sizeOf(key), 16)), 0);
    checkTotal(this.weights.total + held, "weights, inputs, outputs and activations", this.device.info);
    const growing = wanted.filter(([key, size]) => size > sizeOf(key) || !this.buffers.has(key));
    if (growing.some(([key]) => this.buffers.has(key))) this.#forget(this.known.size);
    for (const [key] of growing) this.#release(key);
    for (const [key, size] of growing) {
      this.buffers.set(key, this.device.allocate(size, key === "arena" ? key : `tensor ${key}`));
    }
  }

  /** @param {number | "arena"} key */
  #release(key) {
    const buffer = this.buffers.get(key);
    if (buffer) this.device.free(buffer);
    this.buffers.delete(key);
  }

  /** Run once and read the tensors of `outputs`. @param {Bindings} bindings
   * @param {(Uint8Array<ArrayBuffer> | null)[]} data of the inputs; null for those that `gpu` feeds
   * @param {readonly import("./manifest.js").Port[]} outputs
   * @param {GpuRun | null} [gpu] tensors that are on the GPU
   * @returns {Promise<{bytes: ArrayBuffer[], dims: Map<string, number[]>}>} */
  async run(bindings, data, outputs, gpu) {
    /** @type {Bound | null} what serves this run alone, in buffers that are lent */
    let own = null;
    try {
      const { slices, recording, dims } = gpu?.lends
        ? own = this.#build(bindings, gpu) : this.get(bindings);
      send(this, data, ({ tensor }) => slices[tensor].buffer);
      if (gpu) {
        gpu.feed((tensor) => slices[tensor]);
        this.device.replay(recording);
        return { bytes: await gpu.take((tensor) => slices[tensor], dims), dims };
      }
      const wanted = outputs.map(({ tensor }) => slices[tensor]);
      return { bytes: await this.device.replayAndRead(recording, wanted), dims };
    } catch (error) {
      // Nothing that was made for a failed run serves another one, and a smaller one may have room.
      if (!(error instanceof ShapeError)) this.clear();
      throw error;
    } finally {
      if (own) this.#end(own);
    }
  }

  /** Give back all but the weights. */
  clear() {
    this.#forget(this.known.size);
    for (const key of [...this.buffers.keys()]) this.#release(key);
  }
}

/** Upload what comes from the CPU. @param {{pack: Pack, device: Device}} shapes
 * @param {(Uint8Array<ArrayBuffer> | null)[]} data
 * @param {(port: import("./manifest.js").Port) => Buffer} bufferOf */
export function send({ pack, device }, data, bufferOf) {
  data.forEach((bytes, j) => {
    if (bytes) device.upload(bufferOf(pack.inputs[j]), 0, bytes);
  });
}

/** Whether all of `dims` have these values in `bindings`.
 * @param {Bindings} dims @param {Bindings} bindings */
export const agree = (dims, bindings) =>
  Object.entries(dims).every(([name, value]) => bindings[name] === value);

/** Sizes of the tensors, places of the arena's and dims of the outputs.
 * @param {Pack} pack @param {Bindings} bindings */
function layOut(pack, bindings) {
  try {
    const sizes = pack.tensors.map((t) => elements(t.shape, bindings) * elementBytes(t.dtype));
    for (const { name, shape, tensor } of [...pack.inputs, ...pack.outputs]) {
      if (elements(shape, bindings) * elementBytes(pack.tensors[tensor].dtype) !== sizes[tensor]) {
        throw new PackError(`'${name}' and its tensor differ in size; pack the model again`);
      }
    }
    const dims = new Map(pack.outputs.map((p) => [p.name, p.shape.map((d) => evaluate(d, bindings))]));
    return { sizes, dims, ...place(pack, bindings) };
  } catch (error) {
    if (error instanceof PackError) throw error;
    throw new ShapeError(`the model can't run at this input shape: ${messageOf(error)}`);
  }
}

/** @param {Pack} pack @param {Device} device @param {number[]} sizes */
function checkSizes(pack, { info }, sizes) {
  const most = info.limits.maxStorageBufferBindingSize;
  for (const { inputs, outputs, node } of pack.steps) {
    for (const tensor of [...inputs, ...outputs]) {
      if (bindingSize(sizes[tensor]) > most) {
        throw new DeviceError(`${node}: a tensor of ${sizes[tensor]} bytes passes what `
          + `${info.adapter} binds at once, ${most}; try smaller inputs`);
      }
    }
  }
}

/** @param {Kernels["problems"][number]} kernel @param {Device} device @param {Bindings} bindings
 * @returns {number[]} */
export function gridOf({ name, grid }, { info }, bindings) {
  const counts = grid.map((dim) => evaluate(dim, bindings));
  const most = info.limits.maxComputeWorkgroupsPerDimension;
  if (counts.some((n) => n < 0 || n > most)) {
    throw new DeviceError(`kernel ${name} needs ${counts.join(" × ")} workgroups, ${info.adapter} `
      + `has at most ${most} a dimension; try smaller inputs`);
  }
  return counts;
}
