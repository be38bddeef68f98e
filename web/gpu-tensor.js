// Tensors in GPU buffers as a run's inputs and outputs, loaded when a page uses them. There elements
// lie as ONNX has them (int64 in 8 bytes, bool in one), as in onnxruntime-web; where kernels store
// them otherwise, they are converted on the GPU.

import { DeviceError, DeviceLostError, ShapeError, UsageError, messageOf } from "./errors.js";
import { staysOnGpu } from "./fetches.js";
import { checkGiven } from "./given.js";
import { BYTES, Convert } from "./gpu-convert.js";
import { TYPES, Tensor } from "./tensor.js";
import { bindingSize } from "./weights.js";

/** @typedef {import("./tensor.js").Type} Type */
/** @typedef {import("./tensor.js").TypedArray} TypedArray */
/** @typedef {import("./device.js").Device} Device */
/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** @typedef {{buffer: GPUBuffer, offset: number, size: number}} Slice */
/** @typedef {(tensor: number) => any} Place the Slice of one of the plan's tensors */
/** An output that stays on the GPU: in the caller's buffer, or in one of its own.
 * @typedef {{port: Port, given: Tensor | null}} Kept */

/** Milliseconds after something failed in which the GPU may still say that it is lost. */
const LOSS_MS = 100;

/** @param {readonly number[]} dims */
const count = (dims) => dims.reduce((a, b) => a * b, 1);

/** @param {number} bytes */
const words = (bytes) => 4 * Math.ceil(bytes / 4);

/** Bytes of a tensor as ONNX has it. @param {Type} type @param {readonly number[]} dims */
const sizeOf = (type, dims) => count(dims) * BYTES[type];

/** Throws a UsageError for a tensor whose buffer can't be used. @param {string} what @param {Tensor} tensor
 * @param {readonly number[]} dims @param {"COPY_SRC" | "COPY_DST"} copies how it is copied */
function checkBuffer(what, { gpuBuffer, type }, dims, copies) {
  const least = words(sizeOf(type, dims));
  const { size, usage, mapState } = gpuBuffer;
  if (size < least) {
    throw new UsageError(`${what}: ${type} [${dims.join(", ")}] needs ${least} bytes in its GPU buffer, `
      + `which has ${size}`);
  }
  if (!(usage & (GPUBufferUsage.STORAGE | GPUBufferUsage[copies]))) {
    throw new UsageError(`${what}: its GPU buffer needs the usages STORAGE and ${copies}`);
  }
  if (mapState !== "unmapped") throw new UsageError(`${what}: its GPU buffer is ${mapState}; unmap it`);
}

/** What a session needs for such tensors, on its device. */
export class GpuPorts {
  /** The same as before, while the device is. @param {GpuPorts | null} before @param {Pack} pack
   * @param {import("./protocol.js").Device} device @returns {GpuPorts} */
  static of(before, pack, device) {
    if (device.info.kind !== "webgpu") {
      throw new UsageError("tensors in GPU buffers need WebGPU, and this session runs on "
        + `${device.info.kind}: create it with {device: "webgpu"}, or use tensors on the CPU`);
    }
    const gpu = /** @type {Device} */ (/** @type {unknown} */ (device));
    return before?.device === gpu ? before : new GpuPorts(pack, gpu);
  }

  /** @param {Pack} pack @param {Device} device */
  constructor(pack, device) {
    this.pack = pack;
    this.device = device;
    this.convert = new Convert(pack, device);
  }

  /** Ready for one run. @param {(Tensor | Uint8Array<ArrayBuffer>)[]} data of the inputs
   * @param {readonly Port[]} outputs in the order of the fetches
   * @param {import("./ort-types.js").Asked} asked
   * @param {import("./ort-types.js").OutputLocation} [location] @returns {Promise<GpuRun>} */
  async begin(data, outputs, asked, location) {
    const { pack, convert } = this;
    const feeds = data.map((feed) => (feed instanceof Tensor ? feed : null));
    const uploads = data.map((feed) => (feed instanceof Tensor ? null : feed));
    /** @type {Map<string, Kept>} */
    const kept = new Map();
    for (const port of outputs) {
      const given = asked.get(port.name) ?? null;
      if (staysOnGpu(port.name, given, location)) kept.set(port.name, { port, given });
    }
    feeds.forEach((tensor, j) => {
      if (tensor) checkBuffer(`input '${pack.inputs[j].name}'`, tensor, tensor.dims, "COPY_SRC");
    });
    await convert.compile([
      ...feeds.flatMap((tensor, j) => (tensor ? [convert.into(j)] : [])),
      ...[...kept.values()].map(({ port }) => convert.outOf(port)),
    ]);
    return new GpuRun(this, feeds, uploads, outputs, kept);
  }
}

