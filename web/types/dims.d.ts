/** The largest value that a dynamic dim may be bound to (webrt/dims.py). */
export declare const MAX_SYMBOL: number;
export type Dim = number | string | [string, ...unknown[]];
export type Bindings = Record<string, number>;
/** A checked dim: an integer, a symbol's id, or an operator with its operands.
 * @typedef {number | string | [string, ...unknown[]]} Dim */
/** Values of symbols by id. @typedef {Record<string, number>} Bindings */
/**
 * The integer that a checked dim is under `bindings`. Throws where it isn't exact or divides by
 * anything but a positive number.
 * @param {Dim} dim @param {Bindings} bindings @returns {number}
 */
export declare function evaluate(dim: Dim, bindings: Bindings): number;
/** The product of dims under bindings: the number of elements of a shape.
 * @param {readonly Dim[]} shape @param {Bindings} bindings @returns {number} */
export declare function elements(shape: readonly Dim[], bindings: Bindings): number;
/** A dim for people: `(s0 + 7) // 8`, symbols by `names` where given.
 * @param {Dim} dim @param {Readonly<Record<string, string>>} [names] @returns {string} */
export declare function show(dim: Dim, names?: Readonly<Record<string, string>>): string;
