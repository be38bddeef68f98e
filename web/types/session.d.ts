import { bind } from "./bind.js";
import { Tensor } from "./tensor.js";
export type Pack = import("./manifest.js").Pack;
export type Port = import("./manifest.js").Port;
export type Loaded = import("./load.js").Loaded;
export type Feeds = import("./bind.js").Feeds;
export type Tuning = import("./tune.js").Tuning;
export type Options = import("./devices.js").DeviceOptions & import("./fetch.js").FileOptions & import("./tune-options.js").TuneOptions & import("./ort-types.js").OrtOptions & {
    worker?: boolean;
    onProgress?: import("./progress.js").OnProgress;
};
export type Bound = ReturnType<typeof bind>;
export type RunOptions = import("./ort-types.js").RunOptions;
export type Fetches = import("./ort-types.js").Fetches;
export type Asked = import("./ort-types.js").Asked;
export declare namespace InferenceSession {
    export type SessionOptions = Options;
}
export declare namespace InferenceSession {
    export type RunOptions = import("./ort-types.js").RunOptions;
}
export declare namespace InferenceSession {
    export type FeedsType = Feeds;
}
export declare namespace InferenceSession {
    export type FetchesType = readonly string[] | Fetches;
}
export declare namespace InferenceSession {
    export type ReturnType = Record<string, Tensor>;
}
export declare namespace InferenceSession {
    export type ValueMetadata = Metadata;
}
export type Metadata = {
    name: string;
    isTensor: true;
    type: import("./tensor.js").Type;
    shape: (number | string)[];
    low?: number;
    high?: number;
};
export type OutputMetadata = Omit<Metadata, "type"> & {
    type: import("./tensor.js").Type | "string";
    texts?: readonly string[];
    columns?: readonly (string | number)[];
};
/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** @typedef {import("./load.js").Loaded} Loaded */
/** @typedef {import("./bind.js").Feeds} Feeds */
/** @typedef {import("./tune.js").Tuning} Tuning */
/** @typedef {import("./devices.js").DeviceOptions & import("./fetch.js").FileOptions &
 *   import("./tune-options.js").TuneOptions & import("./ort-types.js").OrtOptions &
 *   {worker?: boolean, onProgress?: import("./progress.js").OnProgress}} Options */
/** @typedef {ReturnType<typeof bind>} Bound */
/** @typedef {import("./ort-types.js").RunOptions} RunOptions */
/** @typedef {import("./ort-types.js").Fetches} Fetches */
/** @typedef {import("./ort-types.js").Asked} Asked */
/** @typedef {Options} InferenceSession.SessionOptions */
/** @typedef {import("./ort-types.js").RunOptions} InferenceSession.RunOptions */
/** @typedef {Feeds} InferenceSession.FeedsType */
/** @typedef {readonly string[] | Fetches} InferenceSession.FetchesType */
/** @typedef {Record<string, Tensor>} InferenceSession.ReturnType */
/** @typedef {Metadata} InferenceSession.ValueMetadata */
/** `shape` holds numbers and the names of dynamic dims; `low` and `high` bound an input's integers.
 * @typedef {{name: string, isTensor: true, type: import("./tensor.js").Type,
 *   shape: (number | string)[], low?: number, high?: number}} Metadata */
/** `texts` are the strings that an output of strings chooses among, `columns` the classes that the
 * columns of a matrix belong to. @typedef {Omit<Metadata, "type"> & {
 *   type: import("./tensor.js").Type | "string", texts?: readonly string[],
 *   columns?: readonly (string | number)[]}} OutputMetadata */
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
    /** What a run takes on each device, once `device: "auto"` has compared them; null where it need not.
     * @type {Promise<import("./auto.js").Times | null>} */
    compared: Promise<import("./auto.js").Times | null>;
    /** Names of the model's inputs, in its order. @type {readonly string[]} */
    inputNames: readonly string[];
    /** Names of the model's outputs, in its order. @type {readonly string[]} */
    outputNames: readonly string[];
    /** Types and shapes of the inputs, in the model's order. @type {readonly Metadata[]} */
    inputMetadata: readonly Metadata[];
    /** Types and shapes of the outputs, in the model's order.
     * @type {readonly OutputMetadata[]} */
    outputMetadata: readonly OutputMetadata[];
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
        reason?: string;
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
     * @param {string | URL | ArrayBuffer | ArrayBufferView | Blob} source the URL of a pack's folder, or
     *   of a pack in one file (`.webrt`), or what such a file holds
     * @param {Options | number} [options] or, as in onnxruntime-web, where in an ArrayBuffer it begins
     * @param {number} [length] of it then @param {Options} [more] the options then
     * @returns {Promise<InferenceSession>}
     */
    static create(source: string | URL | ArrayBuffer | ArrayBufferView | Blob, options?: Options | number, length?: number, more?: Options): Promise<InferenceSession>;
    /**
     * Run the model: `await session.run({name: tensor})` gives `{name: tensor}`. Calls queue; leave
     * the feeds' data alone until the promise settles.
     * @param {Feeds} feeds
     * @param {readonly string[] | Fetches | RunOptions} [fetches] names of the outputs wanted, all by
     *   default; or by name null, or a tensor for the result
     * @param {RunOptions} [options] `signal` ends the wait; a run that hasn't begun never does then
     * @returns {Promise<Record<string, Tensor>>}
     */
    run(feeds: Feeds, fetches?: readonly string[] | Fetches | RunOptions, options?: RunOptions): Promise<Record<string, Tensor>>;
    /**
     * Run the check vectors that the pack ships on this device, with the kernels that serve now; where
     * an output is wrong, the first step that writes something wrong is named.
     * @returns {Promise<import("./insight-verify.js").Verdict>}
     */
    verify(): Promise<import("./insight-verify.js").Verdict>;
    /**
     * Time every kernel of a run by itself: `dims` are the sizes of dynamic dims by the model's names,
     * `feeds` what to run on, else random inputs; `runs` is how often each is timed.
     * @param {import("./insight-profile.js").ProfileOptions} [options]
     * @returns {Promise<import("./insight-profile.js").Profile>}
     */
    profile(options?: import("./insight-profile.js").ProfileOptions): Promise<import("./insight-profile.js").Profile>;
    /** Where the model runs and why, what it does without there, what memory it takes, which kernels
     * serve. @returns {Promise<import("./insight-explain.js").Explanation>} */
    explain(): Promise<import("./insight-explain.js").Explanation>;
    /** Give the device's memory back, after the runs that are under way. @returns {Promise<void>} */
    release(): Promise<void>;
    /** `await using session = …` releases it. @returns {Promise<void>} */
    [Symbol.asyncDispose](): Promise<void>;
    /** `using session = …` releases it, and doesn't wait. */
    [Symbol.dispose](): void;
    /** The GPUDevice that this runs on, to make buffers for `Tensor.fromGpuBuffer`; null on the CPU.
     * @returns {GPUDevice | null} */
    get gpuDevice(): GPUDevice | null;
    /** For the sake of onnxruntime-web's programs: without effect. */
    startProfiling(): void;
    /** For the sake of onnxruntime-web's programs: without effect. */
    endProfiling(): void;
}
