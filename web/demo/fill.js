// Made-up inputs for any model.

import { Tensor, UsageError } from "../webrt.js";

/** What an input of this name is best filled with. @param {string} name */
export function defaultFill(name) {
  if (/mask/i.test(name)) return "ones";
  return /type/i.test(name) ? "zeros" : "random";
}

/** @param {string} type */
const isFloat = (type) => type.startsWith("float");

/** A random value that the input takes: small integers, or about normal floats.
 * @param {import("../session.js").Metadata} input */
function random({ type, low, high }) {
  if (type === "bool") return Math.random() < 0.5 ? 0 : 1;
  if (isFloat(type)) {
    const uniform = Math.random() + Math.random() + Math.random() + Math.random();
    return (uniform - 2) * Math.sqrt(3);
  }
  const least = Math.max(low ?? 0, 0);
  return least + Math.floor(Math.random() * (Math.min(high ?? 1, 2 ** 20) - least + 1));
}

/**
 * A tensor of `dims` filled as asked; `values` is a list that is repeated.
 * @param {import("../session.js").Metadata} input @param {number[]} dims @param {string} fill
 * @param {string} values @returns {Tensor}
 */
export function makeTensor(input, dims, fill, values) {
  const size = dims.reduce((a, b) => a * b, 1);
  if (!(size >= 1 && size <= 2 ** 28)) {
    throw new UsageError(`input '${input.name}': dims [${dims}] can't be filled`);
  }
  const given = values.split(/[\s,;[\]]+/).filter(Boolean).map(Number);
  if (fill === "values" && (!given.length || given.some((v) => !isFloat(input.type)
    && !Number.isInteger(v)) || given.some(Number.isNaN))) {
    throw new UsageError(`input '${input.name}': expected a list of ${input.type} values`);
  }
  const makers = /** @type {Record<string, (j: number) => number>} */ ({
    random: () => random(input), zeros: () => 0, ones: () => 1,
    values: (j) => given[j % given.length] });
  const numbers = Array.from({ length: size }, (_, j) => makers[fill](j));
  return new Tensor(input.type, numbers, dims);
}
