import { Tensor } from "./tensor.js";
import { Weights } from "./weights.js";
export type Pack = import("./manifest.js").Pack;
export type Port = import("./manifest.js").Port;
export type Device = import("./protocol.js").Device;
export type Kernels = import("./kernels.js").Kernels;
export type Feeds = import("./bind.js").Feeds;
export type Progress = {
    stage: "weights" | "kernels";
    done: number;
    total: number;
};
export type Options = import("./devices.js").DeviceOptions & import("./fetch.js").FileOptions & {
    onProgress?: (progress: Progress) => void;
};
export type Metadata = {
    name: string;
    isTensor: true;
    type: import("./tensor.js").Type;
    shape: (number | string)[];
    low?: number;
    high?: number;
};
/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./kernels.js").Kernels} Kernels */
/** @typedef {import("./bind.js").Feeds} Feeds */
/** What `onProgress` is told: bytes of weights, or kernels.
 * @typedef {{stage: "weights" | "kernels", done: number, total: number}} Progress */
/** @typedef {import("./devices.js").DeviceOptions & import("./fetch.js").FileOptions &
 *   {onProgress?: (progress: Progress) => void}} Options */
/** `shape` holds numbers and the names of dynamic dims; `low` and `high` bound an input's integers.
 * @typedef {{name: string, isTensor: true, type: import("./tensor.js").Type,
 *   shape: (number | string)[], low?: number, high?: number}} Metadata */
/** A pack on a device, ready to run. */
export declare class InferenceSession {
    #private;
    /** Names of the model's inputs, in its order. @type {readonly string[]} */
    inputNames: readonly string[];
    /** Names of the model's outputs, in its order. @type {readonly string[]} */
    outputNames: readonly string[];
    /** @type {readonly Metadata[]} */
    inputMetadata: readonly Metadata[];
    /** @type {readonly Metadata[]} */
    outputMetadata: readonly Metadata[];
    /** Which device this runs on. */
    deviceInfo: import("./protocol.js").DeviceInfo;
    /** Kernels that were ever compiled: it stays as it is after loading. */
    compiledKernels: number;
    /** Use `InferenceSession.create`. @param {Pack} pack @param {Device} device
     * @param {Kernels} kernels @param {Weights} weights */
    constructor(pack: Pack, device: Device, kernels: Kernels, weights: Weights);
    /**
     * Load a pack: kernels compile while the weights download and are verified.
     * @param {string | URL} url the pack's folder @param {Options} [options]
     * @returns {Promise<InferenceSession>}
     */
    static create(url: string | URL, options?: Options): Promise<InferenceSession>;
    /**
     * Run the model: `await session.run({name: tensor})` gives `{name: tensor}`. Calls queue; leave
     * the feeds' data alone until the promise settles.
     * @param {Feeds} feeds
     * @param {readonly string[]} [fetches] names of the outputs wanted; all by default
     * @returns {Promise<Record<string, Tensor>>}
     */
    run(feeds: Feeds, fetches?: readonly string[]): Promise<Record<string, Tensor>>;
    /** Give the device's memory back, after the runs that are under way. @returns {Promise<void>} */
    release(): Promise<void>;
}
