// Sizes of dynamic dims that will do where a page names none, and whether those that it names may be.

import { UsageError } from "./errors.js";

/** @typedef {import("./manifest.js").Pack} Pack */

/** Throws a UsageError for dims that the model doesn't have, or not of these sizes.
 * @param {Pack} pack @param {Record<string, number>} [dims] by the model's own names */
export function checkDims({ symbols }, dims = {}) {
  for (const [name, value] of Object.entries(dims)) {
    const symbol = symbols.find((s) => s.name === name);
    if (!symbol) {
      const known = symbols.map((s) => s.name).join(", ") || "none";
      throw new UsageError(`dims: unknown '${name}': this model's are ${known}`);
    }
    const { multiple } = symbol;
    const [least, most] = [1, symbol.most].map((count) => multiple * count - +symbol.empty);
    if (!(Number.isInteger(value) && value >= least && value <= most)) {
      throw new UsageError(`dims: expected ${name} from ${least} to ${most}, found ${value}`);
    }
    if (multiple > 1 && value % multiple) {
      throw new UsageError(`dims: expected a multiple of ${multiple} for ${name}, found ${value}`);
    }
  }
}

/** Values for the symbols: those given by the model's names, else a batch of 1, empty caches and
 * dims of 128 (webrt/plan/example.py). @param {Pack} pack @param {Record<string, number>} [given]
 * @returns {import("./dims.js").Bindings} */
export function exampleBindings({ symbols, inputs }, given = {}) {
  const first = new Set(inputs.map(({ shape }) => shape[0]));
  return Object.fromEntries(symbols.map(({ id, name, most, empty, multiple }) => {
    if (Object.hasOwn(given, name)) return [id, (given[name] + +empty) / multiple];
    const long = !empty && (!first.has(id) || /seq|len|time|token/i.test(name));
    return [id, Math.min(long ? Math.max(1, Math.floor(128 / multiple)) : 1, most)];
  }));
}
