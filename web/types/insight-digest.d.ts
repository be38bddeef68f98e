export type Numbers = Float32Array | Float64Array | Int32Array | Uint32Array;
export type Difference = {
    what: string;
    expected: number;
    found: number;
};
export type Distance = {
    max_abs: number;
    max_rel: number;
    cosine: number;
    ok: boolean;
    worst: number;
};
/** The elements of a tensor as a device stores them. @param {string} storage
 * @param {ArrayBuffer} bytes @param {number} count @returns {Numbers} */
export declare function stored(storage: string, bytes: ArrayBuffer, count: number): Numbers;
/** A tensor's elements as numbers. @param {import("./tensor.js").Type} type
 * @param {import("./tensor.js").TypedArray} data @returns {Float64Array} */
export declare function numbers(type: import("./tensor.js").Type, data: import("./tensor.js").TypedArray): Float64Array;
/** @param {Numbers} values @returns {Float64Array} */
export declare function digest(values: Numbers): Float64Array;
/** The first number in which digests of two tensors of `count` elements differ by too much.
 * @param {Float64Array} found @param {Float64Array} expected @param {number} count
 * @param {boolean} isFloat @param {boolean} half @returns {Difference | null} */
export declare function differs(found: Float64Array, expected: Float64Array, count: number, isFloat: boolean, half: boolean): Difference | null;
/** How far two tensors of as many elements are apart; integers must be equal.
 * @param {Float64Array} found @param {Float64Array} expected @param {boolean} isFloat
 * @param {boolean} half @returns {Distance} */
export declare function distance(found: Float64Array, expected: Float64Array, isFloat: boolean, half: boolean): Distance;
