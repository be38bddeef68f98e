// Tensor: typed host data with dims, and its conversion to and from device storage.
/// <reference lib="esnext.disposable" preserve="true" />

import { ShapeError, UsageError } from "./errors.js";
import { narrowed, widened } from "./halves.js";
import { toDataURL, toImageData } from "./pixels.js";

/** @typedef {"int64" | "int32" | "int16" | "int8" | "uint64" | "uint32" | "uint16" | "uint8"} IntegerType */
/** @typedef {"float32" | "float16" | "float64" | IntegerType | "bool"} Type */
/** @typedef {Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> |
 *   BigUint64Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Int16Array<ArrayBuffer> |
 *   Int8Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> |
 *   Uint8Array<ArrayBuffer>} TypedArray */
/** What an element is in device memory. @typedef {"f32" | "f16" | "i32" | "u32"} Storage */

/** @type {any} */
const Half = /** @type {any} */ (globalThis).Float16Array;

/**
 * For each type: its array, its storage, and the range that fits the storage.
 * @type {Record<Type, {array: any, storage: Storage, low: number, high: number}>}
 */
export const TYPES = {
  float32: { array: Float32Array, storage: "f32", low: -Infinity, high: Infinity },
  float16: { array: Half ?? Uint16Array, storage: "f16", low: -Infinity, high: Infinity },
  float64: { array: Float64Array, storage: "f32", low: -Infinity, high: Infinity },
  int64: { array: BigInt64Array, storage: "i32", low: -(2 ** 31), high: 2 ** 31 - 1 },
  int32: { array: Int32Array, storage: "i32", low: -(2 ** 31), high: 2 ** 31 - 1 },
  int16: { array: Int16Array, storage: "i32", low: -32768, high: 32767 },
  int8: { array: Int8Array, storage: "i32", low: -128, high: 127 },
  uint64: { array: BigUint64Array, storage: "u32", low: 0, high: 2 ** 32 - 1 },
  uint32: { array: Uint32Array, storage: "u32", low: 0, high: 2 ** 32 - 1 },
  uint16: { array: Uint16Array, storage: "u32", low: 0, high: 65535 },
  uint8: { array: Uint8Array, storage: "u32", low: 0, high: 255 },
  bool: { array: Uint8Array, storage: "u32", low: 0, high: 1 },
};

/** @param {unknown} type @returns {type is Type} */
export const isType = (type) => typeof type === "string" && Object.hasOwn(TYPES, type);

/** @typedef {import("./ort-types.js").GpuBufferOptions} GpuBufferOptions */
/** @typedef {import("./ort-types.js").DataTypeMap} DataTypeMap */
/** @typedef {import("./ort-types.js").Location} Location */
/** @typedef {keyof DataTypeMap} Tensor.Type */
/** @typedef {TypedArray} Tensor.DataType */
/** @typedef {Location} Tensor.DataLocation */

/** What `fromGpuBuffer` gives the constructor. */
class Lent {
  /** @param {GPUBuffer} buffer @param {Omit<GpuBufferOptions, "dims">} options @param {number} [length]
   *   elements, where that is known */
  constructor(buffer, { download, dispose }, length) {
    this.buffer = buffer;
    this.length = length;
    this.download = download;
    this.dispose = dispose;
  }
}

/**
 * Typed data with dims, in the host's memory or in a GPU buffer, in onnxruntime-web's shape.
 * @template {Type} [T=Type]
 */
export class Tensor {
  /** @type {TypedArray | null} */
  #data = null;
  /** @type {Lent | null} */
  #lent = null;
  /** @type {Location} */
  #location = "cpu";
  /** @type {Promise<TypedArray> | null} */
  #downloading = null;

