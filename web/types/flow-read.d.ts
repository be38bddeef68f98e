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
/** Reads a flow; `readable` and `written` follow what steps have done so far. */
export declare class FlowReader {
    field: Field;
    fields: Field[];
    steps: import("./manifest.js").Step[];
    tensors: import("./manifest.js").PlanTensor[];
    known: ReadonlySet<string>;
    bound: Set<string>;
    check: (field: Field, step: Step) => void;
    next: number;
    items: number;
    loops: number;
    /** @type {number[]} */
    inside: number[];
    /** @type {Set<number>} */
    readable: Set<number>;
    /** @type {Set<number>} */
    written: Set<number>;
    /** @param {Field} field of the steps @param {Step[]} steps @param {PlanTensor[]} tensors
     * @param {ReadonlySet<string>} known @param {Set<string>} bound the symbols that inputs give
     * @param {(field: Field, step: Step) => void} check holds a step to its kernel */
    constructor(field: Field, steps: Step[], tensors: PlanTensor[], known: ReadonlySet<string>, bound: Set<string>, check: (field: Field, step: Step) => void);
    /** The flow of a manifest, empty where it has none. @param {Field} root @returns {Item[]} */
    read(root: Field): Item[];
    /** @param {Field} field @param {number} depth @returns {Item[]} */
    flow(field: Field, depth: number): Item[];
    /** @param {Field} field @param {number} depth @returns {Item} */
    item(field: Field, depth: number): Item;
    /** @param {Field} field @returns {Run} */
    runItem(field: Field): Run;
    /** @param {number} first @param {number} end */
    run(first: number, end: number): void;
    /** @param {number} tensor @param {Field} field */
    write(tensor: number, field: Field): void;
    /** @param {Field} field @returns {HostStep} */
    host(field: Field): HostStep;
    /** @param {Field} field @returns {number} */
    hostReads(field: Field): number;
    /** @param {Field} field @returns {number} */
    condition(field: Field): number;
    /** @param {Field} field @returns {string} */
    symbol(field: Field): string;
    /** @param {Field} field @param {number} depth @returns {Branch} */
    branch(field: Field, depth: number): Branch;
    /** @param {Field} field @param {number} depth @returns {Loop} */
    loop(field: Field, depth: number): Loop;
}
/** Hold every window to its ring: an arena tensor of two dims and the same storage.
 * @param {Field} field @param {PlanTensor[]} tensors */
export declare function checkWindows(field: Field, tensors: PlanTensor[]): void;
