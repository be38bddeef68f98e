export type Pack = import("./manifest.js").Pack;
export type Port = import("./manifest.js").Port;
export type Device = import("./protocol.js").Device;
export type Buffer = import("./protocol.js").Buffer;
export type Kernels = import("./kernels.js").Kernels;
export type Kernel = import("./kernels.js").Kernel;
export type Weights = import("./weights.js").Weights;
export type Bindings = import("./dims.js").Bindings;
export type Item = import("./flow-read.js").Item;
export type Stopping = Exclude<Item, {
    kind: "run";
}>;
export type Span = {
    begins: number[];
    after: number;
    enters: boolean;
};
export type Straight = {
    items: Item[];
    epoch: number;
    turns: number[];
};
export type Stop = {
    item: Stopping;
    span: Span;
    parts: Part[][];
};
export type Part = Straight | Stop;
export type Layout = {
    shapes: Map<number, number[]>;
    sizes: Map<number, number>;
    offsets: Map<number, number>;
    uniform: Buffer;
    bindings: Bindings;
};
export type Made = {
    layouts: Map<string, Layout>;
    recordings: Map<string, any>;
};
/** When tensors live, and in which epochs: `Outline` of webrt/plan/flow.py. */
export declare class Outline {
    #private;
    pack: import("./manifest.js").Pack;
    /** @type {number[][]} */
    moments: number[][];
    /** @type {number[]} */
    epochs: number[];
    /** @type {{begin: number, end: number, rings: Set<number>}[]} */
    loops: {
        begin: number;
        end: number;
        rings: Set<number>;
    }[];
    /** @type {Map<Item, Span>} */
    spans: Map<Item, Span>;
    epoch: number;
    /** @param {Pack} pack */
    constructor(pack: Pack);
    /** First and last moment of every tensor that is touched. @returns {Map<number, [number, number]>} */
    lives(): Map<number, [number, number]>;
}
/** What `Shapes` is for packs without a flow. */
export declare class FlowShapes {
    #private;
    pack: import("./manifest.js").Pack;
    device: import("./protocol.js").Device;
    kernels: import("./kernels.js").Kernels;
    weights: import("./weights.js").Weights;
    /** @type {Map<number, {dims: Bindings, kernel: Kernel}[]>} */
    tuned: Map<number, {
        dims: Bindings;
        kernel: Kernel;
    }[]>;
    /** @type {Map<number, [number, number]>[]} of the arena's tensors, by epoch */
    lives: Map<number, [number, number]>[];
    /** @type {number[][]} tensors that get sizes in an epoch */
    touched: number[][];
    parts: Part[];
    /** @param {Pack} pack @param {Device} device @param {Kernels} kernels @param {Weights} weights */
    constructor(pack: Pack, device: Device, kernels: Kernels, weights: Weights);
    /** Serve a tuned kernel from the next run on (see `Shapes.install`).
     * @param {number} problem @param {Bindings} dims @param {Kernel} kernel
     * @returns {Kernel | undefined} */
    install(problem: number, dims: Bindings, kernel: Kernel): Kernel | undefined;
    /** Run once and read the tensors of `outputs`. @param {Bindings} bindings
     * @param {(Uint8Array<ArrayBuffer> | null)[]} data of the inputs; null for those that `gpu` feeds
     * @param {readonly Port[]} outputs @param {import("./bound.js").GpuRun | null} [gpu]
     * @param {import("./insight-steps.js").Observe | null} [observe] runs the steps, one at a time
     * @returns {Promise<{bytes: ArrayBuffer[], dims: Map<string, number[]>}>} */
    run(bindings: Bindings, data: (Uint8Array<ArrayBuffer> | null)[], outputs: readonly Port[], gpu?: import("./bound.js").GpuRun | null, observe?: import("./insight-steps.js").Observe | null): Promise<{
        bytes: ArrayBuffer[];
        dims: Map<string, number[]>;
    }>;
    /** Give back all but the weights. */
    clear(): void;
    /** @param {number | string} key @returns {Buffer} */
    buffer(key: number | string): Buffer;
    /** The kernel that serves a problem. @param {number} problem @param {Bindings} bindings */
    kernel(problem: number, bindings: Bindings): import("./kernels.js").Kernel;
    /** Make room; where a buffer is replaced, recordings name the old one and go.
     * @param {Map<number | string, number>} wanted bytes */
    reserve(wanted: Map<number | string, number>): void;
}
