// Runs a plan's flow: recordings replayed one after the other, and what the host decides between.
// Loaded for packs that have one; webrt/plan/flow.py and webrt/runtime/flow.py in JavaScript.

import { agree, send } from "./bound.js";
import { FlowRun } from "./flow-run.js";
import { aligned, checkTotal } from "./weights.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./protocol.js").Buffer} Buffer */
/** @typedef {import("./kernels.js").Kernels} Kernels */
/** @typedef {import("./kernels.js").Kernel} Kernel */
/** @typedef {import("./weights.js").Weights} Weights */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** @typedef {import("./flow-read.js").Item} Item */
/** @typedef {Exclude<Item, {kind: "run"}>} Stopping */
/** The epochs in which the flows inside of an item begin, that behind it, whether it is new.
 * @typedef {{begins: number[], after: number, enters: boolean}} Span */
/** One recording: runs and counted loops; `turns` are the loops around that matter to it.
 * @typedef {{items: Item[], epoch: number, turns: number[]}} Straight */
/** Where the host decides. @typedef {{item: Stopping, span: Span, parts: Part[][]}} Stop */
/** @typedef {Straight | Stop} Part */
/** The tensors of an epoch: bytes, offsets in its arena, and the symbols for its kernels.
 * @typedef {{shapes: Map<number, number[]>, sizes: Map<number, number>,
 *   offsets: Map<number, number>, uniform: Buffer, bindings: Bindings}} Layout */
/** What was made for one shape of the inputs.
 * @typedef {{layouts: Map<string, Layout>, recordings: Map<string, any>}} Made */

const MAX_SHAPES = 32;
const MAX_KEPT = 1024;

/** When tensors live, and in which epochs: `Outline` of webrt/plan/flow.py. */
export class Outline {
  /** @param {Pack} pack */
  constructor(pack) {
    this.pack = pack;
    /** @type {number[][]} */
    this.moments = [];
    /** @type {number[]} */
    this.epochs = [];
    /** @type {{begin: number, end: number, rings: Set<number>}[]} */
    this.loops = [];
    /** @type {Map<Item, Span>} */
    this.spans = new Map();
    this.epoch = 0;
    this.#walk(pack.flow.length ? pack.flow
      : [{ kind: "run", first: 0, end: pack.steps.length }]);
  }

  /** First and last moment of every tensor that is touched. @returns {Map<number, [number, number]>} */
  lives() {
    /** @type {Map<number, [number, number]>} */
    const lives = new Map();
    this.moments.forEach((touched, moment) => {
      for (const tensor of touched) lives.set(tensor, [lives.get(tensor)?.[0] ?? moment, moment]);
    });
    for (const { begin, end, rings } of this.loops) { // inner loops stand before outer ones
      for (const tensor of new Set(this.moments.slice(begin, end).flat())) {
        const [first, last] = /** @type {[number, number]} */ (lives.get(tensor));
        if (first < begin || last >= end || rings.has(tensor)) {
          lives.set(tensor, [Math.min(first, begin), Math.max(last, end - 1)]);
        }
      }
    }
    return lives;
  }

  /** @param {Item[]} flow */
  #walk(flow) {
    for (const item of flow) {
      if (item.kind === "run") {
        for (const { inputs, outputs } of this.pack.steps.slice(item.first, item.end)) {
          this.#touch([...inputs, ...outputs]);
        }
      } else if (item.kind === "host") {
        this.#touch(item.inputs);
        this.#leave(item, [], item.symbols.length > 0);
        this.#touch(item.outputs);
      } else if (item.kind === "if") {
        this.#branch(item);
      } else if (item.kind === "loop") {
        this.#loop(item);
      } else {
        this.#leave(item, [], false);
      }
    }
  }

  /** What both ways write is laid out before either begins.
   * @param {import("./flow-read.js").Branch} branch */
  #branch(branch) {
    const { condition, then, other, bound } = branch;
    this.#touch([condition]);
    this.epoch += Number(bound.length > 0);
    const second = new Set(writesOf(this.pack, other));
    const both = new Set(writesOf(this.pack, then).filter((t) => second.has(t)));
    this.#touch([...both].sort((a, b) => a - b));
    const entry = this.epoch;
    this.#walk(then);
    this.epoch += Number(this.epoch !== entry);
    const begins = [entry, this.epoch];
    this.#walk(other);
    this.#leave(branch, begins, this.epoch !== entry);
  }

  /** @param {import("./flow-read.js").Loop} loop */
  #loop(loop) {
    if (loop.condition !== null) this.#touch([loop.condition]);
    const [begin, entry] = [this.moments.length, this.epoch];
    this.#walk(loop.body);
    if (loop.condition !== null) this.#touch([loop.condition]);
    const windows = tensorsOf(this.pack, loop.body).map((t) => this.pack.tensors[t].window);
    const rings = new Set(windows.flatMap((w) => (w ? [w.ring] : [])));
    this.loops.push({ begin, end: this.moments.length, rings });
    this.#leave(loop, [entry], loop.symbol !== null || this.epoch !== entry);
  }

  /** @param {Item} item @param {number[]} begins @param {boolean} enters */
  #leave(item, begins, enters) {
    this.epoch += Number(enters);
    this.spans.set(item, { begins, after: this.epoch, enters });
  }

  /** @param {number[]} tensors */
  #touch(tensors) {
    this.moments.push(tensors.map((t) => this.pack.tensors[t].window?.ring ?? t));
    this.epochs.push(this.epoch);
  }
}