/** One run's tensors on the GPU. */
export class GpuRun {
  /** @param {GpuPorts} ports @param {(Tensor | null)[]} feeds null where they come from the CPU
   * @param {(Uint8Array<ArrayBuffer> | null)[]} uploads those that do @param {readonly Port[]} outputs
   * @param {ReadonlyMap<string, Kept>} kept by name */
  constructor(ports, feeds, uploads, outputs, kept) {
    this.ports = ports;
    this.uploads = uploads;
    this.device = ports.device;
    this.feeds = feeds;
    this.outputs = outputs;
    this.kept = kept;
    /** @type {Map<string, Tensor>} outputs that stay on the GPU, once they are there */
    this.tensors = new Map();
    /** Whether kernels may use tensors of this run where they are. A cache's length is another one in each
     * run; where shapes stay, one recording serves all runs, which copy. */
    this.lends = [...feeds.flatMap((tensor, j) => (tensor ? ports.pack.inputs[j] : [])),
      ...[...kept.values()].flatMap(({ port, given }) => (given ? [] : port))]
      .some(({ shape }) => shape.some((dim) => typeof dim !== "number"));
  }

  /** Buffers in which kernels read feeds, and write outputs that stay on the GPU: those that lie there
   * as kernels have them. What the caller gave for a result may be a feed too: it is copied into; what is
   * fed twice is copied once: a kernel that reads both may not bind one buffer twice.
   * @param {{sizes: readonly number[], dims: Map<string, number[]>}} layout
   * @returns {Map<number, GPUBuffer>} by the plan's tensors */
  lend({ sizes, dims }) {
    const { convert, pack } = this.ports;
    /** @type {Map<number, GPUBuffer>} */
    const lent = new Map();
    this.feeds.forEach((feed, j) => {
      const { tensor } = pack.inputs[j];
      if (!feed || !convert.into(j).same) return;
      const { size, usage } = feed.gpuBuffer;
      const fits = usage & GPUBufferUsage.STORAGE && size >= bindingSize(sizes[tensor]);
      if (fits && ![...lent.values()].includes(feed.gpuBuffer)) lent.set(tensor, feed.gpuBuffer);
    });
    this.device.encode(() => { // which looks at what is refused of it
      for (const { port, given } of this.kept.values()) {
        const { home } = pack.tensors[port.tensor];
        if (given || home !== "output" || lent.has(port.tensor) || !convert.outOf(port).same) continue;
        lent.set(port.tensor, this.#make(port, dims).gpuBuffer);
      }
    });
    return lent;
  }

  /** @param {Port} port @param {Map<string, number[]>} dims @returns {Tensor} */
  #make({ name, type }, dims) {
    const tensor = makeTensor(
      this.device.gpu, type, /** @type {number[]} */ (dims.get(name)), `output ${name}`);
    this.tensors.set(name, tensor);
    return tensor;
  }

  /** Put the feeds where kernels read them. @param {Place} place */
  feed(place) {
    const { convert, pack } = this.ports;
    if (!this.feeds.some((tensor) => tensor)) return;
    this.device.encode((encoder) => {
      convert.clear(encoder);
      this.feeds.forEach((tensor, j) => {
        if (!tensor) return;
        const target = place(pack.inputs[j].tensor);
        if (target.buffer === tensor.gpuBuffer) return;
        convert.into(j).encode(encoder, { buffer: tensor.gpuBuffer, offset: 0 }, target, tensor.size);
      });
    });
  }

