/** Bytes that all buffers together can take. */
export declare const MAX_TOTAL: number;
/** Blocks of a memory of up to `most` bytes, the best fitting gap first. */
export declare class Heap {
    end: number;
    /** @type {{address: number, end: number, label: string}[]} by address */
    blocks: {
        address: number;
        end: number;
        label: string;
    }[];
    /** Memory from here on was never used, so it is zero. */
    fresh: number;
    /** @param {number} [most] */
    constructor(most?: number);
    /** The end of the last block. */
    get top(): number;
    /** Bytes of memory that the blocks need, in whole pages. */
    get pages(): number;
    /** Where `size` bytes were put, and how many of them may not be zero; null where they don't fit.
     * @param {number} size @param {string} [label] @returns {{address: number, used: number} | null} */
    allocate(size: number, label?: string): {
        address: number;
        used: number;
    } | null;
    /** @param {number} address of a block */
    free(address: number): void;
    /** Bytes that are taken. */
    get taken(): number;
}
