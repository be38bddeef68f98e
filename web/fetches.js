// What a run is asked for and where that stays, in onnxruntime-web's ways to say it.

import { UsageError } from "./errors.js";
import { Tensor } from "./tensor.js";

/** @typedef {import("./ort-types.js").Asked} Asked */
/** @typedef {import("./ort-types.js").RunOptions} RunOptions */
/** @typedef {import("./ort-types.js").OutputLocation} OutputLocation */

/** The arguments of `run` behind the feeds. As in onnxruntime-web, an object that names no output is
 * taken for options. @param {readonly string[]} outputNames
 * @param {readonly string[] | import("./ort-types.js").Fetches | RunOptions} [fetches]
 * @param {RunOptions} [options] @returns {{asked: Asked, options: RunOptions}} */
export function readFetches(outputNames, fetches = outputNames, options = {}) {
  if (typeof fetches !== "object" || fetches === null || fetches instanceof Tensor) {
    throw new UsageError("run: expected fetches (names of outputs, or an object of them) or options");
  }
  const named = Array.isArray(fetches);
  const asked = new Map(named ? fetches.map((name) => [name, null])
    : Object.entries(fetches).filter(([, value]) => value === null || value instanceof Tensor));
  if (!named && !outputNames.some((name) => asked.has(name))) {
    return readFetches(outputNames, outputNames, /** @type {RunOptions} */ (fetches));
  }
  for (const name of asked.keys()) {
    if (outputNames.includes(name)) continue;
    throw new UsageError(
      `unknown output '${name}': this model's outputs are ${outputNames.join(", ")}`);
  }
  return { asked, options };
}

/** Whether any output is asked to stay on the GPU. @param {OutputLocation} [location] */
export const asksForGpu = (location) => (typeof location === "object"
  ? Object.values(location).includes("gpu-buffer") : location === "gpu-buffer");

/** Whether an output stays on the GPU: as the tensor for it says, where there is one.
 * @param {string} name @param {Tensor | null} given @param {OutputLocation} [location] */
export const staysOnGpu = (name, given, location) => (given ? given.location
  : typeof location === "object" ? location[name] : location) === "gpu-buffer";
