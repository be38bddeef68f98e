export type Subject = import("./insight-steps.js").Subject;
export type Fallback = {
    what: "device" | "software" | "threads" | "relaxed-simd" | "float16" | "host-steps" | "storage" | "recovered";
    why: string;
};
export type Memory = {
    weights: number;
    arena: number;
    inputs: number;
    outputs: number;
    staging: number;
    other: number;
    total: number;
    limit: number | null;
};
export type Explanation = {
    device: {
        kind: "webgpu" | "wasm";
        adapter: string;
        class: string;
        threads: number;
        features: string[];
        why: string;
    };
    float16: "native" | "widened" | null;
    fallbacks: Fallback[];
    memory: Memory;
    kernels: {
        problems: number;
        steps: number;
        compiled: number;
        default: number;
        tuned: import("./insight-kernels.js").TunedKernel[];
    };
    checks: boolean;
    text: string;
};
/** @typedef {import("./insight-steps.js").Subject} Subject */
/** What is done in another way than it could be elsewhere, and why.
 * @typedef {{what: "device" | "software" | "threads" | "relaxed-simd" | "float16" | "host-steps" |
 *   "storage" | "recovered", why: string}} Fallback */
/** Bytes on the device by what they are for: `weights` as kernels read them, `arena` holds the
 * activations, `other` what the rest takes (symbols, recordings, workers' own memory). `limit` is null
 * where the device tells none.
 * @typedef {{weights: number, arena: number, inputs: number, outputs: number, staging: number,
 *   other: number, total: number, limit: number | null}} Memory */
/** `text` says it all in words.
 * @typedef {{device: {kind: "webgpu" | "wasm", adapter: string, class: string, threads: number,
 *   features: string[], why: string}, float16: "native" | "widened" | null, fallbacks: Fallback[],
 *   memory: Memory, kernels: {problems: number, steps: number, compiled: number, default: number,
 *   tuned: import("./insight-kernels.js").TunedKernel[]}, checks: boolean, text: string}} Explanation */
/** @param {Subject} subject @returns {Promise<Explanation>} */
export declare function explain(subject: Subject): Promise<Explanation>;
