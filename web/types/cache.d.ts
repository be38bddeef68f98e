export type Index = Record<string, {
    bytes: number;
    used: number;
}>;
/** When each file was last used, in milliseconds of the clock.
 * @typedef {Record<string, {bytes: number, used: number}>} Index */
/** The files of this origin's packs. What storage refuses is left out: a cache is no promise. */
export declare class FileCache {
    #private;
    cache: Cache;
    most: number;
    /** Files of this pack: never given up for one another. @type {Set<string>} */
    mine: Set<string>;
    /** The last change of the index. @type {Promise<void>} */
    turn: Promise<void>;
    /** @param {Cache} cache @param {number} most bytes in all */
    constructor(cache: Cache, most: number);
    /** Null where there is none: in some private windows, on pages without https.
     * @param {number} [most] bytes in all @returns {Promise<FileCache | null>} */
    static open(most?: number): Promise<FileCache | null>;
    /** A file's bytes, as they were put. @param {string} sha256
     * @returns {Promise<Uint8Array<ArrayBuffer> | null>} */
    get(sha256: string): Promise<Uint8Array<ArrayBuffer> | null>;
    /** Whether there is a file of this name. @param {string} sha256 @returns {Promise<boolean>} */
    has(sha256: string): Promise<boolean>;
    /** The manifest that was last seen at a URL. @param {URL} url */
    manifest(url: URL): Promise<Uint8Array<ArrayBuffer> | null>;
    /** What was noted under a key. @param {string} key */
    note(key: string): Promise<Uint8Array<ArrayBuffer> | null>;
    /** @param {string} key @param {Uint8Array<ArrayBuffer>} data */
    keepNote(key: string, data: Uint8Array<ArrayBuffer>): Promise<boolean>;
    /** @param {URL} url @param {Uint8Array<ArrayBuffer>} data */
    keepManifest(url: URL, data: Uint8Array<ArrayBuffer>): Promise<void>;
    /** Keep a file that was verified; others that weren't used for longest make room for it.
     * @param {string} sha256 @param {Uint8Array<ArrayBuffer>} data */
    put(sha256: string, data: Uint8Array<ArrayBuffer>): Promise<void>;
    /** Forget a file that isn't what its name says. @param {string} sha256 */
    remove(sha256: string): Promise<void>;
    /** Note that this pack's files were used now. */
    touch(): Promise<void>;
}
/** Forget every file of every pack that pages of this origin have kept.
 * @returns {Promise<void>} */
export declare function clearCache(): Promise<void>;
