// The Device protocol of webrt/runtime/device.py on the page's WebGPU: buffers, pipelines,
// recordings. The player's session and Pyodide's (devices/browser.py) both run on it.

import { LIMITS, requestDevice } from "./adapter.js";
import {
  CompileError, DeviceError, DeviceLostError, UsageError, WebrtError, messageOf,
} from "./errors.js";
import { Recording } from "./recording.js";

/** @typedef {import("./protocol.js").KernelCode} KernelCode */
/** @typedef {{pipeline: GPUComputePipeline, layout: GPUBindGroupLayout}} Pipeline */
/** @typedef {{buffer: GPUBuffer, offset: number, size: number}} Slice */
/** `cost` estimates milliseconds on a slow device: long recordings are cut by it.
 * @typedef {{pipeline: Pipeline, slices: readonly Slice[], grid: readonly number[],
 *   cost: number}} Dispatch */

/** Milliseconds after something failed in which the GPU may still say that it is lost: after what
 * WebGPU said of it, and after a promise that failed, which mostly means just that. */
const SAID_MS = 250, FAILED_MS = 1000;

/** @type {WeakMap<GPUDevice, Set<Device>>} */
const HEARING = new WeakMap();

/** One GPUDevice. Errors that WebGPU reports later reject the next read: never silent zeros. */
export class Device {
  /** @param {GPUAdapterInfo | undefined} adapter @param {GPUDevice} gpu
   * @param {boolean} [owned] false: the page's, which goes on using it when this is closed */
  constructor(adapter, gpu, owned = true) {
    this.gpu = gpu;
    this.owned = owned;
    this.info = describe(adapter, gpu);
    /** @type {Map<string, {group: GPUBindGroupLayout, pipeline: GPUPipelineLayout}>} */
    this.layouts = new Map();
    /** @type {GPUBuffer | null} a staging buffer that waits for the next read */
    this.staging = null;
    /** @type {Promise<GPUError | null>[]} what the next read has to look at */
    this.scopes = [];
    /** @type {string | null} */
    this.failure = null;
    /** @type {{recording: Recording, start: number} | null} */
    this.replayed = null;
    /** Buffers that are not yet given back. @type {Set<GPUBuffer>} */
    this.buffers = new Set();
    /** Who waits for the GPU. @type {Set<(error: DeviceLostError) => void>} */
    this.waiting = new Set();
    /** @type {DeviceLostError | null} */
    this.lostError = null;
    Device.#hear(gpu).add(this);
    if (!owned) return; // what else goes wrong there isn't ours: all of ours is watched
    gpu.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.failure ??= event.error.message;
    });
  }

  /** Who hears of a GPUDevice's loss: a page's own may stay for long, and outlive many sessions.
   * @param {GPUDevice} gpu @returns {Set<Device>} */
  static #hear(gpu) {
    const known = HEARING.get(gpu);
    if (known) return known;
    /** @type {Set<Device>} */
    const hearing = new Set();
    HEARING.set(gpu, hearing);
    gpu.lost.then(({ message, reason }) => {
      HEARING.delete(gpu);
      for (const device of hearing) device.#lose(message || reason);
    });
    return hearing;
  }

  /**
   * The page's WebGPU device with all that the adapter has of what kernels may use, or `gpuDevice`,
   * which stays the page's.
   * @param {{powerPreference?: GPUPowerPreference, forceFallbackAdapter?: boolean,
   *   gpuDevice?: GPUDevice}} [options] @returns {Promise<Device>}
   */
  static async open({ gpuDevice, powerPreference, forceFallbackAdapter } = {}) {
    if (gpuDevice === undefined) {
      const { info, gpu } = await requestDevice({ powerPreference, forceFallbackAdapter });
      return new Device(info, gpu);
    }
    if (!globalThis.GPUDevice || !(gpuDevice instanceof GPUDevice)) {
      throw new UsageError("gpuDevice: expected a GPUDevice");
    }
    return new Device(gpuDevice.adapterInfo, gpuDevice, false);
  }

  /** Zeroed memory. @param {number} size @param {string} label @returns {GPUBuffer} */
  allocate(size, label) {
    const most = this.gpu.limits.maxBufferSize;
    const bytes = Math.max(16, Math.ceil(size / 16) * 16);
    if (bytes > most) {
      throw new DeviceError(
        `allocating ${bytes} bytes for ${label}: ${this.info.adapter} has at most ${most} a buffer`);
    }
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_SRC
      | GPUBufferUsage.COPY_DST;
    return this.#watch(() => this.#create({ size: bytes, usage, label }));
  }

  /** @param {GPUBufferDescriptor} descriptor @returns {GPUBuffer} */
  #create(descriptor) {
    const buffer = this.gpu.createBuffer(descriptor);
    this.buffers.add(buffer);
    return buffer;
  }

  /** Queue a write; offset and length are multiples of 4.
   * @param {GPUBuffer} buffer @param {number} offset @param {Uint8Array<ArrayBuffer>} data */
  upload(buffer, offset, data) {
    this.#watch(() => this.#write(buffer, offset, data));
  }

  /** @param {GPUBuffer} buffer @param {number} offset @param {Uint8Array<ArrayBuffer>} data */
  #write(buffer, offset, data) {
    const { length } = data;
    this.gpu.queue.writeBuffer(buffer, offset, data, 0, length - (length % 4));
    if (length % 4) { // an odd number of f16 elements
      const rest = new Uint8Array(4);
      rest.set(data.subarray(length - (length % 4)));
      this.gpu.queue.writeBuffer(buffer, offset + length - (length % 4), rest);
    }
  }

  /** Queue writes of parts of `data`, and wait until the GPU has taken them; gives `data`.
   * @param {Uint8Array<ArrayBuffer>} data
   * @param {readonly {buffer: GPUBuffer, offset: number, from: number, bytes: number}[]} parts */
  async uploadParts(data, parts) {
    this.#watch(() => {
      for (const { buffer, offset, from, bytes } of parts) {
        this.#write(buffer, offset, data.subarray(from, from + bytes));
      }
    });
    await this.settle("weights");
    return data;
  }

  /**
   * All kernels, concurrently; throws a CompileError that names the kernel.
   * @param {readonly KernelCode[]} kernels @param {(done: number, total: number) => void} [progress]
   * @returns {Promise<Pipeline[]>}
   */
  async compile(kernels, progress) {
    let done = 0;
    const compiled = kernels.map(async (kernel) => {
      const pipeline = await this.#compileOne(kernel);
      progress?.(++done, kernels.length);
      return pipeline;
    });
    return this.#orLost(Promise.all(compiled));
  }

  /** @param {KernelCode} kernel @returns {Promise<Pipeline>} */
  async #compileOne({ name, source, bindings }) {
    const layout = this.#layout(bindings);
    this.gpu.pushErrorScope("validation");
    const code = /** @type {string} */ (source);
    const module = this.gpu.createShaderModule({ code, label: name });
    const refused = this.gpu.popErrorScope();
    try {
      const pipeline = await this.gpu.createComputePipelineAsync({
        label: name, layout: layout.pipeline, compute: { module, entryPoint: "main" },
      });
      return { pipeline, layout: layout.group };
    } catch (error) {
      if (this.lostError) throw this.lostError;
      const info = await module.getCompilationInfo().catch(() => null);
      const first = info?.messages.find((m) => m.type === "error");
      const place = first ? `line ${first.lineNum}: ${first.message}` : messageOf(error);
      throw new CompileError(`kernel ${name}: ${place}`);
    } finally {
      await refused.catch(() => null);
    }
  }

  /** Layouts are shared between kernels: storage bindings, then the uniform of symbols.
   * @param {readonly {writable: boolean}[]} bindings */
  #layout(bindings) {
    const key = bindings.map((b) => (b.writable ? "w" : "r")).join("");
    let layout = this.layouts.get(key);
    if (!layout) {
      /** @type {GPUBufferBindingType[]} */
      const types = bindings.map((b) => (b.writable ? "storage" : "read-only-storage"));
      const entries = [...types, /** @type {const} */ ("uniform")].map((type, binding) => (
        { binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } }));
      const group = this.gpu.createBindGroupLayout({ entries });
      const pipeline = this.gpu.createPipelineLayout({ bindGroupLayouts: [group] });
      layout = { group, pipeline };
      this.layouts.set(key, layout);
    }
    return layout;
  }

  /**
   * Build the bind groups; `uniform` holds the symbols, as i32s, for every kernel.
   * @param {readonly Dispatch[]} dispatches @param {GPUBuffer} uniform @returns {Recording}
   */
  record(dispatches, uniform) {
    return this.#watch(() => new Recording(dispatches.map(({ pipeline, slices, grid, cost }) => {
      const resources = [...slices, { buffer: uniform }];
      const group = this.gpu.createBindGroup({
        layout: pipeline.layout,
        entries: resources.map((resource, binding) => ({ binding, resource })),
      });
      const [x, y, z] = grid;
      return { pipeline: pipeline.pipeline, group, x, y, z, cost };
    })));
  }

  /** Queue every dispatch in order; long recordings go as several submissions.
   * @param {Recording} recording */
  replay(recording) {
    this.#watch(() => this.#submit(recording, null));
  }

  /** Nothing to give back: bind groups are garbage collected. @param {Recording} recording */
  discard(recording) {
    void recording;
  }

  /** @param {Recording} recording @param {((encoder: GPUCommandEncoder) => void) | null} last */
  #submit(recording, last) {
    this.replayed = { recording, start: performance.now() };
    const { steps, ends } = recording;
    let at = 0;
    for (const end of ends) {
      const encoder = this.gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      let current = null;
      for (; at < end; at++) {
        const step = steps[at];
        if (step.pipeline !== current) pass.setPipeline(current = step.pipeline);
        pass.setBindGroup(0, step.group);
        pass.dispatchWorkgroups(step.x, step.y, step.z);
      }
      pass.end();
      if (last && end === steps.length) last(encoder);
      this.gpu.queue.submit([encoder.finish()]);
    }
  }

  /**
   * Replay, then read slices (offsets and sizes multiples of 4): one command buffer, one wait.
   * @param {Recording} recording @param {readonly Slice[]} requests
   * @returns {Promise<ArrayBuffer[]>}
   */
  replayAndRead(recording, requests) {
    return this.#read(requests, (copy) => this.#submit(recording, copy));
  }

  /** Slices' bytes after all that was queued before, with a single wait.
   * @param {readonly Slice[]} requests @returns {Promise<ArrayBuffer[]>} */
  readMany(requests) {
    return this.#read(requests, (copy) => this.#encode(copy));
  }

  /** Queue what `work` puts in a command encoder. @param {(encoder: GPUCommandEncoder) => void} work */
  encode(work) {
    this.#watch(() => this.#encode(work));
  }

  /** @param {(encoder: GPUCommandEncoder) => void} work */
  #encode(work) {
    const encoder = this.gpu.createCommandEncoder();
    work(encoder);
    this.gpu.queue.submit([encoder.finish()]);
  }

  /** @param {readonly Slice[]} requests
   * @param {(copy: (encoder: GPUCommandEncoder) => void) => void} submit
   * @returns {Promise<ArrayBuffer[]>} */
  async #read(requests, submit) {
    const total = Math.max(16, requests.reduce((sum, { size }) => sum + size, 0));
    /** @type {GPUBuffer | undefined} */
    let staging;
    try {
      const taken = this.#watch(() => {
        staging = this.#takeStaging(total);
        return staging;
      });
      this.#watch(() => submit((encoder) => {
        let at = 0;
        for (const { buffer: source, offset, size } of requests) {
          encoder.copyBufferToBuffer(source, offset, taken, at, size);
          at += size;
        }
      }));
      // A failed map says less than the error scope that caused it, so it is looked at last.
      const mapped = taken.mapAsync(GPUMapMode.READ, 0, total).then(() => null, (error) => error);
      await this.settle();
      const problem = await this.#orLost(mapped);
      if (problem) throw problem;
      const results = this.#copied(taken, requests, total);
      this.#noteTime();
      return results;
    } catch (error) {
      if (staging) this.free(staging);
      throw await this.#typed(error);
    }
  }

  /** @param {GPUBuffer} staging @param {readonly Slice[]} requests @param {number} total */
  #copied(staging, requests, total) {
    const bytes = staging.getMappedRange(0, total);
    let at = 0;
    const results = requests.map(({ size }) => bytes.slice(at, (at += size)));
    staging.unmap();
    if (this.staging) this.free(this.staging);
    this.staging = staging;
    return results;
  }

  /** Wait until the GPU has taken what was queued so far; throws what it refused of it, once.
   * @param {string} [what] */
  async settle(what = "a run") {
    const scopes = this.scopes;
    this.scopes = [];
    let errors;
    try {
      errors = await this.#orLost(Promise.all(scopes));
    } catch (error) {
      throw await this.#typed(error);
    }
    const first = errors.find((e) => e);
    const refused = first ? saidOf(first) : this.failure;
    this.failure = null;
    if (refused !== null) {
      throw await this.#typed(new DeviceError(`the GPU refused ${what}: ${refused}`));
    }
  }

  /** What a promise comes to, or the loss of the device where that is first. A race with a promise
   * that stays would keep every answer for as long. @template T @param {Promise<T>} promise
   * @returns {Promise<T>} */
  #orLost(promise) {
    return new Promise((resolve, reject) => {
      if (this.lostError) reject(this.lostError);
      this.waiting.add(reject);
      promise.then(resolve, reject).finally(() => this.waiting.delete(reject));
    });
  }

  /** An error as ours: a browser may say what failed before it says that the device is lost.
   * @param {unknown} error @returns {Promise<WebrtError>} */
  async #typed(error) {
    const ms = error instanceof WebrtError ? SAID_MS : FAILED_MS;
    await this.#orLost(new Promise((resolve) => { setTimeout(resolve, ms); })).catch(() => {});
    if (this.lostError) return this.lostError;
    return error instanceof WebrtError ? error
      : new DeviceError(`the GPU refused a run: ${messageOf(error)}`);
  }

  /** A mappable buffer of at least `size` bytes: the last one, where it is large enough.
   * @param {number} size @returns {GPUBuffer} */
  #takeStaging(size) {
    const kept = this.staging;
    this.staging = null;
    if (kept && kept.size >= size && kept.size <= 4 * size + 65536) return kept;
    if (kept) this.free(kept);
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    return this.#create({ size, usage, label: "staging" });
  }

  #noteTime() {
    if (!this.replayed) return;
    this.replayed.recording.timed(performance.now() - this.replayed.start);
    this.replayed = null;
  }

  /** Do `work` in error scopes that the next read looks at.
   * @template T @param {() => T} work @returns {T} */
  #watch(work) {
    if (this.lostError) throw this.lostError;
    this.gpu.pushErrorScope("out-of-memory");
    this.gpu.pushErrorScope("validation");
    try {
      return work();
    } catch (error) {
      if (error instanceof WebrtError) throw error;
      throw new DeviceError(`the GPU refused a run: ${messageOf(error)}`);
    } finally {
      const popped = [this.gpu.popErrorScope(), this.gpu.popErrorScope()];
      for (const scope of popped) scope.catch(() => {}); // `settle` hears it, if anyone does
      this.scopes.push(...popped);
    }
  }

  /** What is allocated, for people. @returns {{label: string, bytes: number}[]} */
  held() {
    return [...this.buffers].map(({ label, size }) => ({ label, bytes: size }));
  }

  /** @param {GPUBuffer} buffer */
  free(buffer) {
    this.buffers.delete(buffer);
    buffer.destroy();
  }

  /** @param {string} reason */
  #lose(reason) {
    this.lostError ??= lostError(reason);
    for (const reject of this.waiting) reject(this.lostError);
    this.waiting.clear();
  }

  /** Give everything back; the device can't be used afterwards. */
  close() {
    this.#lose("it was closed"); // what is under way may end in other words
    for (const buffer of this.buffers) buffer.destroy();
    this.buffers.clear();
    this.layouts.clear(); // Firefox keeps a GPUDevice, and so whoever hears of it, for long
    [this.staging, this.replayed, this.scopes] = [null, null, []];
    HEARING.get(this.gpu)?.delete(this);
    if (this.owned) this.gpu.destroy();
  }
}

