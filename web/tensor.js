// Tensor: typed host data with dims, and its conversion to and from device storage.

import { ShapeError, UsageError } from "./errors.js";
import { narrowed, widened } from "./halves.js";

/** @typedef {"int64" | "int32" | "int16" | "int8" | "uint64" | "uint32" | "uint16" | "uint8"} IntegerType */
/** @typedef {"float32" | "float16" | IntegerType | "bool"} Type */
/** @typedef {Float32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> | BigUint64Array<ArrayBuffer> |
 *   Int32Array<ArrayBuffer> | Int16Array<ArrayBuffer> | Int8Array<ArrayBuffer> |
 *   Uint32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint8Array<ArrayBuffer>} TypedArray */
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

/** A tensor in the host's memory, in onnxruntime-web's shape. */
export class Tensor {
  /**
   * `new Tensor(type, data, dims?)` or `new Tensor(typedArray, dims?)`; data may be a plain array.
   * A float16 tensor holds a Float16Array; its bits in a Uint16Array where the engine has none.
   * @param {Type | TypedArray} type
   * @param {TypedArray | readonly (number | bigint | boolean)[] | readonly number[]} [data]
   * @param {readonly number[]} [dims]
   */
  constructor(type, data, dims) {
    if (typeof type !== "string") {
      [dims, data, type] = [/** @type {readonly number[]} */ (data), type, typeOf(type)];
    }
    if (!isType(type)) throw new UsageError(`tensor: unknown type ${JSON.stringify(type)}`);
    /** @type {Type} */
    this.type = type;
    /** @type {TypedArray} */
    this.data = toArray(type, data);
    const shape = dims === undefined ? [this.data.length] : Array.from(dims);
    if (!shape.every((d) => Number.isSafeInteger(d) && d >= 0)) {
      throw new ShapeError(`tensor: dims must be non-negative integers, not [${shape}]`);
    }
    /** @type {readonly number[]} */
    this.dims = Object.freeze(shape);
    const size = shape.reduce((a, b) => a * b, 1);
    if (size !== this.data.length) {
      throw new ShapeError(
        `tensor: dims [${shape}] hold ${size} elements, the data ${this.data.length}`);
    }
  }

  /** The number of elements. */
  get size() {
    return this.data.length;
  }

  /** The data, always in the host's memory already. @returns {Promise<TypedArray>} */
  async getData() {
    return this.data;
  }

  /** For the sake of onnxruntime-web's programs: nothing to give back. */
  dispose() {}
}

/** @param {unknown} array @returns {Type} */
function typeOf(array) {
  for (const [type, entry] of Object.entries(TYPES)) {
    const named = type === "float16" && !Half; // a Uint16Array is uint16: float16 has to be named
    if (!named && array instanceof entry.array) return /** @type {Type} */ (type);
  }
  throw new UsageError("tensor: the first argument must be a type or a typed array");
}

/** @param {Type} type @param {any} data @returns {TypedArray} */
function toArray(type, data) {
  const { array: Kind } = TYPES[type];
  if (data instanceof Kind) return data;
  if (type === "float16" && data instanceof Uint16Array) {
    return new Kind(data.buffer, data.byteOffset, data.length);
  }
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
  const { data } = tensor;
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
  if (storage === "f32" && as === "f16") {
    return new Tensor(type, widened(new Uint16Array(bytes, 0, size)), dims);
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
