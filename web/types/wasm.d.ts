import { Heap } from "./heap.js";
import { Threads } from "./threads.js";
export type KernelCode = import("./protocol.js").KernelCode;
export type DeviceInfo = import("./protocol.js").DeviceInfo;
export type Operation = import("./wasm-worker.js").Operation;
export type Buffer = {
    address: number;
    size: number;
};
export type Pipeline = {
    entry: number;
    scratch: number;
};
export type Slice = {
    buffer: Buffer;
    offset: number;
    size: number;
};
export type Dispatch = {
    pipeline: Pipeline;
    slices: readonly Slice[];
    outputs: number;
    grid: readonly number[];
};
export type Recording = {
    block: Buffer;
};
export type Batch = {
    operations: Operation[];
    transfer: Transferable[];
    pages: number;
    done: Promise<(ArrayBuffer | number[])[]> | null;
};
export type Options = {
    threads?: number;
    relaxedSimd?: boolean;
    assets?: string | URL;
};
/** Worker threads over one memory. Errors that they report reject the next read. */
export declare class WasmDevice {
    #private;
    threads: Threads;
    shared: boolean;
    info: import("./protocol.js").DeviceInfo;
    heap: Heap;
    /** Entries of the table that modules have taken so far. */
    entries: number;
    /** Memory of each worker's own. @type {Buffer} */
    scratch: Buffer;
    /** @type {Batch | null} */
    batch: Batch | null;
    /** @type {Error | null} what the next read has to say */
    failure: Error | null;
    closed: boolean;
    /** @param {Threads} threads @param {boolean} shared @param {number} most bytes of memory
     * @param {DeviceInfo} info */
    constructor(threads: Threads, shared: boolean, most: number, info: DeviceInfo);
    /**
     * @param {Options} [options] `threads`: how many; `relaxedSimd: false` leaves it unused; `assets`:
     *   the URL of the folder of wasm-worker.js, where it isn't beside this file
     * @param {(info: DeviceInfo) => void} [foresee] hears of the device before its workers are there
     * @returns {Promise<WasmDevice>}
     */
    static open({ threads, relaxedSimd, assets }?: Options, foresee?: (info: DeviceInfo) => void): Promise<WasmDevice>;
    /** Memory, zeroed where it matters. @param {number} size @param {string} label
     * @param {boolean} [zeroed] @returns {Buffer} */
    allocate(size: number, label: string, zeroed?: boolean): Buffer;
    /** Queue a write. @param {Buffer} buffer @param {number} offset
     * @param {Uint8Array<ArrayBuffer>} data */
    upload(buffer: Buffer, offset: number, data: Uint8Array<ArrayBuffer>): void;
    /** Queue writes of parts of `data`, whose memory goes with them and comes back.
     * @param {Uint8Array<ArrayBuffer>} data
     * @param {readonly {buffer: Buffer, offset: number, from: number, bytes: number}[]} parts
     * @returns {Promise<Uint8Array<ArrayBuffer>>} the same bytes */
    uploadParts(data: Uint8Array<ArrayBuffer>, parts: readonly {
        buffer: Buffer;
        offset: number;
        from: number;
        bytes: number;
    }[]): Promise<Uint8Array<ArrayBuffer>>;
    /**
     * All kernels, each module once; throws a CompileError.
     * @param {readonly KernelCode[]} kernels @param {(done: number, total: number) => void} [progress]
     * @returns {Promise<Pipeline[]>}
     */
    compile(kernels: readonly KernelCode[], progress?: (done: number, total: number) => void): Promise<Pipeline[]>;
    /**
     * Build the program; `uniform` holds the symbols, as i32s, for every kernel.
     * @param {readonly Dispatch[]} dispatches @param {Buffer} uniform @returns {Recording}
     */
    record(dispatches: readonly Dispatch[], uniform: Buffer): Recording;
    /** Queue a run of all steps. @param {Recording} recording */
    replay({ block }: Recording): void;
    /** Give back what `record` took. @param {Recording} recording */
    discard({ block }: Recording): void;
    /** Replay, then read slices: one message there, one back. @param {Recording} recording
     * @param {readonly Slice[]} requests @returns {Promise<ArrayBuffer[]>} */
    replayAndRead(recording: Recording, requests: readonly Slice[]): Promise<ArrayBuffer[]>;
    /** Slices' bytes after all that was queued before.
     * @param {readonly Slice[]} requests @returns {Promise<ArrayBuffer[]>} */
    readMany(requests: readonly Slice[]): Promise<ArrayBuffer[]>;
    /** Wait for what was queued so far; throws what went wrong with it, once. */
    settle(): Promise<void>;
    /**
     * Call kernels in one worker, each again and again for `ms` milliseconds, none after `end` (of
     * the page's clock); gives how long each was at work and how often it was called. No order is kept.
     * @param {readonly Dispatch[]} dispatches @param {Buffer} uniform @param {number} ms
     * @param {number} end @returns {Promise<{ms: number, calls: number}[]>}
     */
    exercise(dispatches: readonly Dispatch[], uniform: Buffer, ms: number, end: number): Promise<{
        ms: number;
        calls: number;
    }[]>;
    /** Touch memory that was never used, which stays zero, as long as nothing better is to be done: the
     * first touch of a page takes longer than to copy something into it.
     * @param {number} bytes @param {Promise<unknown>} until */
    touch(bytes: number, until: Promise<unknown>): Promise<void>;
    /** Whether buffers of these sizes could be allocated. @param {readonly number[]} sizes */
    hasRoom(sizes: readonly number[]): boolean;
    /** What is allocated, for people. @returns {{label: string, bytes: number}[]} */
    held(): {
        label: string;
        bytes: number;
    }[];
    /** @param {Buffer} buffer */
    free({ address }: Buffer): void;
    /** Stop the workers; the device can't be used afterwards. */
    close(): void;
}
