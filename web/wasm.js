// The Device protocol (protocol.js) on the CPU: WebAssembly SIMD in worker threads. The page's own
// thread only decides where things lie: it never runs a kernel and never waits.

import {
  FIRST_ADDRESS, PAGE, SLACK, argumentsOf, program, programWords, withSharedMemory,
} from "./abi.js";
import { CompileError, DeviceError, UsageError, messageOf } from "./errors.js";
import { Heap, MAX_TOTAL } from "./heap.js";
import { RELAXED_SIMD } from "./kernels.js";
import { Threads, sharedMemory } from "./threads.js";

/** @typedef {import("./protocol.js").KernelCode} KernelCode */
/** @typedef {import("./protocol.js").DeviceInfo} DeviceInfo */
/** @typedef {import("./wasm-worker.js").Operation} Operation */
/** @typedef {{address: number, size: number}} Buffer */
/** @typedef {{entry: number, scratch: number}} Pipeline */
/** @typedef {{buffer: Buffer, offset: number, size: number}} Slice */
/** @typedef {{pipeline: Pipeline, slices: readonly Slice[], outputs: number,
 *   grid: readonly number[]}} Dispatch */
/** @typedef {{block: Buffer}} Recording */
/** Operations on their way to the workers, the memory that they need, and what becomes of them.
 * @typedef {{operations: Operation[], transfer: Transferable[], pages: number,
 *   done: Promise<(ArrayBuffer | number[])[]> | null}} Batch */
/** @typedef {{threads?: number, relaxedSimd?: boolean, assets?: string | URL}} Options */

const MAX_THREADS = 8;
/** Bytes that are touched before they are needed, and at one time: a few milliseconds' work. */
const MOST_TOUCHED = 256 * 2 ** 20, TOUCHED = 4 * 2 ** 20;
/** A function that returns f32x4.relaxed_madd of three zeros. */
const RELAXED_PROBE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 19, 1, 17, 0,
  65, 0, 253, 17, 65, 0, 253, 17, 65, 0, 253, 17, 253, 133, 2, 11);

/** A function that returns i32x4.splat of zero. */
const SIMD_PROBE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0,
  65, 0, 253, 17, 11);

/** Worker threads over one memory. Errors that they report reject the next read. */
export class WasmDevice {
  /** @param {Threads} threads @param {boolean} shared @param {number} most bytes of memory
   * @param {DeviceInfo} info */
  constructor(threads, shared, most, info) {
    this.threads = threads;
    this.shared = shared;
    this.info = info;
    this.heap = new Heap(most);
    /** Entries of the table that modules have taken so far. */
    this.entries = 0;
    /** Memory of each worker's own. @type {Buffer} */
    this.scratch = { address: FIRST_ADDRESS, size: 0 };
    /** @type {Batch | null} */
    this.batch = null;
    /** @type {Error | null} what the next read has to say */
    this.failure = null;
    this.closed = false;
  }

