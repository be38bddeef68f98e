export type Pack = import("./manifest.js").Pack;
export type Device = import("./protocol.js").Device;
export type Kernel = import("./kernels.js").Kernel;
export type Needs = import("./weights.js").Needs;
export type Uses = import("./weights.js").Uses;
export type Weights = import("./weights.js").Weights;
export type Bindings = import("./dims.js").Bindings;
export type Tuned = {
    problem: number;
    dims: Bindings;
    kernel: Kernel;
    needs: Needs;
};
/**
 * Compile the code of a problem at some dims. Throws a RecordsError for code that doesn't fit the
 * pack or the device, a CompileError for what the device refuses.
 * @param {Pack} pack @param {Device} device @param {number} problem @param {Bindings} dims
 * @param {import("./records.js").Code} code @returns {Promise<Tuned>}
 */
export declare function compileTuned(pack: Pack, device: Device, problem: number, dims: Bindings, code: import("./records.js").Code): Promise<Tuned>;
/** Note what a tuned kernel needs besides, before the weights are loaded; gives what is new of it.
 * Throws a DeviceError where there is no room. @param {Weights} weights @param {Needs} needs
 * @returns {Uses} */
export declare function want(weights: Weights, { direct, packed }: Needs): Uses;
/** `want` of weights that are loaded: their shards are read once more. @param {Weights} weights
 * @param {import("./fetch.js").Files} files @param {Needs} needs */
export declare function add(weights: Weights, files: import("./fetch.js").Files, needs: Needs): Promise<void>;
/** Give back what the packers of a tuned kernel made. @param {Weights} weights
 * @param {ReadonlySet<string>} names */
export declare function remove(weights: Weights, names: ReadonlySet<string>): void;
/** Bring tuned kernels to their speed before they serve. @param {Pack} pack @param {Device} device
 * @param {readonly Tuned[]} tuned @param {Bindings} bindings */
export declare function warm(pack: Pack, device: Device, tuned: readonly Tuned[], bindings: Bindings): Promise<void>;
/** Whether an error is a reason not to serve a kernel, and not the end of the session.
 * @param {unknown} error */
export declare const isRefusal: (error: unknown) => boolean;
