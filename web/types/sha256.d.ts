/** @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<string>} */
export declare function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string>;
/** The sha256 of a pack's file, whose blocks are hashed as they arrive: of a file of one block its own,
 * of a larger one that of its blocks' digests. */
export declare class FileHash {
    #private;
    /** @type {Promise<ArrayBuffer>[]} */
    blocks: Promise<ArrayBuffer>[];
    constructor();
    /** Hash the blocks that are complete. @param {Uint8Array<ArrayBuffer>} data
     * @param {number} length how much of it is there */
    advance(data: Uint8Array<ArrayBuffer>, length: number): void;
    /** Begin again. */
    restart(): void;
    /** @param {Uint8Array<ArrayBuffer>} data all of it @returns {Promise<string>} in hex */
    hex(data: Uint8Array<ArrayBuffer>): Promise<string>;
}