  /**
   * @param {Options} [options] `threads`: how many; `relaxedSimd: false` leaves it unused; `assets`:
   *   the URL of the folder of wasm-worker.js, where it isn't beside this file
   * @param {(info: DeviceInfo) => void} [foresee] hears of the device before its workers are there
   * @returns {Promise<WasmDevice>}
   */
  static async open({ threads, relaxedSimd = true, assets } = {}, foresee = () => {}) {
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
      throw new UsageError(`threads: expected a whole number from 1 on, found ${threads}`);
    }
    await checkEngine();
    const wanted = Math.min(threads ?? defaultThreads(), MAX_THREADS);
    const common = wanted > 1 ? sharedMemory() : null;
    const count = common ? wanted : 1;
    const note = count < wanted ? whyOne() : null;
    if (note && threads !== undefined) console.info(`webrt: one thread: ${note}`);
    const relaxed = relaxedSimd && WebAssembly.validate(RELAXED_PROBE);
    const most = common ? common.pages * PAGE - SLACK - FIRST_ADDRESS : MAX_TOTAL;
    const info = describe(count, relaxed, most, note);
    foresee(info);
    const workers = await Threads.start(count, common?.memory ?? null, assets);
    return new WasmDevice(workers, common !== null, most, info);
  }

  /** Memory, zeroed where it matters. @param {number} size @param {string} label
   * @param {boolean} [zeroed] @returns {Buffer} */
  allocate(size, label, zeroed = true) {
    const { buffer, used } = this.#take(size, label);
    if (used && zeroed) this.#queue({ kind: "zero", address: buffer.address, bytes: used });
    return buffer;
  }

  /** @param {number} size @param {string} label */
  #take(size, label) {
    const bytes = Math.max(16, Math.ceil(size / 16) * 16);
    const found = this.heap.allocate(bytes, label);
    if (!found) {
      throw new DeviceError(`allocating ${bytes} bytes for ${label}: ${this.heap.taken} of `
        + `${this.info.limits.maxTotalSize} bytes are taken; try smaller inputs`);
    }
    return { buffer: { address: found.address, size: bytes }, used: found.used };
  }

  /** Queue a write. @param {Buffer} buffer @param {number} offset
   * @param {Uint8Array<ArrayBuffer>} data */
  upload(buffer, offset, data) {
    const copy = data.slice(); // sending a view would send all of the buffer behind it
    this.#queue({ kind: "write", address: buffer.address + offset, data: copy }, copy.buffer);
  }

  /** Queue writes of parts of `data`, whose memory goes with them and comes back.
   * @param {Uint8Array<ArrayBuffer>} data
   * @param {readonly {buffer: Buffer, offset: number, from: number, bytes: number}[]} parts
   * @returns {Promise<Uint8Array<ArrayBuffer>>} the same bytes */
  async uploadParts(data, parts) {
    const { byteOffset, length } = data;
    const places = parts.map(({ buffer, offset, from, bytes }) => (
      { address: buffer.address + offset, from, bytes }));
    this.#queue({ kind: "scatter", data, parts: places }, data.buffer);
    const [buffer] = /** @type {ArrayBuffer[]} */ (await this.#flush());
    return new Uint8Array(buffer, byteOffset, length);
  }

  /**
   * All kernels, each module once; throws a CompileError.
   * @param {readonly KernelCode[]} kernels @param {(done: number, total: number) => void} [progress]
   * @returns {Promise<Pipeline[]>}
   */
  async compile(kernels, progress) {
    const codes = kernels.map(({ source }) => /** @type {Exclude<typeof source, string>} */ (source));
    /** @type {Map<Uint8Array, number>} */
    const bases = new Map();
    for (const [j, { module }] of codes.entries()) {
      if (bases.has(module)) continue;
      bases.set(module, this.entries);
      const most = Math.max(...codes.map((c) => (c.module === module ? c.entry : 0)));
      await this.#load(kernels[j].name, module, most);
    }
    progress?.(kernels.length, kernels.length);
    const pipelines = codes.map(({ module, entry, scratch }) => (
      { entry: /** @type {number} */ (bases.get(module)) + entry, scratch }));
    this.#widen(Math.max(0, ...pipelines.map((p) => p.scratch)));
    return pipelines;
  }

  /** Compile a module whose kernels are entries up to `most`, and give it to every worker.
   * @param {string} name @param {Uint8Array<ArrayBuffer>} bytes @param {number} most */
  async #load(name, bytes, most) {
    /** @type {import("./threads.js").Done} */
    let answer;
    try {
      const module = await WebAssembly.compile(this.shared ? withSharedMemory(bytes) : bytes);
      answer = await this.threads.load(module);
    } catch (error) {
      if (error instanceof DeviceError) throw error;
      answer = { refused: messageOf(error) };
    }
    const { entries = 0, refused } = answer;
    if (refused !== undefined) throw new CompileError(`kernel ${name}: ${refused}`);
    if (most >= entries) throw new CompileError(`kernel ${name}: the module has ${entries} kernels`);
    this.entries += entries;
  }

  /** Scratch memory of at least so many bytes for each worker. @param {number} bytes */
  #widen(bytes) {
    const size = Math.ceil(bytes / 256) * 256 * this.info.threads;
    if (size <= this.scratch.size) return;
    const { scratch } = this;
    this.scratch = this.#take(size, "scratch memory").buffer; // where it throws, the old one serves
    if (scratch.size) this.free(scratch); // the first one lies where another buffer may
  }

  /**
   * Build the program; `uniform` holds the symbols, as i32s, for every kernel.
   * @param {readonly Dispatch[]} dispatches @param {Buffer} uniform @returns {Recording}
   */
  record(dispatches, uniform) {
    const steps = dispatches.filter(({ grid }) => grid[0] > 0).map(stepOf);
    const { buffer } = this.#take(4 * programWords(steps), "a recording");
    const words = program(steps, buffer.address, uniform.address);
    const data = new Uint8Array(words.buffer);
    this.#queue({ kind: "write", address: buffer.address, data }, words.buffer);
    return { block: buffer };
  }

  /** Queue a run of all steps. @param {Recording} recording */
  replay({ block }) {
    const stride = this.scratch.size / this.info.threads;
    this.#queue({ kind: "replay", program: block.address, scratch: this.scratch.address, stride });
  }

  /** Give back what `record` took. @param {Recording} recording */
  discard({ block }) {
    this.free(block);
  }

  /** Replay, then read slices: one message there, one back. @param {Recording} recording
   * @param {readonly Slice[]} requests @returns {Promise<ArrayBuffer[]>} */
  replayAndRead(recording, requests) {
    this.replay(recording);
    return this.readMany(requests);
  }

  /** Slices' bytes after all that was queued before.
   * @param {readonly Slice[]} requests @returns {Promise<ArrayBuffer[]>} */
  async readMany(requests) {
    for (const { buffer, offset, size } of requests) {
      this.#queue({ kind: "read", address: buffer.address + offset, bytes: size });
    }
    const results = await this.#flush().catch((error) => {
      this.failure ??= error;
      return [];
    });
    const { failure } = this;
    this.failure = null;
    if (failure) throw failure;
    return /** @type {ArrayBuffer[]} */ (results);
  }

  /** Wait for what was queued so far; throws what went wrong with it, once. */
  async settle() {
    await this.readMany([]);
  }

  /**
   * Call kernels in one worker, each again and again for `ms` milliseconds, none after `end` (of
   * the page's clock); gives how long each was at work and how often it was called. No order is kept.
   * @param {readonly Dispatch[]} dispatches @param {Buffer} uniform @param {number} ms
   * @param {number} end @returns {Promise<{ms: number, calls: number}[]>}
   */
  async exercise(dispatches, uniform, ms, end) {
    const steps = dispatches.map(stepOf);
    const { buffer } = this.#take(4 * programWords(steps), "a recording");
    const words = program(steps, buffer.address, uniform.address);
    const calls = steps.map(({ entry, units }, j) => ({ entry, args: argumentsOf(words, j), units }));
    const data = new Uint8Array(words.buffer);
    const left = end - performance.now();
    this.#queue({ kind: "write", address: buffer.address, data }, words.buffer);
    this.#queue({ kind: "exercise", calls, scratch: this.scratch.address, ms, left });
    this.free(buffer);
    const numbers = /** @type {number[]} */ ((await this.#flush())[0]);
    return calls.map((_, j) => ({ ms: numbers[j], calls: numbers[calls.length + j] }));
  }

  /** Touch memory that was never used, which stays zero, as long as nothing better is to be done: the
   * first touch of a page takes longer than to copy something into it.
   * @param {number} bytes @param {Promise<unknown>} until */
  async touch(bytes, until) {
    const { heap } = this;
    const end = Math.min(heap.fresh + Math.min(bytes, MOST_TOUCHED), heap.end);
    let enough = false;
    until.then(() => { enough = true; });
    try {
      // What was allocated meanwhile is passed over: something may have been written there.
      for (let at = heap.fresh; at < end && !enough; at = Math.max(at + TOUCHED, heap.fresh)) {
        this.#queue({ kind: "zero", address: at, bytes: Math.min(TOUCHED, end - at) });
        const batch = /** @type {Batch} */ (this.batch);
        batch.pages = Math.max(batch.pages, Math.ceil((end + SLACK) / PAGE));
        await this.#flush();
      }
    } catch {
      // a memory that is refused, a device that is closed: whoever needs it will say so
    }
  }

  /** Whether buffers of these sizes could be allocated. @param {readonly number[]} sizes */
  hasRoom(sizes) {
    return this.heap.taken + sizes.reduce((a, b) => a + b, 0) < this.info.limits.maxTotalSize;
  }

  /** @param {Operation} operation @param {Transferable[]} transfer */
  #queue(operation, ...transfer) {
    if (this.closed) throw new DeviceError("the device is closed");
    if (!this.batch) {
      this.batch = { operations: [], transfer: [], pages: 0, done: null };
      const { batch } = this;
      queueMicrotask(() => {
        if (batch.done) return; // someone waits for it already
        this.#flush().catch((error) => { this.failure ??= error; });
      });
    }
    this.batch.operations.push(operation);
    this.batch.pages = Math.max(this.batch.pages, this.heap.pages); // what it needs may be freed next
    this.batch.transfer.push(...transfer);
  }

  /** Send what is queued; gives its results. */
  #flush() {
    const { batch } = this;
    if (!batch) return Promise.resolve([]);
    this.batch = null;
    batch.done = this.threads.run(batch.pages, batch.operations, batch.transfer);
    return batch.done;
  }

  /** What is allocated, for people. @returns {{label: string, bytes: number}[]} */
  held() {
    return this.heap.blocks.map(({ address, end, label }) => ({ label, bytes: end - address }));
  }

  /** @param {Buffer} buffer */
  free({ address }) {
    this.heap.free(address);
  }

  /** Stop the workers; the device can't be used afterwards. */
  close() {
    this.closed = true;
    this.threads.end(new DeviceError("the device is closed"));
  }
}

