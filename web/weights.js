// The constants on a device: fetched shard by shard, verified, and on a CPU laid out in panels.
// webrt/runtime/memory.py's Weights in JavaScript.

import { DeviceError } from "./errors.js";
import { checkShard } from "./manifest.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./protocol.js").DeviceInfo} DeviceInfo */
/** @typedef {import("./protocol.js").Buffer} Buffer */
/** @typedef {import("./protocol.js").Slice} Slice */
/** @typedef {import("./kernels.js").Kernels} Kernels */
/** A constant's bytes in a shard's data, and how many it has on the device.
 * @typedef {{index: number, from: number, bytes: number, held: number}} Constant */

/** A packer, ready to run. @typedef {{pipeline: object, units: number, bytes: number}} Packing */
/** What a tuned kernel reads of constants: as they are, and through packers of its own.
 * @typedef {{direct: readonly number[],
 *   packed: readonly (Packing & {tensor: number, name: string})[]}} Needs */
/** Which constants are read as they are, and which through which packers.
 * @typedef {{direct: Set<number>, packers: Map<number, Set<number | string>>}} Uses */

/** A binding's offset in a buffer of weights. */
const ALIGNMENT = 256;

/** Shards on their way at one time, and bytes of them: one is at most 64 MiB. */
const MOST_SHARDS = 4, MOST_BYTES = 128 * 2 ** 20;

/** What a tensor of `size` bytes is bound as: whole vec4s, and never nothing. @param {number} size */
export const bindingSize = (size) => Math.max(16, Math.ceil(size / 16) * 16);

/** @param {number} size */
export const aligned = (size) => Math.ceil(size / ALIGNMENT) * ALIGNMENT;

/** Throws a DeviceError where all buffers together are more than the device has.
 * @param {number} size @param {string} what @param {DeviceInfo} info */
export function checkTotal(size, what, { adapter, limits }) {
  const most = limits.maxTotalSize;
  if (most !== undefined && size > most) {
    throw new DeviceError(`${what} of ${size} bytes in all pass the ${most} that ${adapter} has; `
      + "try smaller inputs, or a GPU");
  }
}

/** Begin with the first shards: whatever the device will be, it needs them. Settles when they are there.
 * @param {Pack} pack @param {import("./fetch.js").Files} files @returns {Promise<unknown>} */
export function beginWeights(pack, files) {
  let bytes = 0;
  const first = pack.shards.slice(0, MOST_SHARDS).filter((shard) => (
    (bytes += shard.bytes) <= MOST_BYTES));
  return Promise.allSettled(first.map((shard, index) => (
    files.ahead(shard, (...found) => checkShard(pack, index, ...found)))));
}

/** Lets in what there is room for, in the order of asking. */
class Room {
  constructor() {
    this.count = 0;
    this.bytes = 0;
    /** @type {Promise<unknown>} the one before is in */
    this.turn = Promise.resolve();
    this.left = () => {};
  }

  /** Settles when so many bytes may be in memory. @param {number} bytes */
  enter(bytes) {
    this.turn = this.turn.then(async () => {
      while (this.count && (this.count === MOST_SHARDS || this.bytes + bytes > MOST_BYTES)) {
        await new Promise((resolve) => { this.left = () => resolve(undefined); });
      }
      this.count += 1;
      this.bytes += bytes;
    });
    return this.turn;
  }

  /** @param {number} bytes */
  leave(bytes) {
    this.count -= 1;
    this.bytes -= bytes;
    this.left();
  }
}

/** Slices of the constants: as they stand in the pack, or as a packer laid them out. */
export class Weights {
  /** @param {Pack} pack @param {Device} device */
  constructor(pack, device) {
    this.pack = pack;
    this.device = device;
    const uses = usesOf(pack, device.info);
    /** Constants that are read as they are. */
    this.direct = uses.direct;
    /** The packers of each constant. */
    this.packers = uses.packers;
    /** @type {Map<string, Slice>} by tensor and packer */
    this.slices = new Map();
    /** @type {Map<string, Packing>} of tuned kernels, by name */
    this.tuned = new Map();
    /** Bytes that stay on the device. */
    this.total = 0;
    const unpacked = pack.shards.map(() => 0); // on the device while a shard is laid out
    pack.tensors.forEach(({ place }, index) => {
      if (!place) return;
      const packers = this.packers.get(index);
      if (this.direct.has(index)) this.total += aligned(bindingSize(place.held));
      for (const packer of packers ?? []) {
        this.total += aligned(bindingSize(pack.wasm.packers[Number(packer)].bytes));
      }
      if (packers) unpacked[place.shard] += aligned(bindingSize(place.held));
    });
    /** Bytes on the device while they are laid out. */
    this.peak = this.total + Math.max(0, ...unpacked);
    checkTotal(this.peak, "weights", device.info);
  }

  /** What a step reads of a constant. @param {number} tensor @param {number | string} [packer]
   * @returns {Slice} */
  of(tensor, packer) {
    return /** @type {Slice} */ (this.slices.get(keyOf(tensor, packer)));
  }