/** @param {Pack} pack @param {Item[]} flow @returns {number[]} */
function tensorsOf(pack, flow) {
  return flow.flatMap((item) => {
    if (item.kind === "run") {
      return pack.steps.slice(item.first, item.end).flatMap((s) => [...s.inputs, ...s.outputs]);
    }
    if (item.kind === "if") return tensorsOf(pack, [...item.then, ...item.other]);
    return item.kind === "loop" ? tensorsOf(pack, item.body) : [];
  });
}

/** Every tensor that a flow writes. @param {Pack} pack @param {Item[]} flow @returns {number[]} */
function writesOf(pack, flow) {
  return flow.flatMap((item) => {
    if (item.kind === "run") return pack.steps.slice(item.first, item.end).flatMap((s) => s.outputs);
    if (item.kind === "host") return item.outputs;
    if (item.kind === "if") return writesOf(pack, [...item.then, ...item.other]);
    return item.kind === "loop" ? writesOf(pack, item.body) : [];
  });
}

/** Whether the host decides nothing in a loop. @param {Item} item @returns {boolean} */
const isCounted = (item) => item.kind === "loop" && item.condition === null && item.symbol === null
  && item.body.every((i) => i.kind === "run" || isCounted(i));

/** The numbers of the loops in a flow. @param {Item[]} flow @returns {number[]} */
const loopsIn = (flow) => flow.flatMap((i) => (
  i.kind === "loop" ? [i.number, ...loopsIn(i.body)] : []));

/** What `Shapes` is for packs without a flow. */
export class FlowShapes {
  #outline;
  /** @type {Map<string, Made>} least recently used first */
  #known = new Map();
  /** @type {Map<number | string, Buffer>} tensors of their own by number, arenas by epoch */
  #buffers = new Map();

  /** @param {Pack} pack @param {Device} device @param {Kernels} kernels @param {Weights} weights */
  constructor(pack, device, kernels, weights) {
    this.pack = pack;
    this.device = device;
    this.kernels = kernels;
    this.weights = weights;
    /** @type {Map<number, {dims: Bindings, kernel: Kernel}[]>} */
    this.tuned = new Map();
    const outline = this.#outline = new Outline(pack);
    const lives = outline.lives();
    /** @type {Map<number, [number, number]>[]} of the arena's tensors, by epoch */
    this.lives = Array.from({ length: outline.epoch + 1 }, () => new Map());
    /** @type {number[][]} tensors that get sizes in an epoch */
    this.touched = this.lives.map(() => []);
    pack.tensors.forEach(({ home }, index) => {
      if (home === "constant" || home === "window") return;
      const life = lives.get(index);
      const epoch = life && home !== "input" ? outline.epochs[life[0]] : 0;
      this.touched[epoch].push(index);
      if (home === "arena" && life) this.lives[epoch].set(index, life);
    });
    this.parts = this.#parts(pack.flow, 0);
  }

  /** Serve a tuned kernel from the next run on (see `Shapes.install`).
   * @param {number} problem @param {Bindings} dims @param {Kernel} kernel
   * @returns {Kernel | undefined} */
  install(problem, dims, kernel) {
    const all = this.tuned.get(problem) ?? [];
    const old = all.find((t) => agree(t.dims, dims) && agree(dims, t.dims));
    this.tuned.set(problem, [...all.filter((t) => t !== old), { dims, kernel }]);
    this.#forget();
    return old?.kernel;
  }

