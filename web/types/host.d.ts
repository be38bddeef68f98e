export type Given = {
    elements: ArrayLike<number>;
    shape: number[];
};
export type Results = {
    arrays: {
        data: Int32Array<ArrayBuffer>;
        shape: number[];
    }[];
    sizes: number[];
};
export type Options = Record<string, number>;
/** A tensor as the device stores it: of f16, the elements are numbers already.
 * @typedef {{elements: ArrayLike<number>, shape: number[]}} Given */
/** Tensors that a host step writes, of i32, and the sizes that its symbols stand for.
 * @typedef {{arrays: {data: Int32Array<ArrayBuffer>, shape: number[]}[], sizes: number[]}} Results */
/** @typedef {Record<string, number>} Options */
/** Run a host step on what it read. @param {string} op @param {Options} options
 * @param {Given[]} inputs @param {string} node @returns {Results} */
export declare function compute(op: string, options: Options, inputs: Given[], node: string): Results;
