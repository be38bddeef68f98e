export type Buffer = {
    readonly size: number;
};
export type WasmCode = {
    module: Uint8Array<ArrayBuffer>;
    entry: number;
    scratch: number;
};
export type KernelCode = {
    name: string;
    source: string | WasmCode;
    bindings: readonly {
        writable: boolean;
    }[];
};
export type Slice = {
    buffer: Buffer;
    offset: number;
    size: number;
};
export type Dispatch = {
    pipeline: object;
    slices: readonly Slice[];
    outputs: number;
    grid: readonly number[];
    cost: number;
};
export type Part = {
    buffer: Buffer;
    offset: number;
    from: number;
    bytes: number;
};
export type DeviceInfo = {
    kind: "webgpu" | "wasm";
    adapter: string;
    vendor: string;
    architecture: string;
    adapterClass: string;
    features: string[];
    limits: Record<string, number>;
    threads: number;
    note: string | null;
    reason?: string;
};
export type Device = {
    info: DeviceInfo;
    /**
     * memory,
     * zeroed where that matters
     */
    allocate: (size: number, label: string, zeroed?: boolean) => Buffer;
    upload: (buffer: any, offset: number, data: Uint8Array<ArrayBuffer>) => void;
    /**
     *   `Part`s of data, whose memory it takes away until it gives the same bytes back, when there is
     *   room for more
     */
    uploadParts: (data: Uint8Array<ArrayBuffer>, parts: readonly any[]) => Promise<Uint8Array<ArrayBuffer>>;
    compile: (kernels: readonly KernelCode[], progress?: (done: number, total: number) => void) => Promise<object[]>;
    /**
     * `Dispatch`es
     */
    record: (dispatches: readonly any[], uniform: any) => any;
    replay: (recording: any) => void;
    discard: (recording: any) => void;
    replayAndRead: (recording: any, requests: readonly any[]) => Promise<ArrayBuffer[]>;
    readMany: (requests: readonly any[]) => Promise<ArrayBuffer[]>;
    /**
     * waits for what was queued; throws what was refused of it, once
     */
    settle: () => Promise<void>;
    free: (buffer: any) => void;
    /**
     * what is allocated, for people
     */
    held: () => {
        label: string;
        bytes: number;
    }[];
    close: () => void;
};
/** @typedef {{readonly size: number}} Buffer */
/** An entry of a module's table; `scratch` is what a worker needs of memory of its own for it.
 * @typedef {{module: Uint8Array<ArrayBuffer>, entry: number, scratch: number}} WasmCode */
/** WGSL or wasm, as the device's kind asks.
 * @typedef {{name: string, source: string | WasmCode,
 *   bindings: readonly {writable: boolean}[]}} KernelCode */
/** `size` bytes of a buffer from `offset`. @typedef {{buffer: Buffer, offset: number,
 *   size: number}} Slice */
/** The last `outputs` slices are written; on wasm, `grid` is [units, 1, 1]. `cost` estimates
 * milliseconds on a slow device: long recordings are cut by it.
 * @typedef {{pipeline: object, slices: readonly Slice[], outputs: number,
 *   grid: readonly number[], cost: number}} Dispatch */
/** `bytes` of an upload's data from `from`, and where they go.
 * @typedef {{buffer: Buffer, offset: number, from: number, bytes: number}} Part */
/** `threads` and `note` tell how a wasm device runs, and why with no more threads than that; `reason`
 * why a session runs on this device.
 * @typedef {{kind: "webgpu" | "wasm", adapter: string, vendor: string, architecture: string,
 *   adapterClass: string, features: string[], limits: Record<string, number>, threads: number,
 *   note: string | null, reason?: string}} DeviceInfo */
/** What is queued takes effect in the order of the calls.
 * @typedef {object} Device
 * @property {DeviceInfo} info
 * @property {(size: number, label: string, zeroed?: boolean) => Buffer} allocate memory,
 *   zeroed where that matters
 * @property {(buffer: any, offset: number, data: Uint8Array<ArrayBuffer>) => void} upload
 * @property {(data: Uint8Array<ArrayBuffer>, parts: readonly any[]) => Promise<Uint8Array<ArrayBuffer>>} uploadParts
 *   `Part`s of data, whose memory it takes away until it gives the same bytes back, when there is
 *   room for more
 * @property {(kernels: readonly KernelCode[], progress?: (done: number, total: number) => void) =>
 *   Promise<object[]>} compile
 * @property {(dispatches: readonly any[], uniform: any) => any} record `Dispatch`es
 * @property {(recording: any) => void} replay
 * @property {(recording: any) => void} discard
 * @property {(recording: any, requests: readonly any[]) => Promise<ArrayBuffer[]>} replayAndRead
 * @property {(requests: readonly any[]) => Promise<ArrayBuffer[]>} readMany
 * @property {() => Promise<void>} settle waits for what was queued; throws what was refused of it, once
 * @property {(buffer: any) => void} free
 * @property {() => {label: string, bytes: number}[]} held what is allocated, for people
 * @property {() => void} close
 */
export {};
