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
/** Where a shard's tensors go: as they are, and before they are packed.
 * @typedef {{index: number, from: number, bytes: number}} Constant */

/** A binding's offset in a buffer of weights. */
const ALIGNMENT = 256;

/** Shards in memory at one time: each is at most 64 MiB. */
const MAX_FETCHES = 2;

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
    /** Bytes that stay on the device. */
    this.total = 0;
    const unpacked = pack.shards.map(() => 0); // on the device while a shard is laid out
    pack.tensors.forEach(({ place }, index) => {
      if (!place) return;
      const packers = this.packers.get(index);
      if (this.direct.has(index)) this.total += aligned(bindingSize(place.bytes));
      for (const packer of packers ?? []) {
        this.total += aligned(bindingSize(pack.wasm.packers[packer].bytes));
      }
      if (packers) unpacked[place.shard] += aligned(bindingSize(place.bytes));
    });
    checkTotal(this.total + Math.max(0, ...unpacked), "weights", device.info);
  }

  /** What a step reads of a constant. @param {number} tensor @param {number} [packer]
   * @returns {Slice} */
  of(tensor, packer) {
    return /** @type {Slice} */ (this.slices.get(keyOf(tensor, packer)));
  }

  /**
   * Fetch every shard and put it on the device, once the kernels that lay it out are there.
   * @param {import("./fetch.js").Files} files @param {Promise<Kernels>} kernels
   * @param {(done: number, total: number) => void} progress
   */
  async load(files, kernels, progress) {
    const { pack } = this;
    const total = pack.shards.reduce((sum, shard) => sum + shard.bytes, 0);
    const todo = pack.shards.keys();
    let done = 0;
    const worker = async () => {
      for (const index of todo) {
        const data = await files.file(pack.shards[index],
          (bytes, name) => checkShard(pack, index, bytes, name),
          (bytes) => progress(done += bytes, total));
        await this.#place(index, data, await kernels);
      }
    };
    await Promise.all(Array.from({ length: MAX_FETCHES }, worker));
  }

  /** @param {number} shard @param {Uint8Array<ArrayBuffer>} data @param {Kernels} kernels */
  async #place(shard, data, kernels) {
    const { device, direct, packers } = this;
    /** @type {Constant[]} */
    const constants = this.pack.tensors.flatMap(({ place }, index) => (
      place?.shard === shard ? { index, from: place.offset, bytes: place.bytes } : []));
    const kept = this.#lay(`weights ${shard}`, constants.filter(({ index }) => direct.has(index)));
    for (const [index, slice] of kept.slices) this.slices.set(keyOf(index), slice);
    const raw = this.#lay(`constants ${shard}`, constants.filter(({ index }) => packers.has(index)));
    const sent = device.uploadParts(data, [...kept.parts, ...raw.parts]);
    if (raw.buffer) this.#pack(raw.slices, kernels);
    if (raw.buffer) device.free(raw.buffer);
    await sent;
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

  /** Queue the packers of constants, whose own bytes may be given back afterwards.
   * @param {Map<number, Slice>} raw @param {Kernels} kernels */
  #pack(raw, kernels) {
    const { device, pack } = this;
    const symbols = device.allocate(16, "symbols");
    const dispatches = [...raw].flatMap(([index, slice]) => (
      [.../** @type {Set<number>} */ (this.packers.get(index))].map((packer) => {
        const { units, bytes } = pack.wasm.packers[packer];
        const buffer = device.allocate(bindingSize(bytes), `panels of ${index}`, false);
        const panel = { buffer, offset: 0, size: bindingSize(bytes) };
        this.slices.set(keyOf(index, packer), panel);
        return { pipeline: kernels.packers[packer], slices: [slice, panel], outputs: 1,
          grid: [units, 1, 1], cost: 1 };
      })));
    const recording = device.record(dispatches, symbols);
    device.replay(recording);
    device.discard(recording);
    device.free(symbols);
  }
}

/** @param {number} tensor @param {number} [packer] */
const keyOf = (tensor, packer) => (packer === undefined ? `${tensor}` : `${tensor}/${packer}`);

/** Which constants steps and outputs read as they are, and which through which packers.
 * @param {Pack} pack @param {DeviceInfo} info */
function usesOf(pack, info) {
  const direct = new Set(pack.outputs.map((port) => port.tensor));
  /** @type {Map<number, Set<number>>} */
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
