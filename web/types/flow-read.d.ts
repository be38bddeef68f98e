import { Field } from "./field.js";
export type Dim = import("./dims.js").Dim;
export type PlanTensor = import("./manifest.js").PlanTensor;
export type Step = import("./manifest.js").Step;
export type Run = {
    kind: "run";
    first: number;
    end: number;
};
export type HostStep = {
    kind: "host";
    op: string;
    options: Record<string, number>;
    inputs: number[];
    outputs: number[];
    symbols: string[];
    node: string;
};
export type Branch = {
    kind: "if";
    condition: number;
    then: Item[];
    other: Item[];
    bound: [string, Dim, Dim][];
    node: string;
};
export type Loop = {
    kind: "loop";
    trips: Dim | null;
    most: number;
    condition: number | null;
    body: Item[];
    symbol: string | null;
    node: string;
    number: number;
};
export type Need = {
    kind: "need";
    left: Dim;
    right: Dim;
    node: string;
};
export type Item = Run | HostStep | Branch | Loop | Need;
/** The flow of a manifest, held to its steps and tensors. @param {Field} root @param {Step[]} steps
 * @param {PlanTensor[]} tensors @param {ReadonlySet<string>} known @param {Set<string>} bound
 * @param {(field: Field, step: Step) => void} check @returns {Item[]} */
export declare function readFlow(root: Field, steps: Step[], tensors: PlanTensor[], known: ReadonlySet<string>, bound: Set<string>, check: (field: Field, step: Step) => void): Item[];
