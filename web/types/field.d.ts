/** `value` stands at `path` of `file`; each method returns it checked or throws a PackError. */
export declare class Field {
    value: unknown;
    path: string;
    file: string;
    /** @param {unknown} value @param {string} path @param {string} file */
    constructor(value: unknown, path: string, file: string);
    /** @param {string} message @returns {never} */
    fail(message: string): never;
    /** @param {string} what @returns {never} */
    expected(what: string): never;
    /** @param {string} name @returns {Field} */
    member(name: string): Field;
    /** @param {string} name @returns {boolean} */
    has(name: string): boolean;
    /** @param {number} [least] @param {number} [most] @returns {Field[]} */
    items(least?: number, most?: number): Field[];
    /** @param {number} [low] @param {number} [high] @returns {number} */
    integer(low?: number, high?: number): number;
    /** @returns {boolean} */
    boolean(): boolean;
    /** @param {number} most @param {number} [least] @returns {string} */
    text(most: number, least?: number): string;
    /** @template {string} C @param {readonly C[]} choices @returns {C} */
    choice<C extends string>(...choices: readonly C[]): C;
    /** An object, whatever it holds. @returns {Record<string, unknown>} */
    object(): Record<string, unknown>;
    /** A Dim over `symbols`: an int, a symbol, or a sum of products of atoms.
     * @param {ReadonlySet<string>} symbols @returns {import("./dims.js").Dim} */
    dim(symbols: ReadonlySet<string>): import("./dims.js").Dim;
}
/** The value in a message: short whatever it is, and written as Python writes it.
 * @param {unknown} value @returns {string} */
export declare function show(value: unknown): string;
