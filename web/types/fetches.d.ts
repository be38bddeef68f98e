import { Tensor } from "./tensor.js";
export type Asked = import("./ort-types.js").Asked;
export type RunOptions = import("./ort-types.js").RunOptions;
export type OutputLocation = import("./ort-types.js").OutputLocation;
/** @typedef {import("./ort-types.js").Asked} Asked */
/** @typedef {import("./ort-types.js").RunOptions} RunOptions */
/** @typedef {import("./ort-types.js").OutputLocation} OutputLocation */
/** The arguments of `run` behind the feeds. As in onnxruntime-web, an object that names no output is
 * taken for options. @param {readonly string[]} outputNames
 * @param {readonly string[] | import("./ort-types.js").Fetches | RunOptions} [fetches]
 * @param {RunOptions} [options] @returns {{asked: Asked, options: RunOptions}} */
export declare function readFetches(outputNames: readonly string[], fetches?: readonly string[] | import("./ort-types.js").Fetches | RunOptions, options?: RunOptions): {
    asked: Asked;
    options: RunOptions;
};
/** Whether any output is asked to stay on the GPU. @param {OutputLocation} [location] */
export declare const asksForGpu: (location?: OutputLocation) => boolean;
/** Whether an output stays on the GPU: as the tensor for it says, where there is one.
 * @param {string} name @param {Tensor | null} given @param {OutputLocation} [location] */
export declare const staysOnGpu: (name: string, given: Tensor | null, location?: OutputLocation) => boolean;
