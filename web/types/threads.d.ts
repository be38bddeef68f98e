import { DeviceError } from "./errors.js";
export type Operation = import("./wasm-worker.js").Operation;
export type Message = import("./wasm-worker.js").Message;
export type Results = (ArrayBuffer | number[])[];
export type Thread = {
    worker: Worker;
    done: ((answer: Done) => void) | null;
};
export type Done = {
    entries?: number;
    refused?: string;
};
/** A memory that threads can share; null where this page may have none. */
export declare function sharedMemory(): {
    memory: WebAssembly.Memory;
    pages: number;
} | null;
/** Workers 0 … count - 1; the page talks to number 0. */
export declare class Threads {
    #private;
    /** @type {Thread[]} */
    threads: Thread[];
    /** @type {Map<number, {resolve: (results: Results) => void, reject: (error: Error) => void}>} */
    waiting: Map<number, {
        resolve: (results: Results) => void;
        reject: (error: Error) => void;
    }>;
    /** @type {(() => void)[] | null} what is said once all have loaded a module */
    held: (() => void)[] | null;
    count: number;
    loaded: boolean;
    /** @type {DeviceError | null} */
    error: DeviceError | null;
    /** @param {Worker[]} workers */
    constructor(workers: Worker[]);
    /**
     * Start `count` workers over `memory`, or one with a memory of its own.
     * @param {number} count @param {WebAssembly.Memory | null} memory @param {string | URL} [assets]
     *   the folder of wasm-worker.js, where it isn't beside this file @returns {Promise<Threads>}
     */
    static start(count: number, memory: WebAssembly.Memory | null, assets?: string | URL): Promise<Threads>;
    /** Instantiate a module everywhere; gives the number of its kernels, or why it was refused.
     * @param {WebAssembly.Module} module @returns {Promise<Done>} */
    load(module: WebAssembly.Module): Promise<Done>;
    /**
     * Have worker 0 do operations over a memory of at least `pages`; gives what they result in.
     * @param {number} pages @param {Operation[]} operations @param {Transferable[]} transfer
     * @returns {Promise<Results>}
     */
    run(pages: number, operations: Operation[], transfer: Transferable[]): Promise<Results>;
    /** Stop all workers; what they were doing ends in `error`. @param {DeviceError} error */
    end(error: DeviceError): void;
}
/** A worker of the player from a folder that the page names. @param {string} file
 * @param {string | URL} assets */
export declare function assetWorker(file: string, assets: string | URL): Worker;
/** A worker may come from the page's own origin only. @param {string} url */
export declare function checkOrigin(url: string): void;
/** A worker may import from other origins. It also takes the page's embedder policy over, which a
 * file served without that header has not. @param {URL} file */
export declare function wrappedWorker(file: URL): Worker;
/** The first worker that says that it is there. @param {readonly (() => Worker)[]} ways
 * @param {(message: any) => void} [hear] what it says @returns {Promise<Worker>} */
export declare function firstReady(ways: readonly (() => Worker)[], hear?: (message: any) => void): Promise<Worker>;
