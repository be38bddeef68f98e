export type Pack = import("./manifest.js").Pack;
/** @typedef {import("./manifest.js").Pack} Pack */
/** Throws a UsageError for dims that the model doesn't have, or not of these sizes.
 * @param {Pack} pack @param {Record<string, number>} [dims] by the model's own names */
export declare function checkDims({ symbols }: Pack, dims?: Record<string, number>): void;
/** Values for the symbols: those given by the model's names, else a batch of 1, empty caches and
 * dims of 128 (webrt/plan/example.py). @param {Pack} pack @param {Record<string, number>} [given]
 * @returns {import("./dims.js").Bindings} */
export declare function exampleBindings({ symbols, inputs }: Pack, given?: Record<string, number>): import("./dims.js").Bindings;
