export declare const FIRST_ADDRESS: number;
export declare const SLACK: number;
export declare const PAGE: number;
export declare const MAX_PAGES: number;
export declare const MEMORY_FLAGS_OFFSET = 44;
export declare const UNSHARED = 1;
export declare const SHARED = 3;
export declare const HEADER_WORDS = 4;
export declare const STEP_WORDS = 6;
export type ProgramStep = {
    entry: number;
    ranges: readonly [number, number][];
    outputs: number;
    units: number;
};
/** A step of a program: its entry of the table, its bindings' byte ranges, of which the last
 * `outputs` are written, and its units of work.
 * @typedef {{entry: number, ranges: readonly [number, number][], outputs: number,
 *   units: number}} ProgramStep */
/** How many words `program` takes. @param {readonly ProgramStep[]} steps */
export declare const programWords: (steps: readonly ProgramStep[]) => number;
/**
 * A program that lies at `address`, its steps' arguments behind it.
 * @param {readonly ProgramStep[]} steps @param {number} address @param {number} symbols the
 *   address of the symbols' values @returns {Uint32Array<ArrayBuffer>}
 */
export declare function program(steps: readonly ProgramStep[], address: number, symbols: number): Uint32Array<ArrayBuffer>;
/** Where a program's words say that the arguments of a step are.
 * @param {Uint32Array} words @param {number} step */
export declare const argumentsOf: (words: Uint32Array, step: number) => number;
/** A module's bytes for a memory that threads share. @param {Uint8Array<ArrayBuffer>} bytes */
export declare function withSharedMemory(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>;