/** @param {string} reason */
const lostError = (reason) =>
  new DeviceLostError(`the GPU device is lost: ${reason}; create the session again`);

/** @param {GPUError} error */
const saidOf = (error) => (error instanceof GPUOutOfMemoryError
  ? `out of memory: ${error.message || "no room"}; try smaller inputs, or close other tabs`
  : error.message);

/** @param {GPUAdapterInfo | undefined} adapter @param {GPUDevice} gpu
 * @returns {import("./protocol.js").DeviceInfo} */
function describe(adapter, gpu) {
  const info = /** @type {GPUAdapterInfo & {type?: string}} */ (adapter ?? {});
  const names = [info.vendor, info.architecture, info.device, info.description];
  const adapterName = names.filter((n, j) => n && names.indexOf(n) === j).join(" ");
  const software = info.isFallbackAdapter || info.type?.toLowerCase() === "cpu";
  const kinds = /** @type {Record<string, string>} */ (
    { "discrete gpu": "discrete", "integrated gpu": "integrated" });
  return {
    kind: "webgpu",
    adapter: adapterName || "WebGPU adapter",
    vendor: info.vendor ?? "",
    architecture: info.architecture ?? "",
    adapterClass: software ? "cpu" : kinds[info.type?.toLowerCase() ?? ""] ?? "unknown",
    features: [...gpu.features].filter((name) => name !== "timestamp-query").sort(), // for profiles
    limits: Object.fromEntries(LIMITS.map((name) => [name, gpu.limits[name]])),
    threads: 1,
    note: null,
  };
}
