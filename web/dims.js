// Symbolic integers as they stand in a pack: prefix JSON, evaluated under bindings. No eval.
// manifest.js has checked them (`Field.dim`).

/** The largest value that a dynamic dim may be bound to (webrt/dims.py). */
export const MAX_SYMBOL = 2 ** 20;

/** A checked dim: an integer, a symbol's id, or an operator with its operands.
 * @typedef {number | string | [string, ...unknown[]]} Dim */
/** Values of symbols by id. @typedef {Record<string, number>} Bindings */

/**
 * The integer that a checked dim is under `bindings`. Throws where it isn't exact or divides by
 * anything but a positive number.
 * @param {Dim} dim @param {Bindings} bindings @returns {number}
 */
export function evaluate(dim, bindings) {
  if (typeof dim === "number") return dim;
  if (typeof dim === "string") return bindings[dim];
  const values = dim.slice(1).map((part) => evaluate(/** @type {Dim} */ (part), bindings));
  const result = apply(dim[0], values);
  if (!Number.isSafeInteger(result)) throw new Error(`a dim has no exact value: ${show(dim)}`);
  return result;
}

/** @param {string} op @param {number[]} values @returns {number} */
function apply(op, values) {
  const [left, right] = values;
  switch (op) {
    case "+": return values.reduce((a, b) => a + b);
    case "*": return values.reduce((a, b) => a * b);
    case "//": return (left - modulo(left, right)) / right;
    case "%": return modulo(left, right);
    case "min": return Math.min(left, right);
    default: return Math.max(left, right);
  }
}

/** Never negative, as in Python; exact where `left / right` wouldn't be.
 * @param {number} left @param {number} right */
const modulo = (left, right) => (right > 0 ? ((left % right) + right) % right : NaN);

/** The product of dims under bindings: the number of elements of a shape.
 * @param {readonly Dim[]} shape @param {Bindings} bindings @returns {number} */
export function elements(shape, bindings) {
  const sizes = shape.map((dim) => evaluate(dim, bindings));
  const product = sizes.reduce((all, size) => all * size, 1);
  if (!Number.isSafeInteger(product) || sizes.some((size) => size < 0)) {
    throw new Error(`the shape ${shape.map((d) => show(d))} is ${sizes}`);
  }
  return product;
}

/** A dim for people: `(s0 + 7) // 8`, symbols by `names` where given.
 * @param {Dim} dim @param {Readonly<Record<string, string>>} [names] @returns {string} */
export function show(dim, names = {}) {
  if (typeof dim === "number") return String(dim);
  if (typeof dim === "string") return names[dim] ?? dim;
  const parts = dim.slice(1).map((part) => show(/** @type {Dim} */ (part), names));
  if (dim[0] === "min" || dim[0] === "max") return `${dim[0]}(${parts.join(", ")})`;
  return `(${parts.join(` ${dim[0]} `)})`;
}
