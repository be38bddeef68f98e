// Sizes of dynamic dims that will do where a page names none, and whether those that it names may be.

import { scaled } from "./bind.js";
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
    const [least, most] = [1 - +symbol.empty, symbol.most - +symbol.empty];
    if (!(Number.isInteger(value) && value >= least && value <= most)) {
      throw new UsageError(`dims: expected ${name} from ${least} to ${most}, found ${value}`);
    }
  }
}

/** Values for the symbols: those given by the model's names, else a batch of 1, empty caches and
 * dims of 128 (webrt/plan/example.py). @param {Pack} pack @param {Record<string, number>} [given]
 * @returns {import("./dims.js").Bindings} */
export function exampleBindings({ symbols, inputs }, given = {}) {
  const first = new Set(inputs.map(({ shape }) => shape[0]));
  const shown = inputs.flatMap(({ shape }) => shape.map(scaled));
  const factors = Object.fromEntries(shown.filter((pair) => pair !== null));
  return Object.fromEntries(symbols.map(({ id, name, most, empty }) => {
    if (empty) return [id, (given[name] ?? 0) + 1];
    const long = !first.has(id) || /seq|len|time|token/i.test(name);
    const length = Math.min(Math.max(1, Math.floor(128 / (factors[id] ?? 1))), most);
    return [id, given[name] ?? (long ? length : 1)];
  }));
}
