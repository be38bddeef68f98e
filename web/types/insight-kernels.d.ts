export type Subject = import("./insight-steps.js").Subject;
export type Bindings = import("./dims.js").Bindings;
export type TuneRecord = import("./records.js").TuneRecord;
/** @typedef {import("./insight-steps.js").Subject} Subject */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** @typedef {import("./records.js").TuneRecord} TuneRecord */
/** The schedule of the kernel that serves a problem; null where a record no longer tells.
 * @param {Subject} subject @param {number} problem @param {Bindings} bindings
 * @returns {Record<string, unknown> | null} */
export declare function scheduleOf({ pack, shapes, deviceInfo, origin }: Subject, problem: number, bindings: Bindings): Record<string, unknown> | null;
export type TunedKernel = {
    name: string;
    dims: Record<string, number>;
    schedule: Record<string, unknown> | null;
    ms: number | null;
    default_ms: number | null;
    from: string;
};
/** A tuned kernel; `from` tells where its record comes from. `dims` are by the model's names.
 * @typedef {{name: string, dims: Record<string, number>, schedule: Record<string, unknown> | null,
 *   ms: number | null, default_ms: number | null, from: string}} TunedKernel */
/** The tuned kernels of a session, at every shape that was tuned.
 * @param {Subject} subject @returns {TunedKernel[]} */
export declare function tunedKernels({ pack, shapes, origin }: Subject): TunedKernel[];
