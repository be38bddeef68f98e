import { Tensor } from "./tensor.js";
export type Subject = import("./insight-steps.js").Subject;
export type Turn = import("./insight-steps.js").Turn;
export type ProfileOptions = {
    runs?: number;
    dims?: Record<string, number>;
    feeds?: import("./bind.js").Feeds;
};
export type KernelTime = {
    name: string;
    family: string;
    node: string;
    problem: string;
    schedule: Record<string, unknown> | null;
    tuned: boolean;
    count: number;
    ms: number;
    share: number;
    operations: number | null;
    bytes: number | null;
    gflops: number | null;
    gbs: number | null;
};
export type ProfileData = {
    adapter: string;
    kind: "webgpu" | "wasm";
    clock: import("./insight-timer.js").ClockName;
    dims: Record<string, number>;
    runs: number;
    run_ms: number;
    kernels_ms: number;
    kernels: KernelTime[];
    steps: {
        kernel: number;
        node: string;
    }[];
};
export type Profile = ProfileData & {
    toChromeTrace: () => Trace;
};
export type Trace = {
    traceEvents: Record<string, unknown>[];
    displayTimeUnit: "ms";
    otherData: Record<string, unknown>;
};
/** @param {Subject} subject @param {ProfileOptions} [options] @returns {Promise<ProfileData>} */
export declare function profile(subject: Subject, { runs, dims, feeds }?: ProfileOptions): Promise<ProfileData>;
/** Valid inputs, drawn as `webrt check` draws them: within their bounds, masks with a tail of zeros.
 * @param {Subject["pack"]} pack @param {import("./dims.js").Bindings} bindings */
export declare function randomFeeds({ inputs }: Subject["pack"], bindings: import("./dims.js").Bindings): {
    [k: string]: Tensor<"bool" | "float16" | "float32" | "float64" | "int16" | "int32" | "int64" | "int8" | "uint16" | "uint32" | "uint64" | "uint8">;
};
/** A profile in the trace event format: a run's steps laid end to end, each as long as its kernel
 * takes. @param {ProfileData} profile @returns {Trace} */
export declare function toChromeTrace({ kernels, steps, ...rest }: ProfileData): Trace;
/** A profile with its trace at hand; as data, it is what it was.
 * @param {ProfileData} profile @returns {Profile} */
export declare function withTrace(profile: ProfileData): Profile;