/** @param {Dispatch} dispatch */
function stepOf({ pipeline, slices, outputs, grid }) {
  const ranges = slices.map(({ buffer, offset, size }) => (
    /** @type {[number, number]} */ ([buffer.address + offset, buffer.address + offset + size])));
  return { entry: pipeline.entry, ranges, outputs, units: grid[0] };
}

/** Throws a DeviceError where kernels can't be compiled here. */
async function checkEngine() {
  if (!globalThis.WebAssembly?.validate(SIMD_PROBE)) {
    throw new DeviceError("this browser has no WebAssembly SIMD: use a current one");
  }
  try {
    await WebAssembly.compile(SIMD_PROBE);
  } catch (error) {
    throw new DeviceError("WebAssembly can't be compiled here: the page's Content-Security-Policy "
      + `must allow it (script-src 'wasm-unsafe-eval'): ${messageOf(error)}`);
  }
}

/** All cores up to four; beyond, half of the logical ones, which is about the physical ones. */
function defaultThreads() {
  const logical = globalThis.navigator?.hardwareConcurrency ?? 1;
  return Math.max(Math.min(logical, 4), logical >> 1);
}

/** Why threads can't share a memory here. */
function whyOne() {
  return globalThis.crossOriginIsolated
    ? "the browser refuses a shared memory"
    : "the page isn't cross-origin isolated: serve it with Cross-Origin-Opener-Policy: same-origin "
      + "and Cross-Origin-Embedder-Policy: require-corp";
}

/** @param {number} threads @param {boolean} relaxed @param {number} most @param {string | null} note
 * @returns {DeviceInfo} */
function describe(threads, relaxed, most, note) {
  const unbounded = 2 ** 31 - 1;
  const workgroup = ["maxComputeWorkgroupStorageSize", "maxComputeInvocationsPerWorkgroup",
    "maxComputeWorkgroupSizeX", "maxComputeWorkgroupSizeY", "maxComputeWorkgroupSizeZ",
    "maxComputeWorkgroupsPerDimension", "maxStorageBuffersPerShaderStage"];
  return {
    kind: "wasm",
    adapter: `CPU, ${threads === 1 ? "1 thread" : `${threads} threads`}${relaxed ? ", relaxed SIMD" : ""}`,
    vendor: "",
    architecture: "",
    adapterClass: "cpu",
    features: relaxed ? [RELAXED_SIMD] : [],
    limits: {
      maxBufferSize: most, maxStorageBufferBindingSize: most, maxTotalSize: most,
      minStorageBufferOffsetAlignment: 16,
      ...Object.fromEntries(workgroup.map((name) => [name, unbounded])),
    },
    threads,
    note,
  };
}
