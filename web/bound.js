// What a session makes when it first sees an input shape: memory laid out, dispatches recorded.

import { elements, evaluate } from "./dims.js";
import { DeviceError, PackError, ShapeError, messageOf } from "./errors.js";
import { elementBytes, place } from "./memory.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./device.js").Device} Device */
/** @typedef {import("./device.js").Pipeline} Pipeline */
/** @typedef {import("./device.js").Slice} Slice */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** `slices` of the plan's tensors, `dims` of its output ports.
 * @typedef {{slices: Slice[], uniform: GPUBuffer, recording: ReturnType<Device["record"]>,
 *   dims: Map<string, number[]>}} Bound */

/** Shapes whose recordings are kept; the one not used for longest goes first. */
const MAX_RECORDINGS = 32;

/** A slow software adapter's speed (2026-11): what a kernel's `work` is divided by for its cost. */
const OPERATIONS_PER_MS = 2e6;

/** What a tensor of `size` bytes is bound as: whole vec4s, and never nothing. @param {number} size */
export const bindingSize = (size) => Math.max(16, Math.ceil(size / 16) * 16);

/** Every shape's recording, over memory that they share and that grows with the largest. */
export class Shapes {
  /** @param {Pack} pack @param {Device} device @param {Pipeline[]} pipelines
   * @param {Map<number, Slice>} constants */
  constructor(pack, device, pipelines, constants) {
    this.pack = pack;
    this.device = device;
    this.pipelines = pipelines;
    this.constants = constants;
    /** @type {Map<string, Bound>} by the symbols' values, least recently used first */
    this.known = new Map();
    /** @type {Map<number | "arena", GPUBuffer>} inputs and outputs by tensor, and the arena */
    this.buffers = new Map();
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
    for (const [key, { uniform }] of [...this.known].slice(0, count)) {
      this.device.free(uniform);
      this.known.delete(key);
    }
  }

  /** @param {Bindings} bindings @returns {Bound} */
  #build(bindings) {
    const { pack, device } = this;
    const layout = layOut(pack, bindings);
    checkSizes(pack, device, layout.sizes);
    const grids = pack.steps.map((step) => gridOf(pack, device, step, bindings));
    this.#reserve(layout);
    const slices = layout.sizes.map((bytes, index) => {
      const offset = layout.offsets.get(index);
      const buffer = this.buffers.get(offset === undefined ? index : "arena");
      const own = { buffer: /** @type {GPUBuffer} */ (buffer), offset: offset ?? 0, size: bindingSize(bytes) };
      return this.constants.get(index) ?? own;
    });
    const uniform = device.allocate(4 * pack.symbols.length, "symbols");
    const values = Int32Array.from(pack.symbols, (s) => bindings[s.id]);
    device.upload(uniform, 0, new Uint8Array(values.buffer));
    const dispatches = pack.steps.map(({ problem, inputs, outputs }, j) => ({
      pipeline: this.pipelines[problem],
      slices: [...inputs, ...outputs].map((index) => slices[index]),
      grid: grids[j],
      cost: Math.max(0, evaluate(pack.kernels[problem].work, bindings)) / OPERATIONS_PER_MS,
    }));
    return { slices, uniform, recording: device.record(dispatches, uniform), dims: layout.dims };
  }

  /** Make room; where a buffer is replaced, older recordings name the old one and go.
   * @param {ReturnType<typeof layOut>} layout */
  #reserve({ sizes, peak }) {
    /** @type {[number | "arena", number][]} */
    const wanted = [["arena", peak]];
    this.pack.tensors.forEach(({ home }, index) => {
      if (home === "input" || home === "output") wanted.push([index, sizes[index]]);
    });
    const growing = wanted.filter(([key, size]) => !(size <= (this.buffers.get(key)?.size ?? -1)));
    for (const [key, size] of growing) {
      const old = this.buffers.get(key);
      if (old) {
        this.#forget(this.known.size);
        this.device.free(old);
        this.buffers.delete(key);
      }
      this.buffers.set(key, this.device.allocate(size, key === "arena" ? key : `tensor ${key}`));
    }
  }
}

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
function checkSizes(pack, { gpu, info }, sizes) {
  const most = gpu.limits.maxStorageBufferBindingSize;
  for (const { inputs, outputs, node } of pack.steps) {
    for (const tensor of [...inputs, ...outputs]) {
      if (bindingSize(sizes[tensor]) > most) {
        throw new DeviceError(`${node}: a tensor of ${sizes[tensor]} bytes passes what `
          + `${info.adapter} binds at once, ${most}; try smaller inputs`);
      }
    }
  }
}

/** @param {Pack} pack @param {Device} device @param {import("./manifest.js").Step} step
 * @param {Bindings} bindings @returns {number[]} */
function gridOf(pack, { gpu, info }, { problem }, bindings) {
  const { name, grid } = pack.kernels[problem];
  const counts = grid.map((dim) => evaluate(dim, bindings));
  const most = gpu.limits.maxComputeWorkgroupsPerDimension;
  if (counts.some((n) => n < 0 || n > most)) {
    throw new DeviceError(`kernel ${name} needs ${counts.join(" × ")} workgroups, ${info.adapter} `
      + `has at most ${most} a dimension; try smaller inputs`);
  }
  return counts;
}
