/// <reference lib="esnext.disposable" preserve="true" />
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
export type DataTypeMap = import("./ort-types.js").DataTypeMap;
export type Location = import("./ort-types.js").Location;
export declare namespace Tensor {
    export type Type = keyof DataTypeMap;
}
export declare namespace Tensor {
    export type DataType = TypedArray;
}
export declare namespace Tensor {
    export type DataLocation = Location;
}
/**
 * Typed data with dims, in the host's memory or in a GPU buffer, in onnxruntime-web's shape.
 * @template {Type} [T=Type]
 */
export declare class Tensor<T extends Type = Type> {
    #private;
    /** @type {T} */
    type: T;
    /** @type {readonly number[]} */
    dims: readonly number[];
    /** The number of elements. @type {number} */
    size: number;
    /**
     * `new Tensor(type, data, dims?)` or `new Tensor(data, dims?)` with a typed array or booleans.
     * Data may be a plain array. A float16 tensor holds a Float16Array; its bits in a Uint16Array
     * where the engine has none.
     * @param {T | TypedArray | Uint8ClampedArray | readonly boolean[]} type
     * @param {TypedArray | Uint8ClampedArray | readonly (number | bigint | boolean)[] | readonly number[]} [data]
     * @param {readonly number[]} [dims]
     */
    constructor(type: T | TypedArray | Uint8ClampedArray | readonly boolean[], data?: TypedArray | Uint8ClampedArray | readonly (number | bigint | boolean)[] | readonly number[], dims?: readonly number[]);
    /**
     * A tensor over a GPU buffer, whose elements lie there as ONNX has them: int64 in 8 bytes, bool in
     * one. To feed it, make the buffer on `session.gpuDevice`, and leave it alone until the run is over.
     * @template {Type} [T="float32"] @param {GPUBuffer} buffer
     * @param {import("./ort-types.js").GpuBufferOptions<T>} options @returns {Tensor<T>}
     */
    static fromGpuBuffer<T extends Type = "float32">(buffer: GPUBuffer, options: import("./ort-types.js").GpuBufferOptions<T>): Tensor<T>;
    /** A tensor over data that stay where they are, as every tensor's do. @template {Type} T
     * @param {T} type @param {DataTypeMap[T]} data @param {readonly number[]} [dims] */
    static fromPinnedBuffer<T extends Type>(type: T, data: DataTypeMap[T], dims?: readonly number[]): Tensor<T>;
    /** An image's pixels: [1, 3, height, width] of numbers from 0 to 1, unless options say otherwise.
     * @param {import("./ort-types.js").ImageSource} image
     * @param {import("./ort-types.js").FromImageOptions} [options]
     * @returns {Promise<Tensor<"float32"> | Tensor<"uint8">>} */
    static fromImage(image: import("./ort-types.js").ImageSource, options?: import("./ort-types.js").FromImageOptions): Promise<Tensor<"float32"> | Tensor<"uint8">>;
    /** The tensor, [1, 3, height, width] of numbers from 0 to 1 unless options say otherwise, as an image.
     * @param {import("./ort-types.js").ImageOptions} [options] @returns {ImageData} */
    toImageData(options?: import("./ort-types.js").ImageOptions): ImageData;
    /** The same as the URL of a PNG. @param {import("./ort-types.js").ImageOptions} [options] */
    toDataURL(options?: import("./ort-types.js").ImageOptions): string;
    /** Where the data are. @returns {Location} */
    get location(): Location;
    /** The data, where they are in the host's memory. @returns {DataTypeMap[T]} */
    get data(): DataTypeMap[T];
    /** The GPU buffer, where there is one. @returns {GPUBuffer} */
    get gpuBuffer(): GPUBuffer;
    /** The data, downloaded if they are on the GPU; from then on they are in the host's memory.
     * @param {boolean} [releaseData] give the GPU buffer back then @returns {Promise<DataTypeMap[T]>} */
    getData(releaseData?: boolean): Promise<DataTypeMap[T]>;
    /** Let go of the data, and of the GPU buffer where the tensor has one of its own: from then on only
     * `type`, `dims` and `size` are there. */
    dispose(): void;
    [Symbol.dispose](): void;
    /** The same data with other dims; a GPU buffer stays this tensor's to give back.
     * @param {readonly number[]} dims @returns {Tensor<T>} */
    reshape(dims: readonly number[]): Tensor<T>;
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