  /** Once the kernels are queued: the outputs that stay on the GPU, and the bytes of the others.
   * @param {Place} place @param {Map<string, number[]>} dims @returns {Promise<ArrayBuffer[]>} */
  async take(place, dims) {
    const { device, ports } = this;
    const checks = this.feeds.some((tensor, j) => tensor && ports.convert.into(j).checks);
    const read = this.outputs.filter(({ name }) => !this.kept.has(name));
    const requests = read.map(({ tensor }) => place(tensor));
    if (checks) requests.push(ports.convert.outside);
    if (this.kept.size) device.encode((encoder) => this.#keep(encoder, place, dims));
    const bytes = requests.length ? await device.readMany(requests) : [];
    if (!requests.length) await device.settle();
    if (checks) this.#check(new Uint32Array(/** @type {ArrayBuffer} */ (bytes.pop())));
    return this.outputs.map(({ name }) => (
      this.kept.has(name) ? new ArrayBuffer() : /** @type {ArrayBuffer} */ (bytes.shift())));
  }

  /** What the run failed with, in the caller's terms; nothing that it made stays.
   * @param {unknown} error @returns {Promise<unknown>} */
  async failed(error) {
    for (const [name, tensor] of this.tensors) if (!this.kept.get(name)?.given) tensor.dispose();
    if (!(error instanceof DeviceError) || error instanceof DeviceLostError) return error;
    const { inputs } = this.ports.pack;
    const buffers = [
      ...this.feeds.flatMap((t, j) => (t ? [{ what: `input '${inputs[j].name}'`, tensor: t }] : [])),
      ...[...this.kept].flatMap(([name, { given }]) => (
        given ? [{ what: `output '${name}'`, tensor: given }] : [])),
    ];
    for (const { what, tensor } of buffers) {
      const reason = await this.ports.convert.refusal(tensor.gpuBuffer);
      if (reason) {
        return new UsageError(`${what}: this session's GPU can't use its buffer: make it on `
          + `session.gpuDevice, and destroy it after the run (${reason})`);
      }
    }
    return error;
  }

  /** @param {GPUCommandEncoder} encoder @param {Place} place @param {Map<string, number[]>} dims */
  #keep(encoder, place, dims) {
    for (const [name, { port, given }] of this.kept) {
      if (this.tensors.has(name)) continue; // kernels wrote there
      const shape = /** @type {number[]} */ (dims.get(name));
      if (given) {
        checkGiven(name, given, port.type, shape);
        checkBuffer(`output '${name}'`, given, shape, "COPY_DST");
      }
      const tensor = given ?? this.#make(port, dims);
      this.tensors.set(name, tensor);
      const target = { buffer: tensor.gpuBuffer, offset: 0 };
      this.ports.convert.outOf(port).encode(encoder, place(port.tensor), target, tensor.size);
    }
  }

  /** @param {Uint32Array} outside */
  #check(outside) {
    this.feeds.forEach((tensor, j) => {
      if (!tensor || !outside[j]) return;
      const { low, high } = this.ports.convert.into(j);
      const { name } = this.ports.pack.inputs[j];
      throw new ShapeError(`input '${name}': its GPU buffer holds a value outside of ${low} … ${high}`);
    });
  }
}

/** A tensor in a buffer of its own. @param {GPUDevice} gpu @param {Type} type
 * @param {readonly number[]} dims @param {string} label @returns {Tensor} */
function makeTensor(gpu, type, dims, label) {
  const size = 16 * Math.max(1, Math.ceil(sizeOf(type, dims) / 16));
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = gpu.createBuffer({ size, usage, label });
  return Tensor.fromGpuBuffer(buffer, {
    dataType: type, dims,
    download: () => download(gpu, buffer, type, count(dims)),
    dispose: () => buffer.destroy(),
  });
}

/** @param {GPUDevice} gpu @param {GPUBuffer} buffer @param {Type} type @param {number} length
 * @returns {Promise<TypedArray>} */
async function download(gpu, buffer, type, length) {
  const { array: Kind } = TYPES[type];
  const size = words(length * BYTES[type]);
  if (!size) return new Kind(0);
  gpu.pushErrorScope("out-of-memory");
  gpu.pushErrorScope("validation");
  const staging = gpu.createBuffer({
    size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, label: "download" });
  const encoder = gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
  gpu.queue.submit([encoder.finish()]);
  const scopes = [gpu.popErrorScope(), gpu.popErrorScope()];
  const mapped = staging.mapAsync(GPUMapMode.READ).then(() => null, (error) => error);
  const errors = await Promise.all(scopes).catch((error) => [error]);
  const problem = errors.find((error) => error) ?? await mapped;
  if (problem) {
    staging.destroy();
    throw await typed(gpu, problem);
  }
  const bytes = staging.getMappedRange().slice(0);
  staging.destroy();
  return new Kind(bytes, 0, length);
}

/** @param {GPUDevice} gpu @param {any} problem */
async function typed(gpu, problem) {
  const soon = new Promise((resolve) => { setTimeout(resolve, LOSS_MS, null); });
  const lost = await Promise.race([gpu.lost, soon]);
  if (lost) return new DeviceLostError("the tensor's GPU device is lost, and its data with it");
  return new DeviceError(`the GPU refused to download a tensor: ${problem.message ?? messageOf(problem)}`);
}