  /**
   * `new Tensor(type, data, dims?)` or `new Tensor(data, dims?)` with a typed array or booleans.
   * Data may be a plain array. A float16 tensor holds a Float16Array; its bits in a Uint16Array
   * where the engine has none.
   * @param {T | TypedArray | Uint8ClampedArray | readonly boolean[]} type
   * @param {TypedArray | Uint8ClampedArray | readonly (number | bigint | boolean)[] | readonly number[]} [data]
   * @param {readonly number[]} [dims]
   */
  constructor(type, data, dims) {
    if (typeof type !== "string") {
      [dims, data, type] = [
        /** @type {readonly number[]} */ (data), type, /** @type {T} */ (typeOf(type))];
    }
    if (!isType(type)) throw new UsageError(`tensor: unknown type ${JSON.stringify(type)}`);
    /** @type {T} */
    this.type = /** @type {T} */ (type);
    if (data instanceof Lent) [this.#lent, this.#location] = [data, "gpu-buffer"];
    else this.#data = toArray(type, data);
    const shape = dims === undefined && this.#data ? [this.#data.length] : Array.from(dims ?? []);
    if (!shape.every((d) => Number.isSafeInteger(d) && d >= 0)) {
      throw new ShapeError(`tensor: dims must be non-negative integers, not [${shape}]`);
    }
    /** @type {readonly number[]} */
    this.dims = Object.freeze(shape);
    /** The number of elements. @type {number} */
    this.size = shape.reduce((a, b) => a * b, 1);
    const { length } = this.#data ?? /** @type {Lent} */ (/** @type {unknown} */ (data));
    if (length !== undefined && this.size !== length) {
      throw new ShapeError(`tensor: dims [${shape}] hold ${this.size} elements, the data ${length}`);
    }
  }

  /**
   * A tensor over a GPU buffer, whose elements lie there as ONNX has them: int64 in 8 bytes, bool in
   * one. To feed it, make the buffer on `session.gpuDevice`, and leave it alone until the run is over.
   * @template {Type} [T="float32"] @param {GPUBuffer} buffer
   * @param {import("./ort-types.js").GpuBufferOptions<T>} options @returns {Tensor<T>}
   */
  static fromGpuBuffer(buffer, options) {
    const { dataType = /** @type {T} */ ("float32"), dims } = options ?? {};
    if (typeof buffer?.mapAsync !== "function") {
      throw new UsageError("Tensor.fromGpuBuffer: expected a GPUBuffer");
    }
    if (!Array.isArray(dims)) throw new UsageError("Tensor.fromGpuBuffer: expected dims, an array");
    if (dataType === "float64") {
      throw new UsageError("Tensor.fromGpuBuffer: WebGPU has no float64; use float32");
    }
    return new Tensor(dataType, /** @type {any} */ (new Lent(buffer, options)), dims);
  }

  /** A tensor over data that stay where they are, as every tensor's do. @template {Type} T
   * @param {T} type @param {DataTypeMap[T]} data @param {readonly number[]} [dims] */
  static fromPinnedBuffer(type, data, dims) {
    return new Tensor(type, data, dims);
  }

  /** An image's pixels: [1, 3, height, width] of numbers from 0 to 1, unless options say otherwise.
   * @param {import("./ort-types.js").ImageSource} image
   * @param {import("./ort-types.js").FromImageOptions} [options]
   * @returns {Promise<Tensor<"float32"> | Tensor<"uint8">>} */
  static async fromImage(image, options) {
    const { fromImage } = await import("./image.js");
    return fromImage(image, options);
  }

  /** The tensor, [1, 3, height, width] of numbers from 0 to 1 unless options say otherwise, as an image.
   * @param {import("./ort-types.js").ImageOptions} [options] @returns {ImageData} */
  toImageData(options) {
    return toImageData(this, options);
  }

  /** The same as the URL of a PNG. @param {import("./ort-types.js").ImageOptions} [options] */
  toDataURL(options) {
    return toDataURL(this, options);
  }

  /** Where the data are. @returns {Location} */
  get location() {
    return this.#location;
  }

  /** The data, where they are in the host's memory. @returns {DataTypeMap[T]} */
  get data() {
    this.#check();
    if (this.#data) return /** @type {DataTypeMap[T]} */ (this.#data);
    throw new UsageError("the tensor's data are on the GPU: `await tensor.getData()` downloads them");
  }

  /** The GPU buffer, where there is one. @returns {GPUBuffer} */
  get gpuBuffer() {
    this.#check();
    if (this.#lent) return this.#lent.buffer;
    throw new UsageError("the tensor's data are not in a GPU buffer");
  }

  /** The data, downloaded if they are on the GPU; from then on they are in the host's memory.
   * @param {boolean} [releaseData] give the GPU buffer back then @returns {Promise<DataTypeMap[T]>} */
  async getData(releaseData = false) {
    this.#check();
    if (!this.#data) {
      if (!this.#lent?.download) {
        throw new UsageError("the tensor's data can't be downloaded: it was made without `download`");
      }
      this.#downloading ??= this.#lent.download();
      try {
        this.#data = await this.#downloading;
      } finally {
        this.#downloading = null;
      }
      this.#location = "cpu";
    }
    if (releaseData) this.#giveBack();
    return this.data;
  }

  /** Let go of the data, and of the GPU buffer where the tensor has one of its own: from then on only
   * `type`, `dims` and `size` are there. */
  dispose() {
    if (this.#downloading) throw new UsageError("the tensor is being downloaded");
    this.#giveBack();
    this.#data = null;
    this.#location = "none";
  }

  [Symbol.dispose]() {
    this.dispose();
  }

  /** The same data with other dims; a GPU buffer stays this tensor's to give back.
   * @param {readonly number[]} dims @returns {Tensor<T>} */
  reshape(dims) {
    this.#check();
    if (this.#data) return new Tensor(this.type, this.#data, dims);
    const { buffer, download } = /** @type {Lent} */ (this.#lent);
    return new Tensor(this.type, /** @type {any} */ (new Lent(buffer, { download }, this.size)), dims);
  }

  #check() {
    if (this.#location === "none") throw new UsageError("the tensor was disposed of");
  }

  #giveBack() {
    const lent = this.#lent;
    this.#lent = null;
    lent?.dispose?.();
  }
}

/** @param {unknown} data @returns {Type} */
function typeOf(data) {
  if (data instanceof Uint8ClampedArray) return "uint8";
  if (Array.isArray(data) && typeof data[0] === "boolean") return "bool";
  for (const [type, entry] of Object.entries(TYPES)) {
    const named = type === "float16" && !Half; // a Uint16Array is uint16: float16 has to be named
    if (!named && data instanceof entry.array) return /** @type {Type} */ (type);
  }
  throw new UsageError("tensor: the first argument must be a type, a typed array or booleans");
}

/** @param {Type} type @param {any} data @returns {TypedArray} */
function toArray(type, data) {
  const { array: Kind } = TYPES[type];
  if (data instanceof Kind) return data;
  if (type === "float16" && data instanceof Uint16Array) {
    return new Kind(data.buffer, data.byteOffset, data.length);
  }
  if (type === "uint8" && data instanceof Uint8ClampedArray) return Kind.from(data);
  if (!Array.isArray(data)) {
    const found = data?.constructor?.name ?? typeof data;
    throw new ShapeError(`tensor: ${type} data must be ${Kind.name} or an array, not ${found}`);
  }
  try {
    if (type === "float16") return halvesOf(narrowed(Float32Array.from(data, Number)));
    if (type === "int64" || type === "uint64") return Kind.from(data, BigInt);
    return Kind.from(data, type === "bool" ? (/** @type {unknown} */ x) => (x ? 1 : 0) : Number);
  } catch {
    throw new ShapeError(`tensor: the data are not ${type} values`);
  }
}

/** @param {Uint16Array<ArrayBuffer>} bits @returns {TypedArray} */
const halvesOf = (bits) => (Half ? new Half(bits.buffer, bits.byteOffset, bits.length) : bits);

/**
 * The tensor's elements as device storage, checked against `low … high`. `as` is what they are there
 * where it isn't the type's own: f16 and f32 convert.
 * @param {string} name for messages
 * @param {Tensor} tensor
 * @param {number | null} low @param {number | null} high @param {Storage} [as]
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function toStorage(name, tensor, low, high, as) {
  const { storage, low: least, high: most } = TYPES[tensor.type];
  const data = tensor.type === "float64" ? singles(name, tensor.data) : tensor.data;
  if (storage === "f32") {
    return bytesOf(as === "f16" ? narrowed(/** @type {Float32Array<ArrayBuffer>} */ (data)) : data);
  }
  if (storage === "f16") {
    const bits = new Uint16Array(data.buffer, data.byteOffset, data.length);
    return bytesOf(as === "f32" ? widened(bits) : bits);
  }
  if (tensor.type === "bool") return bytesOf(Uint32Array.from(/** @type {ArrayLike<number>} */ (data), (x) => (x ? 1 : 0)));
  const wide = tensor.type === "int64" || tensor.type === "uint64";
  const bottom = Math.max(low ?? least, least);
  const top = Math.min(high ?? most, most);
  const values = wide ? narrow(name, tensor, bottom, top) : data;
  for (let j = 0; j < values.length; j++) {
    const value = /** @type {number} */ (values[j]);
    if (value < bottom || value > top) refuse(name, value, bottom, top);
  }
  if (values.BYTES_PER_ELEMENT === 4) return bytesOf(values);
  const Kind = storage === "i32" ? Int32Array : Uint32Array;
  return bytesOf(Kind.from(/** @type {ArrayLike<number>} */ (values)));
}

/** Doubles as floats, which may not lose what is finite. @param {string} name
 * @param {TypedArray} data */
function singles(name, data) {
  const out = Float32Array.from(/** @type {Float64Array} */ (data));
  const lost = out.findIndex((x, j) => Math.abs(x) === Infinity && Number.isFinite(data[j]));
  if (lost >= 0) {
    throw new ShapeError(`input '${name}': the value ${data[lost]} is outside of float32,`
      + " which float64 is computed in");
  }
  return out;
}

/** 64-bit integers as 32-bit ones, without a BigInt for each. @param {string} name
 * @param {Tensor} tensor @param {number} low @param {number} high
 * @returns {Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>} */
function narrow(name, { data, type }, low, high) {
  const words = new Int32Array(data.buffer, data.byteOffset, 2 * data.length);
  const out = new Int32Array(data.length);
  const signed = type === "int64";
  for (let j = 0; j < out.length; j++) {
    out[j] = words[2 * j];
    if (words[2 * j + 1] !== (signed ? out[j] >> 31 : 0)) refuse(name, data[j], low, high);
  }
  return signed ? out : new Uint32Array(out.buffer);
}

/** @param {string} name @param {number | bigint} value @param {number} low @param {number} high
 * @returns {never} */
function refuse(name, value, low, high) {
  throw new ShapeError(`input '${name}': the value ${value} is outside of ${low} … ${high}`);
}

/** @param {TypedArray} array */
const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/**
 * The inverse of `toStorage`: device bytes (owned by the caller) as a tensor of the model's type.
 * @param {Type} type @param {ArrayBuffer} bytes @param {readonly number[]} dims @param {Storage} [as]
 * @returns {Tensor}
 */
export function fromStorage(type, bytes, dims, as) {
  const { array: Kind, storage } = TYPES[type];
  const size = dims.reduce((a, b) => a * b, 1);
  if (storage === "f32" && (as === "f16" || type === "float64")) {
    const singles = as === "f16" ? widened(new Uint16Array(bytes, 0, size))
      : new Float32Array(bytes, 0, size);
    return new Tensor(type, type === "float64" ? Float64Array.from(singles) : singles, dims);
  }
  if (storage === "f16" && as === "f32") {
    return new Tensor(type, halvesOf(narrowed(new Float32Array(bytes, 0, size))), dims);
  }
  if (storage === "f32" || storage === "f16") return new Tensor(type, new Kind(bytes, 0, size), dims);
  const words = storage === "i32" ? new Int32Array(bytes, 0, size) : new Uint32Array(bytes, 0, size);
  if (type === "int64" || type === "uint64") {
    const out = new Kind(size);
    const halves = new Int32Array(out.buffer);
    for (let j = 0; j < size; j++) {
      halves[2 * j] = words[j];
      if (storage === "i32") halves[2 * j + 1] = words[j] >> 31;
    }
    return new Tensor(type, out, dims);
  }
  return new Tensor(type, words.constructor === Kind ? words : Kind.from(words), dims);
}
