import { bind } from "./bind.js";
import { Tensor } from "./tensor.js";
export type Pack = import("./manifest.js").Pack;
export type Port = import("./manifest.js").Port;
export type Loaded = import("./load.js").Loaded;
export type Feeds = import("./bind.js").Feeds;
export type Tuning = import("./tune.js").Tuning;
export type Options = import("./devices.js").DeviceOptions & import("./fetch.js").FileOptions & import("./tune-options.js").TuneOptions & {
    worker?: boolean;
    onProgress?: import("./progress.js").OnProgress;
};
export type Bound = ReturnType<typeof bind>;
export type RunOptions = {
    signal?: AbortSignal;
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
/** @typedef {import("./load.js").Loaded} Loaded */
/** @typedef {import("./bind.js").Feeds} Feeds */
/** @typedef {import("./tune.js").Tuning} Tuning */
/** @typedef {import("./devices.js").DeviceOptions & import("./fetch.js").FileOptions &
 *   import("./tune-options.js").TuneOptions &
 *   {worker?: boolean, onProgress?: import("./progress.js").OnProgress}} Options */
/** @typedef {ReturnType<typeof bind>} Bound */
/** @typedef {{signal?: AbortSignal}} RunOptions */
/** `shape` holds numbers and the names of dynamic dims; `low` and `high` bound an input's integers.
 * @typedef {{name: string, isTensor: true, type: import("./tensor.js").Type,
 *   shape: (number | string)[], low?: number, high?: number}} Metadata */
/** How a session is made in a worker: what workers load knows nothing of it, or bundlers would go in
 * circles. @type {{remote: (() => Promise<typeof import("./remote.js")>) | null}} */
export declare const ways: {
    remote: (() => Promise<typeof import("./remote.js")>) | null;
};
/** A pack on a device, ready to run. */
export declare class InferenceSession {
    #private;
    /** What tuning came to, once it has ended; null where none was needed or wanted.
     * @type {Promise<import("./records.js").Outcome | null>} */
    tuned: Promise<import("./records.js").Outcome | null>;
    /** Names of the model's inputs, in its order. @type {readonly string[]} */
    inputNames: readonly string[];
    /** Names of the model's outputs, in its order. @type {readonly string[]} */
    outputNames: readonly string[];
    /** @type {readonly Metadata[]} */
    inputMetadata: readonly Metadata[];
    /** @type {readonly Metadata[]} */
    outputMetadata: readonly Metadata[];
    /** Which device this runs on; `recovered` counts those before it, which were lost. */
    deviceInfo: {
        kind: "webgpu" | "wasm";
        adapter: string;
        vendor: string;
        architecture: string;
        adapterClass: string;
        features: string[];
        limits: Record<string, number>;
        threads: number;
        note: string | null;
        recovered: number;
    };
    /** How a model of float16 runs: `native`, or `widened` to float32 where the device has no
     * float16; null for other models. @type {"native" | "widened" | null} */
    float16: "native" | "widened" | null;
    /** Kernels that were ever compiled: after loading, only tuning and recovery add to it. */
    compiledKernels: number;
    /** Use `InferenceSession.create`. @param {Loaded} loaded */
    constructor({ pack, device, kernels, shapes, float16 }: Loaded);
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
     * @param {RunOptions} [options] `signal` ends the wait; a run that hasn't begun never does then
     * @returns {Promise<Record<string, Tensor>>}
     */
    run(feeds: Feeds, fetches?: readonly string[], { signal }?: RunOptions): Promise<Record<string, Tensor>>;
    /** Give the device's memory back, after the runs that are under way. @returns {Promise<void>} */
    release(): Promise<void>;
}
