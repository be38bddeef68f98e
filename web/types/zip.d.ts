import { PackError } from "./errors.js";
export type Stored = {
    name: string;
    offset: number;
    start: number;
    size: number;
};
export type Reader = {
    at: number;
    read: (count: number) => Promise<Uint8Array<ArrayBuffer>>;
    skip: (count: number) => Promise<void>;
};
export declare const CUT = "is cut short or altered; copy the pack again";
/**
 * The entries of an archive, one after the other; their directory, at the end, must say the same. What
 * isn't read of an entry until the next one is asked for is skipped. Throws a PackError.
 * @param {Reader} reader @param {string} where for messages @returns {AsyncGenerator<Stored, void>}
 */
export declare function entriesOf(reader: Reader, where: string): AsyncGenerator<Stored, void>;
/** What a file is, going by its first bytes and its name, and what to do. @param {DataView | null} head
 * @param {string} where */
export declare function noPack(head: DataView | null, where: string): PackError;
