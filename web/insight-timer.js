// Times dispatches on a device: by the GPU's own timestamps where it has them (`timestamp-query`), else
// by replays from an empty queue to an empty queue. webrt/runtime/timing.py in JavaScript.

/** @typedef {import("./protocol.js").Device} AnyDevice */
/** @typedef {import("./insight-steps.js").Turn} Turn */
/** @typedef {import("./device.js").Device} GpuDevice */

/** Milliseconds that a timed pass should take: well over the clock's step, 0.1 ms in Chromium, and
 * what a submission costs. */
const PASS_MS = 8;
const MAX_REPEATS = 256, MAX_REPLAYS = 32;
/** A kernel that takes so long isn't repeated, and needs no warming up. */
const SLOW_MS = 30;
/** How often it is timed, before each kernel, what waiting for nothing takes. */
const WAITS = 3;
/** What can't be told from nothing took as long as this, in all of a pass. */
const STEP_MS = 0.1;

/** @typedef {"timestamps" | "replays"} ClockName */

/** Milliseconds of dispatches. */
export class Timer {
  /** @param {AnyDevice} device */
  constructor(device) {
    this.device = device;
    this.empty = Infinity;
    const gpu = /** @type {GpuDevice} */ (device).gpu;
    this.gpu = gpu?.features.has("timestamp-query") ? new Timestamps(/** @type {any} */ (device)) : null;
  }

  /** @returns {ClockName} */
  get clock() {
    return this.gpu ? "timestamps" : "replays";
  }

  /** Milliseconds of one dispatch: the median of `runs` passes of as many as fill one.
   * @param {Turn} turn @param {number} runs @returns {Promise<number>} */
  async dispatch({ dispatch, uniform }, runs) {
    const empty = this.gpu ? 0 : await this.#waits(uniform);
    const once = this.device.record([dispatch], uniform);
    let first = await this.#time(once, uniform);
    if (first < SLOW_MS) first = await this.#time(once, uniform); // that one was to warm up
    const repeats = first - empty >= SLOW_MS ? 1
      : Math.min(MAX_REPEATS, Math.max(1, Math.round(PASS_MS / Math.max(first - empty, 1e-3))));
    const many = repeats === 1 ? once
      : this.device.record(Array(repeats).fill(dispatch), uniform);
    let replays = 1;
    if (repeats > 1) {
      const brief = Math.max(await this.#time(many, uniform) - empty, STEP_MS);
      replays = Math.min(MAX_REPLAYS, Math.max(1, Math.round(PASS_MS / brief)));
    }
    const times = [];
    for (let j = 0; j < runs; j++) times.push(await this.#time(many, uniform, replays) - empty);
    for (const recording of new Set([once, many])) this.device.discard(recording);
    return Math.max(median(times), STEP_MS) / (repeats * replays);
  }

  /** Milliseconds of waiting for nothing: the least that was seen, since a machine may be busy.
   * @param {Turn["uniform"]} uniform */
  async #waits(uniform) {
    for (let j = 0; j < WAITS; j++) {
      this.empty = Math.min(this.empty, await this.#replays(null, uniform));
    }
    return this.empty;
  }

  /** @param {any} recording @param {Turn["uniform"]} uniform @param {number} [times] */
  #time(recording, uniform, times = 1) {
    return this.gpu ? this.gpu.time(recording, times) : this.#replays(recording, uniform, times);
  }

  /** @param {any} recording null: only the wait @param {Turn["uniform"]} uniform
   * @param {number} [times] */
  async #replays(recording, uniform, times = 1) {
    const end = { buffer: uniform, offset: 0, size: 16 }; // to read it is to wait for all before it
    await this.device.readMany([end]);
    const start = performance.now();
    if (recording) for (let j = 0; j < times; j++) this.device.replay(recording);
    await this.device.readMany([end]);
    return performance.now() - start;
  }

  /** Give back what it took. */
  close() {
    this.gpu?.close();
  }
}

/** Two timestamps around a pass. */
class Timestamps {
  /** @param {GpuDevice} device */
  constructor(device) {
    this.device = device;
    this.queries = device.gpu.createQuerySet({ type: "timestamp", count: 2 });
    this.resolved = device.gpu.createBuffer({ size: 16, label: "timestamps",
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
    this.read = device.allocate(16, "timestamps");
  }

  /** @param {import("./recording.js").Recording} recording @param {number} times
   * @returns {Promise<number>} */
  async time({ steps }, times) {
    const all = Array(times).fill(steps).flat();
    this.device.encode((encoder) => {
      const pass = encoder.beginComputePass({ timestampWrites: {
        querySet: this.queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 } });
      for (const { pipeline, group, x, y, z } of all) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(x, y, z);
      }
      pass.end();
      encoder.resolveQuerySet(this.queries, 0, 2, this.resolved, 0);
      encoder.copyBufferToBuffer(this.resolved, 0, this.read, 0, 16);
    });
    const [bytes] = await this.device.readMany([{ buffer: this.read, offset: 0, size: 16 }]);
    const [start, end] = new BigUint64Array(bytes);
    return Math.max(0, Number(end - start) / 1e6);
  }

  close() {
    this.queries.destroy();
    this.resolved.destroy();
    this.device.free(this.read);
  }
}

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
