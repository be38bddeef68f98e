import { FileCache } from "./cache.js";
export type WasmModule = import("./modules.js").WasmModule;
export type FileOptions = {
    signal?: AbortSignal;
    cache?: boolean;
    cacheBytes?: number;
};
export type Entry = {
    file: string;
    bytes: number;
    sha256: string;
};
/** The files under one URL. */
export declare class Files {
    #private;
    base: URL;
    stopping: AbortController;
    signal: AbortSignal;
    /** @type {Promise<FileCache | null>} */
    cache: Promise<FileCache | null>;
    /** @param {URL} base @param {FileOptions} [options] */
    constructor(base: URL, { signal, cache, cacheBytes }?: FileOptions);
    /** End what is being downloaded: nobody wants it any more. */
    stop(): void;
    /** The pack is loaded: its files are the last that others may push out. */
    used(): Promise<void>;
    /** The manifest: as it is on the network now, or, without a network, as it was last.
     * @returns {Promise<import("./manifest.js").Pack>} */
    manifest(): Promise<import("./manifest.js").Pack>;
    /** A module's bytes, verified. @param {WasmModule} module */
    module(module: WasmModule): Promise<Uint8Array<ArrayBuffer>>;
    /**
     * A file's bytes after `verify` has passed them; `progress` gets how many more of them are there,
     * a negative number where they must be had again.
     * @param {Entry} entry @param {(data: Uint8Array<ArrayBuffer>, name: string) => Promise<unknown>} verify
     * @param {(bytes: number) => void} progress @returns {Promise<Uint8Array<ArrayBuffer>>}
     */
    file(entry: Entry, verify: (data: Uint8Array<ArrayBuffer>, name: string) => Promise<unknown>, progress: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>>;
}
