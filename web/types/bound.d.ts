export type Pack = import("./manifest.js").Pack;
export type Device = import("./protocol.js").Device;
export type Buffer = import("./protocol.js").Buffer;
export type Slice = import("./protocol.js").Slice;
export type Kernels = import("./kernels.js").Kernels;
export type Kernel = import("./kernels.js").Kernel;
export type Weights = import("./weights.js").Weights;
export type Bindings = import("./dims.js").Bindings;
export type GpuRun = import("./gpu-tensor.js").GpuRun;
export type Bound = {
    slices: Slice[];
    uniform: Buffer;
    recording: any;
    dispatches: Dispatch[];
    dims: Map<string, number[]>;
};
export type Dispatch = import("./protocol.js").Dispatch;
/** A slow software adapter's speed (2026-11): what a kernel's `work` is divided by for its cost. */
export declare const OPERATIONS_PER_MS = 2000000;
/** Every shape's recording, over memory that they share and that grows with the largest. */
export declare class Shapes {
    #private;
    pack: import("./manifest.js").Pack;
    device: import("./protocol.js").Device;
    kernels: import("./kernels.js").Kernels;
    weights: import("./weights.js").Weights;
    /** @type {Map<string, Bound>} by the symbols' values, least recently used first */
    known: Map<string, Bound>;
    /** @type {Map<number | "arena", Buffer>} inputs and outputs by tensor, and the arena */
    buffers: Map<number | "arena", Buffer>;
    /** @type {Map<number, {dims: Bindings, kernel: Kernel}[]>} by problem: kernels that tuning found
     * for some values of symbols */
    tuned: Map<number, {
        dims: Bindings;
        kernel: Kernel;
    }[]>;
    /** @param {Pack} pack @param {Device} device @param {Kernels} kernels @param {Weights} weights */
    constructor(pack: Pack, device: Device, kernels: Kernels, weights: Weights);
    /** The kernel that serves a problem at these symbols' values.
     * @param {number} problem @param {Bindings} bindings @returns {Kernel} */
    kernel(problem: number, bindings: Bindings): Kernel;
    /** Serve a tuned kernel for a problem at these values of symbols, from the next run on. No run may
     * be under way. Gives the kernel that it takes the place of, if that was a tuned one.
     * @param {number} problem @param {Bindings} dims @param {Kernel} kernel
     * @returns {Kernel | undefined} */
    install(problem: number, dims: Bindings, kernel: Kernel): Kernel | undefined;
    /** What these symbols' values need, made when they are first seen.
     * @param {Bindings} bindings @returns {Bound} */
    get(bindings: Bindings): Bound;
    /** Run once and read the tensors of `outputs`. @param {Bindings} bindings
     * @param {(Uint8Array<ArrayBuffer> | null)[]} data of the inputs; null for those that `gpu` feeds
     * @param {readonly import("./manifest.js").Port[]} outputs
     * @param {GpuRun | null} [gpu] tensors that are on the GPU
     * @returns {Promise<{bytes: ArrayBuffer[], dims: Map<string, number[]>}>} */
    run(bindings: Bindings, data: (Uint8Array<ArrayBuffer> | null)[], outputs: readonly import("./manifest.js").Port[], gpu?: GpuRun | null): Promise<{
        bytes: ArrayBuffer[];
        dims: Map<string, number[]>;
    }>;
    /** Give back all but the weights. */
    clear(): void;
}
/** Upload what comes from the CPU. @param {{pack: Pack, device: Device}} shapes
 * @param {(Uint8Array<ArrayBuffer> | null)[]} data
 * @param {(port: import("./manifest.js").Port) => Buffer} bufferOf */
export declare function send({ pack, device }: {
    pack: Pack;
    device: Device;
}, data: (Uint8Array<ArrayBuffer> | null)[], bufferOf: (port: import("./manifest.js").Port) => Buffer): void;
/** Whether all of `dims` have these values in `bindings`.
 * @param {Bindings} dims @param {Bindings} bindings */
export declare const agree: (dims: Bindings, bindings: Bindings) => boolean;
/** @param {Kernels["problems"][number]} kernel @param {Device} device @param {Bindings} bindings
 * @returns {number[]} */
export declare function gridOf({ name, grid }: Kernels["problems"][number], { info }: Device, bindings: Bindings): number[];
