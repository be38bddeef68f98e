export type Subject = import("./insight-steps.js").Subject;
export type Vector = import("./insight-checks.js").Vector;
export type Difference = import("./insight-digest.js").Difference;
export type Figures = {
    max_abs: number;
    max_rel: number;
    cosine: number;
    ok: boolean;
};
export type Divergence = {
    node: string;
    kernel: string | null;
    step: number | null;
    tuned: boolean;
    what: string;
    expected: number;
    found: number;
    vector: number;
};
export type VectorVerdict = {
    ok: boolean;
    dims: Record<string, number>;
    outputs: Record<string, Figures>;
    tuned: number;
    error: string | null;
};
export type Verdict = {
    ok: boolean;
    max_abs: number;
    max_rel: number;
    cosine: number;
    vectors: VectorVerdict[];
    diverges: Divergence | null;
};
/** @typedef {import("./insight-steps.js").Subject} Subject */
/** @typedef {import("./insight-checks.js").Vector} Vector */
/** @typedef {import("./insight-digest.js").Difference} Difference */
/** How far an output is off. @typedef {{max_abs: number, max_rel: number, cosine: number,
 *   ok: boolean}} Figures */
/** The first step that writes something wrong: `what` of it is `found` and not `expected`. `tuned`
 * tells that tuning put its kernel there. An output that no step writes has neither step nor kernel.
 * @typedef {{node: string, kernel: string | null, step: number | null, tuned: boolean, what: string,
 *   expected: number, found: number, vector: number}} Divergence */
/** One vector: `dims` by the model's names; `tuned` counts the tuned kernels of its run; `error` is
 * what the run ended with, where it gave no outputs.
 * @typedef {{ok: boolean, dims: Record<string, number>, outputs: Record<string, Figures>,
 *   tuned: number, error: string | null}} VectorVerdict */
/** The figures are the worst of all vectors' outputs. @typedef {{ok: boolean, max_abs: number,
 *   max_rel: number, cosine: number, vectors: VectorVerdict[], diverges: Divergence | null}} Verdict */
/** @param {Subject} subject @returns {Promise<Verdict>} */
export declare function verify(subject: Subject): Promise<Verdict>;
export type Worst = Difference & {
    tensor: number;
    name: string;
};
