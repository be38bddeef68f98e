import { Files } from "./fetch.js";
import { Progress } from "./progress.js";
export type Entry = import("./fetch.js").Entry;
export type FileOptions = import("./fetch.js").FileOptions;
export type Reader = import("./zip.js").Reader;
export type Stored = import("./zip.js").Stored;
export type Waiting = {
    resolve: (data: Uint8Array<ArrayBuffer>) => void;
    reject: (error: unknown) => void;
    progress: (bytes: number) => void;
};
/** Files of an archive that a page has. */
export declare class HeldFiles extends Files {
    #private;
    source: Blob | Uint8Array<ArrayBufferLike>;
    /** @type {Map<string, Stored>} */
    stored: Map<string, Stored>;
    /** @param {Uint8Array | Blob} source @param {FileOptions} options
     * @param {Progress} progress */
    constructor(source: Uint8Array | Blob, options: FileOptions, progress: Progress);
    again(): HeldFiles;
    rereadable(): Promise<boolean>;
    manifest(): Promise<import("./manifest.js").Pack>;
    /** @returns {Promise<string | Uint8Array<ArrayBuffer>>} */
    manifestOf(): Promise<string | Uint8Array<ArrayBuffer>>;
    /** @param {{file: string}} entry */
    nameOf({ file }: {
        file: string;
    }): string;
    /** @param {Entry} entry @param {(bytes: number) => void} progress */
    bytes(entry: Entry, progress: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>>;
}
/** Files of an archive on the network, which is read from its beginning to where nobody needs more of
 * it: what storage has, a visit downloads no further than the manifest for. */
export declare class StreamedFiles extends Files {
    #private;
    /** @type {Map<string, Waiting>} files that are asked for */
    waiting: Map<string, Waiting>;
    /** @type {Map<string, Uint8Array<ArrayBuffer>>} files that came before they were asked for */
    held: Map<string, Uint8Array<ArrayBuffer>>;
    /** Files that the download under way is past. @type {Set<string>} */
    passed: Set<string>;
    /** @type {Map<string, Entry> | null} what the manifest names */
    entries: Map<string, Entry> | null;
    /** @type {Uint8Array<ArrayBuffer> | null} */
    manifestData: Uint8Array<ArrayBuffer> | null;
    running: boolean;
    /** Whether what came wasn't what it should be: past every cache, then. */
    anew: boolean;
    /** Whether all is loaded: what is asked for later is fetched for itself. */
    loaded: boolean;
    /** @type {() => void} goes on where nobody needed more */
    wake: () => void;
    /** @param {URL} url @param {FileOptions} options @param {Progress} [progress] */
    constructor(url: URL, options: FileOptions, progress?: Progress);
    again(): StreamedFiles;
    /** @param {{file: string}} entry */
    nameOf({ file }: {
        file: string;
    }): string;
    used(): void;
    manifest(): Promise<import("./manifest.js").Pack>;
    /** @returns {Promise<string | Uint8Array<ArrayBuffer>>} */
    manifestOf(): Promise<string | Uint8Array<ArrayBuffer>>;
    /** @param {Entry} entry @param {(bytes: number) => void} progress @param {boolean} anew */
    bytes({ file }: Entry, progress: (bytes: number) => void, anew: boolean): Promise<any>;
}
/** The bytes of a buffer, which may be one that threads share, or of a view of it; null where there are
 * none. @param {any} source @returns {Uint8Array | null} */
export declare function bytesOf(source: any): Uint8Array | null;
/**
 * The files of a pack in one file: its bytes, or where it is. Throws a UsageError for anything else, a
 * PackError for the URL of a model.
 * @param {unknown} source as the page gave it @param {URL | null} url
 * @param {FileOptions & import("./fetch.js").Told} options @returns {Files}
 */
export declare function archiveFiles(source: unknown, url: URL | null, options: FileOptions & import("./fetch.js").Told): Files;
