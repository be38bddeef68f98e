export type Tensor = import("./tensor.js").Tensor;
/** @typedef {import("./tensor.js").Tensor} Tensor */
/** Throws a ShapeError for a tensor that isn't what a run makes. @param {string} name
 * @param {Tensor} given @param {string} type @param {readonly number[]} dims */
export declare function checkGiven(name: string, given: Tensor, type: string, dims: readonly number[]): void;
/** Put results into the tensors that were made for them. @param {Record<string, Tensor>} results
 * @param {import("./ort-types.js").Asked} asked @returns {Record<string, Tensor>} */
export declare function filled(results: Record<string, Tensor>, asked: import("./ort-types.js").Asked): Record<string, Tensor>;
