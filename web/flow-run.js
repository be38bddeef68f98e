// One run of a flow: where everything lies, and what the symbols are, as it goes along.
// webrt/runtime/shape.py and webrt/runtime/flow.py in JavaScript.

import { OPERATIONS_PER_MS, gridOf } from "./bound.js";
import { evaluate } from "./dims.js";
import { DeviceError, PackError, ShapeError, messageOf } from "./errors.js";
import { widened } from "./halves.js";
import { compute } from "./host.js";
import { elementBytes, placeLives } from "./memory.js";
import { bindingSize } from "./weights.js";

/** @typedef {import("./protocol.js").Slice} Slice */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** @typedef {import("./dims.js").Dim} Dim */
/** @typedef {import("./flow-read.js").Item} Item */
/** @typedef {import("./flow-read.js").HostStep} HostStep */
/** @typedef {import("./flow.js").Layout} Layout */
/** @typedef {import("./flow.js").Made} Made */
/** @typedef {import("./flow.js").Part} Part */
/** @typedef {import("./flow.js").Stop} Stop */
/** @typedef {import("./flow.js").Straight} Straight */
/** @typedef {import("./host.js").Results["arrays"]} Arrays */

const MAX_DISPATCHES = 1 << 18;

/** One run: where everything lies, and what the symbols are, as it goes along. */
export class FlowRun {
  /** @param {import("./flow.js").FlowShapes} shapes @param {Made} made
   * @param {(Uint8Array<ArrayBuffer> | null)[]} data of the inputs, where they come from the CPU
   * @param {import("./insight-steps.js").Observe | null} [observe] */
  constructor(shapes, made, data, observe = null) {
    this.observe = observe;
    this.shapes = shapes;
    this.pack = shapes.pack;
    this.device = shapes.device;
    this.made = made;
    /** @type {Map<number, Uint8Array<ArrayBuffer>>} */
    this.inputs = new Map();
    data.forEach((bytes, j) => bytes && this.inputs.set(this.pack.inputs[j].tensor, bytes));
    /** @type {Bindings} */
    this.bindings = {};
    /** @type {Map<number, number>} turns of loops */
    this.turns = new Map();
    /** @type {Map<number, number[]>} */
    this.dims = new Map();
    /** @type {Map<number, number>} */
    this.sizes = new Map();
    /** @type {Map<number, {epoch: number, offset: number}>} */
    this.places = new Map();
  }

  /** @param {Dim} dim @returns {number} */
  dim(dim) {
    let value = NaN;
    try {
      value = evaluate(dim, this.bindings);
    } catch {
      // told below
    }
    if (!Number.isSafeInteger(value)) {
      throw new PackError(`${JSON.stringify(dim)} has no value at this point; pack again`);
    }
    return value;
  }

  /** @param {readonly Dim[]} shape @returns {number[]} */
  shape(shape) {
    const sizes = shape.map((d) => this.dim(d));
    const count = sizes.reduce((a, b) => a * b, 1);
    if (sizes.some((size) => size < 0) || !Number.isSafeInteger(count)) {
      throw new ShapeError(`the model can't run at this input shape: a shape is [${sizes}]`);
    }
    return sizes;
  }