  /**
   * Fetch every shard and put it on the device, once the kernels that lay it out are there.
   * @param {import("./fetch.js").Files} files @param {Promise<Kernels>} kernels
   */
  async load(files, kernels) {
    const room = new Room();
    await Promise.all(this.pack.shards.map(async ({ bytes }, index) => {
      await room.enter(bytes);
      try {
        await this.read(files, index, kernels);
      } finally {
        room.leave(bytes);
      }
    }));
  }

  /** Fetch a shard and put constants of it on the device.
   * @param {import("./fetch.js").Files} files @param {number} index of the shard
   * @param {Promise<Kernels> | null} kernels @param {Uses} [uses] those that are read so, else all */
  async read(files, index, kernels, uses) {
    const shard = this.pack.shards[index];
    const data = await files.take(shard, (...found) => checkShard(this.pack, index, ...found));
    await files.keep(shard, await this.#place(index, data, await kernels, uses));
  }

  /** @param {number} shard @param {Uint8Array<ArrayBuffer>} file @param {Kernels | null} kernels
   * @param {Uses} uses @returns {Promise<Uint8Array<ArrayBuffer>>} the file again */
  async #place(shard, file, kernels, { direct, packers } = this) {
    const { device } = this;
    /** @type {Constant[]} */
    const stored = this.pack.tensors.flatMap(({ place }, index) => (
      place?.shard === shard && (direct.has(index) || packers.has(index))
        ? { index, from: place.offset, bytes: place.bytes, held: place.held } : []));
    const { data, constants } = stored.every(({ bytes, held }) => bytes === held)
      ? { data: file, constants: stored }
      : await (await import("./widen.js")).heldBytes(file, stored);
    const kept = this.#lay(`weights ${shard}`, constants.filter(({ index }) => direct.has(index)));
    for (const [index, slice] of kept.slices) this.slices.set(keyOf(index), slice);
    const raw = this.#lay(`constants ${shard}`, constants.filter(({ index }) => packers.has(index)));
    const sent = device.uploadParts(data, [...kept.parts, ...raw.parts]);
    sent.catch(() => {}); // it is awaited below
    if (raw.buffer) {
      try {
        this.#pack(raw.slices, packers, kernels);
      } finally {
        device.free(raw.buffer);
      }
    }
    const back = await sent;
    return data === file ? back : file;
  }

  /** A buffer with room for constants. @param {string} label @param {Constant[]} constants */
  #lay(label, constants) {
    let end = 0;
    const placed = constants.map((constant) => {
      const offset = end;
      end += aligned(bindingSize(constant.bytes));
      return { ...constant, offset };
    });
    if (!end) return { buffer: null, parts: [], slices: new Map() };
    const buffer = this.device.allocate(end, label, false);
    const parts = placed.map(({ from, bytes, offset }) => ({ buffer, offset, from, bytes }));
    /** @type {Map<number, Slice>} */
    const slices = new Map(placed.map(({ index, offset, bytes }) => (
      [index, { buffer, offset, size: bindingSize(bytes) }])));
    return { buffer, parts, slices };
  }

  /** @param {number | string} packer @param {Kernels | null} kernels @returns {Packing} */
  #packing(packer, kernels) {
    if (typeof packer === "string") return /** @type {Packing} */ (this.tuned.get(packer));
    const pipeline = /** @type {Kernels} */ (kernels).packers[packer];
    return { ...this.pack.wasm.packers[packer], pipeline };
  }

  /** Queue the packers of constants, whose own bytes may be given back afterwards.
   * @param {Map<number, Slice>} raw @param {Uses["packers"]} packers @param {Kernels | null} kernels */
  #pack(raw, packers, kernels) {
    const { device } = this;
    const symbols = device.allocate(16, "symbols");
    const dispatches = [...raw].flatMap(([index, slice]) => (
      [.../** @type {Set<number | string>} */ (packers.get(index))].map((packer) => {
        const { units, bytes, pipeline } = this.#packing(packer, kernels);
        const buffer = device.allocate(bindingSize(bytes), `panels of ${index}`, false);
        const panel = { buffer, offset: 0, size: bindingSize(bytes) };
        this.slices.set(keyOf(index, packer), panel);
        return { pipeline, slices: [slice, panel], outputs: 1, grid: [units, 1, 1], cost: 1 };
      })));
    const recording = device.record(dispatches, symbols);
    device.replay(recording);
    device.discard(recording);
    device.free(symbols);
  }
}

/** The name of a slice. @param {number} tensor @param {number | string} [packer] */
export const keyOf = (tensor, packer) => (packer === undefined ? `${tensor}` : `${tensor}/${packer}`);

/** What the pack's own kernels and outputs read.
 * @param {Pack} pack @param {DeviceInfo} info @returns {Uses} */
function usesOf(pack, info) {
  const direct = new Set(pack.outputs.map((port) => port.tensor));
  /** @type {Uses["packers"]} */
  const packers = new Map();
  for (const { problem, inputs } of pack.steps) {
    const panels = new Map(info.kind === "wasm" ? pack.wasm.kernels[problem].panels : []);
    inputs.forEach((tensor, position) => {
      const packer = panels.get(position);
      if (packer === undefined) direct.add(tensor);
      else packers.set(tensor, (packers.get(tensor) ?? new Set()).add(packer));
    });
  }
  return { direct, packers };
}
