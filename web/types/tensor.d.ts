export type IntegerType = "int64" | "int32" | "int16" | "int8" | "uint64" | "uint32" | "uint16" | "uint8";
export type Type = "float32" | "float16" | IntegerType | "bool";
export type TypedArray = Float32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> | BigUint64Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Int16Array<ArrayBuffer> | Int8Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
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
/** A tensor in the host's memory, in onnxruntime-web's shape. */
export declare class Tensor {
    /** @type {Type} */
    type: Type;
    /** @type {TypedArray} */
    data: TypedArray;
    /** @type {readonly number[]} */
    dims: readonly number[];
    /**
     * `new Tensor(type, data, dims?)` or `new Tensor(typedArray, dims?)`; data may be a plain array.
     * A float16 tensor holds a Float16Array; its bits in a Uint16Array where the engine has none.
     * @param {Type | TypedArray} type
     * @param {TypedArray | readonly (number | bigint | boolean)[] | readonly number[]} [data]
     * @param {readonly number[]} [dims]
     */
    constructor(type: Type | TypedArray, data?: TypedArray | readonly (number | bigint | boolean)[] | readonly number[], dims?: readonly number[]);
    /** The number of elements. */
    get size(): number;
    /** The data, always in the host's memory already. @returns {Promise<TypedArray>} */
    getData(): Promise<TypedArray>;
    /** For the sake of onnxruntime-web's programs: nothing to give back. */
    dispose(): void;
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
