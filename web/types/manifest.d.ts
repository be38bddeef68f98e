export type Dim = import("./dims.js").Dim;
export type Type = import("./tensor.js").Type;
export type Storage = import("./tensor.js").Storage;
export type Home = "input" | "output" | "arena" | "constant" | "window";
export type Place = {
    shard: number;
    offset: number;
    bytes: number;
    held: number;
};
export type Window = {
    ring: number;
    shift: Dim;
    loop: number | null;
};
export type PlanTensor = {
    storage: Storage;
    dtype: "bool" | Storage;
    shape: Dim[];
    home: Home;
    place: Place | null;
    window: Window | null;
};
export type Labels = {
    texts?: string[];
    columns?: (string | number)[];
};
export type Port = {
    name: string;
    type: Type;
    shape: Dim[];
    tensor: number;
    low: number | null;
    high: number | null;
    labels: Labels;
};
export type Cost = {
    operations: Dim;
    bytes: Dim;
    wide: Dim;
};
export type Kernel = {
    name: string;
    grid: Dim[];
    workgroup: number[];
    work: Dim;
    wgsl: string;
    bindings: {
        dtype: Storage;
        writable: boolean;
    }[];
    schedule: Record<string, unknown>;
    cost: Cost | null;
};
export type Step = {
    problem: number;
    inputs: number[];
    outputs: number[];
    node: string;
};
export type Shard = import("./modules.js").File;
export type Pack = {
    symbols: {
        id: string;
        name: string;
        most: number;
        empty: boolean;
        multiple: number;
    }[];
    inputs: Port[];
    outputs: Port[];
    tensors: PlanTensor[];
    kernels: Kernel[];
    steps: Step[];
    flow: import("./flow-read.js").Item[];
    shards: Shard[];
    generator: string;
    wasm: import("./modules.js").WasmPart;
    problems: string[];
    wideProblems: string[];
    sha256: string;
    records: import("./modules.js").File | null;
    checks: import("./modules.js").File | null;
};
/** @typedef {import("./dims.js").Dim} Dim */
/** @typedef {import("./tensor.js").Type} Type */
/** @typedef {import("./tensor.js").Storage} Storage */
/** @typedef {"input" | "output" | "arena" | "constant" | "window"} Home */
/** Where a constant's bytes stand, and how many it has on a device (widen.js).
 * @typedef {{shard: number, offset: number, bytes: number, held: number}} Place */
/** Slot (shift + the turn of the loop) modulo the slots of a ring.
 * @typedef {{ring: number, shift: Dim, loop: number | null}} Window */
/** @typedef {{storage: Storage, dtype: "bool" | Storage, shape: Dim[], home: Home,
 *   place: Place | null, window: Window | null}} PlanTensor */
/** What an int64 output's elements are places among, and what a matrix's columns belong to.
 * @typedef {{texts?: string[], columns?: (string | number)[]}} Labels */
/** @typedef {{name: string, type: Type, shape: Dim[], tensor: number, low: number | null,
 *   high: number | null, labels: Labels}} Port */
/** Operations and bytes of a dispatch; `wide` are its bytes where f16 is widened.
 * @typedef {{operations: Dim, bytes: Dim, wide: Dim}} Cost */
/** @typedef {{name: string, grid: Dim[], workgroup: number[], work: Dim, wgsl: string,
 *   bindings: {dtype: Storage, writable: boolean}[], schedule: Record<string, unknown>,
 *   cost: Cost | null}} Kernel */
/** @typedef {{problem: number, inputs: number[], outputs: number[], node: string}} Step */
/** @typedef {import("./modules.js").File} Shard */
/** @typedef {{symbols: {id: string, name: string, most: number, empty: boolean,
 *   multiple: number}[], inputs: Port[], outputs: Port[],
 *   tensors: PlanTensor[], kernels: Kernel[], steps: Step[], flow: import("./flow-read.js").Item[],
 *   shards: Shard[],
 *   generator: string, wasm: import("./modules.js").WasmPart, problems: string[], wideProblems: string[],
 *   sha256: string, records: import("./modules.js").File | null,
 *   checks: import("./modules.js").File | null}} Pack */
export declare const MANIFEST = "manifest.json";
export declare const MAX_MANIFEST_BYTES: number;
/**
 * The pack that a manifest's bytes describe; `file` names it in messages.
 * @param {Uint8Array<ArrayBuffer>} data @param {string} [file] @returns {Promise<Pack>}
 */
export declare function parseManifest(data: Uint8Array<ArrayBuffer>, file?: string): Promise<Pack>;
/**
 * Hold a shard's bytes against the manifest: length, sha256, header; throws PackError.
 * @param {Pack} pack @param {number} index @param {Uint8Array<ArrayBuffer>} data @param {string} [file]
 * @param {import("./sha256.js").FileHash} [hash]
 */
export declare function checkShard(pack: Pack, index: number, data: Uint8Array<ArrayBuffer>, file?: string, hash?: import("./sha256.js").FileHash): Promise<void>;
