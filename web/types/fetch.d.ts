import { FileCache } from "./cache.js";
import { PackError } from "./errors.js";
import { Keeper } from "./keeper.js";
import { Progress } from "./progress.js";
import { FileHash } from "./sha256.js";
export type WasmModule = import("./modules.js").WasmModule;
export type FileOptions = {
    signal?: AbortSignal;
    cache?: boolean;
    cacheBytes?: number;
    fetch?: (url: URL, options: RequestInit) => Promise<Response>;
};
export type Told = {
    onProgress?: import("./progress.js").OnProgress;
};
export type Entry = {
    file: string;
    bytes: number;
    sha256: string;
};
export type Verify = (data: Uint8Array<ArrayBuffer>, name: string, hash: FileHash) => Promise<unknown>;
/** The files under one URL. */
export declare class Files {
    #private;
    base: URL;
    fetch: (url: URL, options: RequestInit) => Promise<Response>;
    kept: {
        cache: boolean;
        cacheBytes: number | undefined;
        fetch: ((url: URL, options: RequestInit) => Promise<Response>) | undefined;
    };
    progress: Progress;
    stopping: AbortController;
    signal: AbortSignal;
    /** Files that were begun before anything asks for them.
     * @type {Map<string, Promise<Uint8Array<ArrayBuffer>>>} */
    begun: Map<string, Promise<Uint8Array<ArrayBuffer>>>;
    /** Files that came over the network, until they are handed to `keep`. @type {Set<string>} */
    fresh: Set<string>;
    /** What is to go into storage. */
    keeper: Keeper;
    /** @type {Promise<FileCache | null>} */
    cache: Promise<FileCache | null>;
    /** @param {URL} base @param {FileOptions} [options] @param {Progress} [progress] who is told */
    constructor(base: URL, { signal, cache, cacheBytes, fetch }?: FileOptions, progress?: Progress);
    /** The same files to read once more: whatever stopped these doesn't stop them, and nobody is told.
     * @returns {Files} */
    again(): Files;
    /** Whether reading it all once more downloads nothing. @returns {Promise<boolean>} */
    rereadable(): Promise<boolean>;
    /** End what is being downloaded: nobody wants it any more. */
    stop(): void;
    /** The pack is loaded: its files are the last that others may push out. What there is to keep is
     * kept after the first answer, or in a while. */
    used(): void;
    /** The manifest: as it is on the network now, or, without a network, as it was last.
     * @returns {Promise<import("./manifest.js").Pack>} */
    manifest(): Promise<import("./manifest.js").Pack>;
    /** A module's bytes, verified. @param {WasmModule} module */
    module(module: WasmModule): Promise<Uint8Array<ArrayBuffer>>;
    /** `ahead` of a module. @param {WasmModule} module */
    moduleAhead(module: WasmModule): void;
    /** The manifest for a worker: where it is, or its bytes.
     * @returns {Promise<string | Uint8Array<ArrayBuffer>>} */
    manifestOf(): Promise<string | Uint8Array<ArrayBuffer>>;
    /** A file's name in messages. @param {{file: string}} entry @returns {string} */
    nameOf({ file }: {
        file: string;
    }): string;
    /** Begin with a file that will be needed: `take` takes it up. @param {Entry} entry
     * @param {Verify} verify */
    ahead(entry: Entry, verify: Verify): Promise<Uint8Array<ArrayBuffer>>;
    /**
     * A file's bytes after `verify` has passed them; they are kept, so leave them as they are.
     * @param {Entry} entry @param {Verify} verify @returns {Promise<Uint8Array<ArrayBuffer>>}
     */
    file(entry: Entry, verify: Verify): Promise<Uint8Array<ArrayBuffer>>;
    /** Have a file kept for the next visit, if it isn't yet: `data`, which nobody else needs any more.
     * Settles when another one may come. @param {Entry} entry @param {Uint8Array<ArrayBuffer>} data */
    keep({ sha256 }: Entry, data: Uint8Array<ArrayBuffer>): Promise<void>;
    /** `file` for those who hand the bytes to `keep` when they are done with them.
     * @param {Entry} entry @param {Verify} verify @returns {Promise<Uint8Array<ArrayBuffer>>} */
    take(entry: Entry, verify: Verify): Promise<Uint8Array<ArrayBuffer>>;
    /** A file's bytes, not verified; `progress` gets how many more of them are there, a negative number
     * where they must be had again. What goes into our own cache isn't put into the browser's too.
     * @param {Entry} entry @param {(bytes: number) => void} progress
     * @param {boolean} anew past every cache @param {FileHash} [hash] may hash them as they arrive
     * @returns {Promise<Uint8Array<ArrayBuffer>>} */
    bytes(entry: Entry, progress: (bytes: number) => void, anew: boolean, hash?: FileHash): Promise<Uint8Array<ArrayBuffer>>;
}
/** The files of a pack: at the URL of a folder, of one file (`.webrt`, a blob), or in memory.
 * @param {unknown} source @param {FileOptions & Told} options
 * @returns {Promise<Files>} */
export declare function filesOf(source: unknown, options: FileOptions & Told): Promise<Files>;
export type Sink = {
    length: number;
    offline: boolean;
    restart: () => void;
    add: (chunk: Uint8Array) => boolean | Promise<boolean>;
    failure: (url: URL, reason: Error) => Error;
};
/** What a download goes into. `add` says whether that is all that may come, `length` counts bytes of
 * the file, `restart` begins it again; `offline` is true until a server answers.
 * @typedef {{length: number, offline: boolean, restart: () => void,
 *   add: (chunk: Uint8Array) => boolean | Promise<boolean>,
 *   failure: (url: URL, reason: Error) => Error}} Sink */
/** Download a file, going on where it breaks off.
 * @param {Files["fetch"]} fetch @param {URL} url @param {Sink} received @param {AbortSignal} signal
 * @param {RequestCache} cache */
export declare function download(fetch: Files["fetch"], url: URL, received: Sink, signal: AbortSignal, cache: RequestCache): Promise<void>;
/** Nothing answered: a file that was kept may do. */
export declare class OfflineError extends PackError {
}
