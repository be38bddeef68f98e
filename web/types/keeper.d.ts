export type Waiting = {
    bytes: number;
    sha256: string | null;
    store: () => Promise<unknown>;
};
/** Something to be stored: of `bytes`, a file of that `sha256`.
 * @typedef {{bytes: number, sha256: string | null, store: () => Promise<unknown>}} Waiting */
/** Writes to storage, one after another, when there is time for it. */
export declare class Keeper {
    #private;
    /** @type {Set<Waiting>} oldest first, the one that is being written among them */
    waiting: Set<Waiting>;
    begun: boolean;
    /** Settles when all that was asked for so far is stored. @type {Promise<void>} */
    done: Promise<void>;
    constructor();
    /** Store something, later. Settles when there is room for more.
     * @param {() => Promise<unknown>} store @param {number} [bytes] @param {string | null} [sha256]
     * @returns {Promise<void>} */
    later(store: () => Promise<unknown>, bytes?: number, sha256?: string | null): Promise<void>;
    /** There is an answer: once the page has it, what waits need not wait any longer. */
    answered(): void;
    /** What waits need not wait any longer. Settles when it is stored. @returns {Promise<void>} */
    begin(): Promise<void>;
    /** `begin`, in a while. */
    idle(): void;
    /** Somebody wants to read a file: it must be there, if it is to be. @param {string} sha256 */
    stored(sha256: string): Promise<void>;
}
