export type IntegerType = "int64" | "int32" | "int16" | "int8" | "uint64" | "uint32" | "uint16" | "uint8";
export type Type = "float32" | "float16" | "float64" | IntegerType | "bool";
export type TypedArray = Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> | BigUint64Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Int16Array<ArrayBuffer> | Int8Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
export type Storage = "f32" | "f16" | "i32" | "u32";
/**
 * For each type: its array, its storage, and the range that fits the storage.
 * @type {Record<Type, {array: any, storage: Storage, low: number, high: number}>}
 */
export declare const TYPES: Record<Type, {
    array: any;
    storage: Storage;
    low: number;
    high: number;
}>;
/** @param {unknown} type @returns {type is Type} */
export declare const isType: (type: unknown) => type is Type;
export type GpuBufferOptions = import("./ort-types.js").GpuBufferOptions;
export type Location = import("./ort-types.js").Location;
/** Typed data with dims, in the host's memory or in a GPU buffer, in onnxruntime-web's shape. */
export declare class Tensor {
    #private;
    /** @type {Type} */
    type: Type;
    /** @type {readonly number[]} */
    dims: readonly number[];
    /** The number of elements. @type {number} */
    size: number;
    /**
     * `new Tensor(type, data, dims?)` or `new Tensor(data, dims?)` with a typed array or booleans.
     * Data may be a plain array. A float16 tensor holds a Float16Array; its bits in a Uint16Array
     * where the engine has none.
     * @param {Type | TypedArray | Uint8ClampedArray | readonly boolean[]} type
     * @param {TypedArray | Uint8ClampedArray | readonly (number | bigint | boolean)[] | readonly number[]} [data]
     * @param {readonly number[]} [dims]
     */
    constructor(type: Type | TypedArray | Uint8ClampedArray | readonly boolean[], data?: TypedArray | Uint8ClampedArray | readonly (number | bigint | boolean)[] | readonly number[], dims?: readonly number[]);
    /**
     * A tensor over a GPU buffer, whose elements lie there as ONNX has them: int64 in 8 bytes, bool in
     * one. To feed it, make the buffer on `session.gpuDevice`, and leave it alone until the run is over.
     * @param {GPUBuffer} buffer @param {GpuBufferOptions} options @returns {Tensor}
     */
    static fromGpuBuffer(buffer: GPUBuffer, options: GpuBufferOptions): Tensor;
    /** A tensor over data that stay where they are, as every tensor's do. @param {Type} type
     * @param {TypedArray} data @param {readonly number[]} [dims] */
    static fromPinnedBuffer(type: Type, data: TypedArray, dims?: readonly number[]): Tensor;
    /** Where the data are. @returns {Location} */
    get location(): Location;
    /** The data, where they are in the host's memory. @returns {TypedArray} */
    get data(): TypedArray;
    /** The GPU buffer, where there is one. @returns {GPUBuffer} */
    get gpuBuffer(): GPUBuffer;
    /** The data, downloaded if they are on the GPU; from then on they are in the host's memory.
     * @param {boolean} [releaseData] give the GPU buffer back then @returns {Promise<TypedArray>} */
    getData(releaseData?: boolean): Promise<TypedArray>;
    /** Let go of the data, and of the GPU buffer where the tensor has one of its own: from then on only
     * `type`, `dims` and `size` are there. */
    dispose(): void;
    [Symbol.dispose](): void;
    /** The same data with other dims. @param {readonly number[]} dims @returns {Tensor} */
    reshape(dims: readonly number[]): Tensor;
}
/**
 * The tensor's elements as device storage, checked against `low … high`. `as` is what they are there
 * where it isn't the type's own: f16 and f32 convert.
 * @param {string} name for messages
 * @param {Tensor} tensor
 * @param {number | null} low @param {number | null} high @param {Storage} [as]
 * @returns {Uint8Array<ArrayBuffer>}
 */
export declare function toStorage(name: string, tensor: Tensor, low: number | null, high: number | null, as?: Storage): Uint8Array<ArrayBuffer>;
/**
 * The inverse of `toStorage`: device bytes (owned by the caller) as a tensor of the model's type.
 * @param {Type} type @param {ArrayBuffer} bytes @param {readonly number[]} dims @param {Storage} [as]
 * @returns {Tensor}
 */
export declare function fromStorage(type: Type, bytes: ArrayBuffer, dims: readonly number[], as?: Storage): Tensor;
