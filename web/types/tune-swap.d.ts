import { CompileError, RecordsError } from "./errors.js";
export type Pack = import("./manifest.js").Pack;
export type Device = import("./protocol.js").Device;
export type Kernel = import("./kernels.js").Kernel;
export type Needs = import("./weights.js").Needs;
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
/** Bring tuned kernels to their speed before they serve. @param {Pack} pack @param {Device} device
 * @param {readonly Tuned[]} tuned @param {Bindings} bindings */
export declare function warm(pack: Pack, device: Device, tuned: readonly Tuned[], bindings: Bindings): Promise<void>;
/** Whether an error is a reason not to serve a kernel, and not the end of the session.
 * @param {unknown} error */
export declare const isRefusal: (error: unknown) => error is CompileError | RecordsError;
