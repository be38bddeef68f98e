// Tensors that were made before a run for what it makes.

import { ShapeError } from "./errors.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */

/** Throws a ShapeError for a tensor that isn't what a run makes. @param {string} name
 * @param {Tensor} given @param {string} type @param {readonly number[]} dims */
export function checkGiven(name, given, type, dims) {
  if (given.type === type && given.dims.join() === dims.join()) return;
  throw new ShapeError(`output '${name}': the run makes ${type} [${dims.join(", ")}], the tensor `
    + `for it is ${given.type} [${given.dims.join(", ")}]`);
}

/** Put results into the tensors that were made for them. @param {Record<string, Tensor>} results
 * @param {import("./ort-types.js").Asked} asked @returns {Record<string, Tensor>} */
export function filled(results, asked) {
  return Object.fromEntries([...asked].map(([name, given]) => {
    const made = results[name];
    if (!given || given === made) return [name, made];
    checkGiven(name, given, made.type, made.dims);
    /** @type {any} */ (given.data).set(made.data);
    return [name, given];
  }));
}
