export type Pack = import("./manifest.js").Pack;
export type Port = import("./manifest.js").Port;
export type Values = {
    shape: number[];
    stride: number;
    data: import("./tensor.js").TypedArray;
};
export type StepDigests = {
    count: number;
    digest: Float64Array;
}[];
export type Vector = {
    dims: import("./dims.js").Bindings;
    inputs: Values[];
    outputs: Values[];
    steps: Map<number, StepDigests>;
};
/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** Every `stride`th element of a tensor, in the model's type. @typedef {{shape: number[],
 *   stride: number, data: import("./tensor.js").TypedArray}} Values */
/** Of each output of a step, how many elements it has and their digest.
 * @typedef {{count: number, digest: Float64Array}[]} StepDigests */
/** `steps` in the order in which they run first. @typedef {{dims: import("./dims.js").Bindings,
 *   inputs: Values[], outputs: Values[], steps: Map<number, StepDigests>}} Vector */
export declare const SAMPLES = 32, BLOCKS = 8, FIGURES = 6;
/** The vectors of a file for a pack; throws a PackError.
 * @param {Uint8Array<ArrayBuffer>} data @param {Pack} pack @param {string} file @returns {Vector[]} */
export declare function readChecks(data: Uint8Array<ArrayBuffer>, pack: Pack, file: string): Vector[];