  /** Run once and read the tensors of `outputs`. @param {Bindings} bindings
   * @param {(Uint8Array<ArrayBuffer> | null)[]} data of the inputs; null for those that `gpu` feeds
   * @param {readonly Port[]} outputs @param {import("./bound.js").GpuRun | null} [gpu]
   * @param {import("./insight-steps.js").Observe | null} [observe] runs the steps, one at a time
   * @returns {Promise<{bytes: ArrayBuffer[], dims: Map<string, number[]>}>} */
  async run(bindings, data, outputs, gpu, observe = null) {
    const run = new FlowRun(this, this.#made(bindings), data, observe);
    try {
      run.enter(0, bindings);
      send(this, data, ({ tensor }) => this.buffer(tensor));
      /** @param {number} tensor */
      const place = (tensor) => run.place(tensor);
      gpu?.feed(place);
      await run.parts(this.parts);
      const dims = new Map(outputs.map((p) => [p.name, p.shape.map((d) => run.dim(d))]));
      const bytes = gpu ? await gpu.take(place, dims)
        : await this.device.readMany(outputs.map(({ tensor }) => place(tensor)));
      return { bytes, dims };
    } catch (error) {
      this.clear(); // where there was no memory for it, smaller inputs may have some
      throw error;
    }
  }

  /** Give back all but the weights. */
  clear() {
    this.#forget();
    for (const buffer of this.#buffers.values()) this.device.free(buffer);
    this.#buffers.clear();
  }

  /** @param {number | string} key @returns {Buffer} */
  buffer(key) {
    return /** @type {Buffer} */ (this.#buffers.get(key));
  }

  /** The kernel that serves a problem. @param {number} problem @param {Bindings} bindings */
  kernel(problem, bindings) {
    const tuned = this.tuned.get(problem)?.find(({ dims }) => agree(dims, bindings));
    return tuned?.kernel ?? this.kernels.problems[problem];
  }

  /** Make room; where a buffer is replaced, recordings name the old one and go.
   * @param {Map<number | string, number>} wanted bytes */
  reserve(wanted) {
    /** @param {number | string} key */
    const sizeOf = (key) => this.#buffers.get(key)?.size ?? 0;
    const keys = new Set([...this.#buffers.keys(), ...wanted.keys()]);
    let held = this.weights.total;
    for (const key of keys) held += aligned(Math.max(wanted.get(key) ?? 0, sizeOf(key), 16));
    checkTotal(held, "weights, inputs, outputs and activations", this.device.info);
    const growing = [...wanted].filter(([key, size]) => size > sizeOf(key) || !this.#buffers.has(key));
    if (growing.some(([key]) => this.#buffers.has(key))) {
      for (const made of this.#known.values()) this.#discard(made);
    }
    for (const [key, size] of growing) {
      const old = this.#buffers.get(key);
      if (old) this.device.free(old);
      this.#buffers.delete(key);
      this.#buffers.set(key, this.device.allocate(size, `tensor ${key}`));
    }
  }

  /** @param {Bindings} bindings @returns {Made} */
  #made(bindings) {
    const key = this.pack.symbols.map((s) => bindings[s.id] ?? 0).join();
    const made = this.#known.get(key) ?? { layouts: new Map(), recordings: new Map() };
    this.#known.delete(key); // and set again: a Map keeps the order of insertion
    this.#known.set(key, made);
    if (made.layouts.size > MAX_KEPT || made.recordings.size > MAX_KEPT) this.#free(made);
    if (this.#known.size > MAX_SHAPES) {
      const [[oldest, others]] = this.#known;
      this.#free(others);
      this.#known.delete(oldest);
    }
    return made;
  }

  /** @param {Made} made */
  #discard({ recordings }) {
    for (const recording of recordings.values()) this.device.discard(recording);
    recordings.clear();
  }

  /** @param {Made} made */
  #free(made) {
    this.#discard(made);
    for (const { uniform } of made.layouts.values()) this.device.free(uniform);
    made.layouts.clear();
  }

  #forget() {
    for (const made of this.#known.values()) this.#free(made);
    this.#known.clear();
  }

  /** @param {Item[]} flow @param {number} start @returns {Part[]} */
  #parts(flow, start) {
    /** @type {Part[]} */
    const parts = [];
    /** @type {Item[]} */
    let straight = [];
    let epoch = start;
    const close = () => {
      if (straight.length) parts.push(this.#straight(straight, epoch));
      straight = [];
    };
    for (const item of flow) {
      if (item.kind === "run" || isCounted(item)) {
        straight.push(item);
      } else {
        close();
        const span = /** @type {Span} */ (this.#outline.spans.get(item));
        const flows = item.kind === "if" ? [item.then, item.other]
          : item.kind === "loop" ? [item.body] : [];
        parts.push({ item, span, parts: flows.map((f, j) => this.#parts(f, span.begins[j])) });
        epoch = span.after;
      }
    }
    close();
    return parts;
  }

  /** @param {Item[]} items @param {number} epoch @returns {Straight} */
  #straight(items, epoch) {
    const inside = new Set(loopsIn(items));
    const turns = new Set(tensorsOf(this.pack, items).flatMap((t) => {
      const loop = this.pack.tensors[t].window?.loop;
      return loop === null || loop === undefined || inside.has(loop) ? [] : [loop];
    }));
    return { items, epoch, turns: [...turns].sort((a, b) => a - b) };
  }
}