  #key() {
    return this.pack.symbols.map((s) => this.bindings[s.id] ?? 0).join();
  }

  /** Lay out an epoch's tensors, as soon as the symbols that it begins with have values.
   * @param {number} epoch @param {Bindings} bindings */
  enter(epoch, bindings) {
    this.bindings = bindings;
    const key = `${epoch}:${this.#key()}`;
    let layout = this.made.layouts.get(key);
    if (!layout) {
      layout = this.#layOut(epoch);
      this.made.layouts.set(key, layout);
    }
    for (const [tensor, size] of layout.sizes) this.sizes.set(tensor, size);
    for (const [tensor, shape] of layout.shapes) this.dims.set(tensor, shape);
    for (const [tensor, offset] of layout.offsets) this.places.set(tensor, { epoch, offset });
  }

  /** @param {number} epoch @returns {Layout} */
  #layOut(epoch) {
    const { pack, shapes, device, bindings } = this;
    const dims = new Map(shapes.touched[epoch].map((t) => [t, this.shape(pack.tensors[t].shape)]));
    const sizes = new Map([...dims].map(([t, shape]) => (
      [t, shape.reduce((a, b) => a * b, 1) * elementBytes(pack.tensors[t].dtype)])));
    for (const { name, shape, tensor } of [...pack.inputs, ...pack.outputs]) {
      const size = sizes.get(tensor);
      if (size === undefined) continue;
      const count = this.shape(shape).reduce((a, b) => a * b, 1);
      if (count * elementBytes(pack.tensors[tensor].dtype) !== size) {
        throw new PackError(`'${name}' and its tensor differ in size; pack the model again`);
      }
    }
    this.#checkSizes(sizes);
    const { offsets, peak } = placeLives(pack, shapes.lives[epoch], bindings);
    /** @type {Map<number | string, number>} */
    const wanted = new Map([[`arena ${epoch}`, peak]]);
    for (const [tensor, size] of sizes) if (!offsets.has(tensor)) wanted.set(tensor, size);
    shapes.reserve(wanted);
    const uniform = device.allocate(4 * pack.symbols.length, "symbols");
    try {
      const values = Int32Array.from(pack.symbols, (s) => bindings[s.id] ?? 0);
      device.upload(uniform, 0, new Uint8Array(values.buffer));
    } catch (error) {
      device.free(uniform);
      throw error;
    }
    return { shapes: dims, sizes, offsets, uniform, bindings };
  }

  /** @param {Map<number, number>} sizes */
  #checkSizes(sizes) {
    const { info } = this.device;
    const most = info.limits.maxStorageBufferBindingSize;
    const large = new Set([...sizes].filter(([, size]) => bindingSize(size) > most).map(([t]) => t));
    for (const { inputs, outputs, node } of large.size ? this.pack.steps : []) {
      const tensor = [...inputs, ...outputs].find((t) => large.has(t));
      if (tensor !== undefined) {
        throw new DeviceError(`${node}: a tensor of ${sizes.get(tensor)} bytes passes what `
          + `${info.adapter} binds at once, ${most}; try smaller inputs`);
      }
    }
  }

  /** What a step binds as a tensor. @param {number} index @param {number | string} [packer]
   * @returns {Slice} */
  place(index, packer) {
    const { home, window } = this.pack.tensors[index];
    if (home === "constant") return this.shapes.weights.of(index, packer);
    if (window) return this.#slot(index, window);
    const place = this.places.get(index);
    const size = bindingSize(/** @type {number} */ (this.sizes.get(index)));
    const buffer = this.shapes.buffer(place ? `arena ${place.epoch}` : index);
    if (!buffer) throw new PackError(`tensor ${index} has no place yet; pack the model again`);
    return { buffer, offset: place?.offset ?? 0, size };
  }

  /** @param {number} index @param {import("./manifest.js").Window} window @returns {Slice} */
  #slot(index, { ring, shift, loop }) {
    const { shape, dtype } = this.pack.tensors[index];
    const [slots, pitch] = this.shape(this.pack.tensors[ring].shape);
    const unit = elementBytes(dtype);
    const size = bindingSize(this.shape(shape).reduce((a, b) => a * b, 1) * unit);
    const step = pitch * unit;
    if (!slots || step % 256 || size > step) {
      throw new PackError(
        `tensor ${index}: ${size} bytes are no slot of ${slots} of ${step} bytes; pack again`);
    }
    const number = this.dim(shift) + (loop === null ? 0 : this.turns.get(loop) ?? 0);
    const { buffer, offset } = this.place(ring);
    return { buffer, offset: offset + (((number % slots) + slots) % slots) * step, size };
  }

  /** @param {Part[]} parts */
  async parts(parts) {
    for (const part of parts) {
      if (!("item" in part)) {
        if (this.observe) await this.#stepByStep(part, this.observe);
        else this.device.replay(this.#recording(part));
        continue;
      }
      const before = this.bindings;
      const { bound, arrays } = await this.#stop(part);
      this.#check(bound, part.item.node);
      this.bindings = { ...before, ...bound };
      if (part.span.enters) this.enter(part.span.after, this.bindings);
      if (part.item.kind === "host") this.#write(part.item, arrays);
    }
  }

  /** @param {Bindings} bound @param {string} node */
  #check(bound, node) {
    for (const [name, value] of Object.entries(bound)) {
      const { most } = /** @type {{most: number}} */ (this.pack.symbols.find((s) => s.id === name));
      if (value < 1 || value > most) {
        throw new ShapeError(`${node}: a size is ${value - 1}, expected 0 to ${most - 1}`);
      }
    }
  }

  /** @param {Stop} stop @returns {Promise<{bound: Bindings, arrays: Arrays}>} */
  async #stop({ item, span, parts }) {
    const arrays = /** @type {Arrays} */ ([]);
    /** @type {Bindings} */
    const bound = {};
    if (item.kind === "host") {
      const results = await this.#host(item);
      item.symbols.forEach((name, j) => { bound[name] = results.sizes[j] + 1; });
      return { bound, arrays: results.arrays };
    }
    if (item.kind === "need") {
      const [left, right] = [this.dim(item.left), this.dim(item.right)];
      if (left !== right) {
        throw new ShapeError(`${item.node}: expected ${right}, found ${left} at this input shape`);
      }
    } else if (item.kind === "if") {
      const chosen = (await this.#holds(item.condition)) ? 0 : 1;
      for (const [name, ...sides] of item.bound) bound[name] = this.dim(sides[chosen]);
      this.#check(bound, item.node);
      const inside = { ...this.bindings, ...bound };
      const [first, second] = span.begins;
      if (item.bound.length) this.enter(first, inside);
      if (chosen && second !== first) this.enter(second, inside);
      await this.parts(parts[chosen]);
    } else {
      const turns = await this.#loop(item, parts[0]);
      if (item.symbol !== null) bound[item.symbol] = turns + 1;
    }
    return { bound, arrays };
  }

  /** @param {import("./flow-read.js").Loop} loop @param {Part[]} body @returns {Promise<number>} */
  async #loop(loop, body) {
    const before = this.bindings;
    const trips = loop.trips === null ? Infinity : this.dim(loop.trips);
    let turn = 0;
    for (; turn < trips; turn++) {
      if (loop.condition !== null && !await this.#holds(loop.condition)) break;
      if (turn === loop.most) {
        throw new ShapeError(`${loop.node}: takes more than the ${loop.most} turns that it may take`);
      }
      this.turns.set(loop.number, turn);
      this.bindings = before;
      await this.parts(body);
    }
    return turn;
  }

  /** @param {number[]} tensors @returns {Promise<Uint8Array<ArrayBuffer>[]>} */
  async #read(tensors) {
    const fetched = tensors.filter((t) => !this.inputs.has(t));
    const read = fetched.length
      ? await this.device.readMany(fetched.map((t) => this.place(t))) : [];
    const found = new Map(fetched.map((t, j) => [t, new Uint8Array(read[j])]));
    return tensors.map((t) => (
      /** @type {Uint8Array<ArrayBuffer>} */ (found.get(t) ?? this.inputs.get(t))));
  }

  /** @param {number} tensor @returns {Promise<boolean>} */
  async #holds(tensor) {
    const [data] = await this.#read([tensor]);
    if (!this.sizes.get(tensor)) throw new ShapeError(`tensor ${tensor}, a condition, holds no element`);
    return data.subarray(0, 4).some((byte) => byte !== 0);
  }

  /** @param {HostStep} step */
  async #host({ op, options, inputs, node }) {
    const read = await this.#read(inputs);
    return compute(op, options, inputs.map((tensor, j) => {
      const shape = this.shape(this.pack.tensors[tensor].shape);
      const count = shape.reduce((a, b) => a * b, 1);
      return { elements: elementsOf(this.pack.tensors[tensor].storage, read[j], count), shape };
    }), node);
  }

  /** @param {HostStep} step
   * @param {Arrays} arrays */
  #write({ outputs, node }, arrays) {
    outputs.forEach((tensor, j) => {
      const { data } = arrays[j];
      const { storage } = this.pack.tensors[tensor];
      if (storage !== "i32" || data.byteLength !== this.sizes.get(tensor)) {
        throw new PackError(`${node}: tensor ${tensor} is ${storage} of ${this.sizes.get(tensor)} `
          + `bytes, the host made i32 of ${data.byteLength}; pack the model again`);
      }
      const { buffer, offset } = this.place(tensor);
      if (data.length) this.device.upload(buffer, offset, new Uint8Array(data.buffer));
    });
  }

  /** @param {Straight} part @param {import("./insight-steps.js").Observe} observe */
  async #stepByStep(part, observe) {
    const { bindings } = this;
    const layout = /** @type {Layout} */ (this.made.layouts.get(`${part.epoch}:${this.#key()}`));
    for (const dispatch of this.#dispatches(part.items)) {
      await observe({ step: dispatch.step, dispatch, bindings, uniform: layout.uniform });
    }
  }

  /** @param {Straight} part */
  #recording(part) {
    const values = this.#key();
    const turns = part.turns.map((loop) => this.turns.get(loop));
    const number = this.#numberOf(part);
    const key = `${number}|${values}|${turns}`;
    let recording = this.made.recordings.get(key);
    if (!recording) {
      const { uniform } = /** @type {Layout} */ (this.made.layouts.get(`${part.epoch}:${values}`));
      recording = this.device.record(this.#dispatches(part.items), uniform);
      this.made.recordings.set(key, recording);
    }
    return recording;
  }

  /** @param {Straight} part */
  #numberOf(part) {
    const first = part.items[0];
    return first.kind === "run" ? `r${first.first}` : first.kind === "loop" ? `l${first.number}` : "";
  }

  /** @param {Item[]} items @param {any[]} found @param {Map<number, any>} fixed @returns {any[]} */
  #dispatches(items, found = [], fixed = new Map()) {
    for (const item of items) {
      if (item.kind === "run") {
        for (let index = item.first; index < item.end; index++) {
          const dispatch = fixed.get(index) ?? this.#dispatch(index, fixed);
          if (!dispatch.grid.includes(0)) found.push(dispatch);
        }
      } else if (item.kind === "loop") {
        const trips = this.dim(/** @type {Dim} */ (item.trips));
        if (trips > item.most) {
          throw new ShapeError(`${item.node}: ${trips} turns pass the ${item.most} that it may take`);
        }
        for (let turn = 0; turn < trips; turn++) {
          this.turns.set(item.number, turn);
          this.#dispatches(item.body, found, fixed);
          if (found.length > MAX_DISPATCHES) {
            throw new DeviceError(`${item.node}: passes ${MAX_DISPATCHES} dispatches; try smaller inputs`);
          }
        }
      }
    }
    return found;
  }

  /** @param {number} index of a step @param {Map<number, any>} fixed those that no turn changes */
  #dispatch(index, fixed) {
    const { problem, inputs, outputs, node } = this.pack.steps[index];
    const kernel = this.shapes.kernel(problem, this.bindings);
    let grid, work;
    try {
      grid = gridOf(kernel, this.device, this.bindings);
      work = evaluate(kernel.work, this.bindings);
    } catch (error) {
      if (error instanceof DeviceError) throw error;
      throw new ShapeError(`the model can't run at this input shape: ${messageOf(error)}`);
    }
    const slices = [...inputs, ...outputs].map((tensor, position) => (
      this.place(tensor, kernel.panels.get(position))));
    const tensors = [...inputs, ...outputs].map((t) => this.pack.tensors[t].window);
    if (tensors.some((w) => w)) {
      const places = slices.map((s, j) => ({ ...s, writes: j >= inputs.length }));
      const clash = places.some((a, j) => a.writes && places.some((b, k) => (
        k !== j && a.buffer === b.buffer && a.offset === b.offset)));
      if (clash) throw new PackError(`${node}: uses one slot twice; pack the model again`);
    }
    const cost = Math.max(0, work) / OPERATIONS_PER_MS;
    const made = { step: index, pipeline: kernel.pipeline, slices, outputs: outputs.length, grid, cost };
    if (!tensors.some((w) => w && w.loop !== null)) fixed.set(index, made);
    return made;
  }
}

/** @param {import("./tensor.js").Storage} storage @param {Uint8Array<ArrayBuffer>} bytes
 * @param {number} count @returns {ArrayLike<number>} */
function elementsOf(storage, bytes, count) {
  const { buffer, byteOffset } = bytes;
  if (storage === "f32") return new Float32Array(buffer, byteOffset, count);
  if (storage === "i32") return new Int32Array(buffer, byteOffset, count);
  if (storage === "u32") return new Uint32Array(buffer, byteOffset, count);
  return widened(new Uint16Array(buffer, byteOffset, count));
}
