/** float16s, by their bits, as float32: the very same numbers.
 * @param {Uint16Array<ArrayBuffer>} halves @param {Float32Array<ArrayBuffer>} [out]
 * @returns {Float32Array<ArrayBuffer>} */
export declare function widened(halves: Uint16Array<ArrayBuffer>, out?: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer>;
/** float32s as float16, by their bits: the nearest ones, of two the even one.
 * @param {Float32Array<ArrayBuffer>} floats @returns {Uint16Array<ArrayBuffer>} */
export declare function narrowed(floats: Float32Array<ArrayBuffer>): Uint16Array<ArrayBuffer>;
