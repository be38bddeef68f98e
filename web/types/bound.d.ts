export type Pack = import("./manifest.js").Pack;
export type Device = import("./protocol.js").Device;
export type Buffer = import("./protocol.js").Buffer;
export type Slice = import("./protocol.js").Slice;
export type Kernels = import("./kernels.js").Kernels;
export type Kernel = import("./kernels.js").Kernel;
export type Weights = import("./weights.js").Weights;
export type Bindings = import("./dims.js").Bindings;
export type Bound = {
    slices: Slice[];
    uniform: Buffer;
    recording: any;
    dims: Map<string, number[]>;
};
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
    /** Serve a tuned kernel for a problem at these values of symbols, from the next run on. No run may
     * be under way. Gives the kernel that it takes the place of, if that was a tuned one.
     * @param {number} problem @param {Bindings} dims @param {Kernel} kernel
     * @returns {Kernel | undefined} */
    install(problem: number, dims: Bindings, kernel: Kernel): Kernel | undefined;
    /** What these symbols' values need, made when they are first seen.
     * @param {Bindings} bindings @returns {Bound} */
    get(bindings: Bindings): Bound;
    /** Give back all but the weights: the device had no room for it. */
    clear(): void;
}
