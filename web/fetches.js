// What a run is asked for and where it goes: onnxruntime-web's ways to say it, by names, by tensors
// made beforehand, by a location for every output.

import { ShapeError, UsageError } from "./errors.js";
import { Tensor } from "./tensor.js";

/** @typedef {import("./tensor.js").Location} Location */
/** Outputs by name: null, or a tensor that the result goes into.
 * @typedef {Readonly<Record<string, Tensor | null>>} Fetches */
/** `signal` ends the wait; a run that hasn't begun never does then. The others are onnxruntime-web's:
 * accepted, and without effect.
 * @typedef {{signal?: AbortSignal, logSeverityLevel?: number, logVerbosityLevel?: number,
 *   terminate?: boolean, tag?: string, extra?: Record<string, unknown>}} RunOptions */
/** What a run makes, in order: a tensor for the result, or null.
 * @typedef {Map<string, Tensor | null>} Asked */
/** onnxruntime-web's options of a session that have nothing to do here: accepted, and without effect.
 * @typedef {{graphOptimizationLevel?: "disabled" | "basic" | "extended" | "layout" | "all",
 *   executionMode?: "sequential" | "parallel", intraOpNumThreads?: number, interOpNumThreads?: number,
 *   enableCpuMemArena?: boolean, enableMemPattern?: boolean, enableGraphCapture?: boolean,
 *   enableProfiling?: boolean, profileFilePrefix?: string, optimizedModelFilePath?: string,
 *   logId?: string, logSeverityLevel?: number, logVerbosityLevel?: number,
 *   freeDimensionOverrides?: Readonly<Record<string, number>>, externalData?: readonly unknown[],
 *   extra?: Record<string, unknown>}} OrtOptions */
/** Where outputs stay: all of them, or those that are named.
 * @typedef {"cpu" | "gpu-buffer" | Readonly<Record<string, "cpu" | "gpu-buffer">>} OutputLocation */

/** The arguments of `run` behind the feeds. As in onnxruntime-web, an object that names no output is
 * taken for options. @param {readonly string[]} outputNames
 * @param {readonly string[] | Fetches | RunOptions} [fetches] @param {RunOptions} [options]
 * @returns {{asked: Asked, options: RunOptions}} */
export function readFetches(outputNames, fetches = outputNames, options = {}) {
  if (typeof fetches !== "object" || fetches === null || fetches instanceof Tensor) {
    throw new UsageError("run: expected fetches (names of outputs, or an object of them) or options");
  }
  const named = Array.isArray(fetches);
  const given = new Map(named ? fetches.map((name) => [name, null])
    : Object.entries(fetches).filter(([, value]) => value === null || value instanceof Tensor));
  if (!named && !outputNames.some((name) => given.has(name))) {
    const asked = new Map(outputNames.map((name) => [name, null]));
    return { asked, options: /** @type {RunOptions} */ (fetches) };
  }
  for (const name of given.keys()) {
    if (outputNames.includes(name)) continue;
    throw new UsageError(
      `unknown output '${name}': this model's outputs are ${outputNames.join(", ")}`);
  }
  return { asked: given, options };
}

/** Whether any output is asked to stay on the GPU. @param {OutputLocation} [location] */
export const asksForGpu = (location) => (typeof location === "object"
  ? Object.values(location).includes("gpu-buffer") : location === "gpu-buffer");

/** Throws a UsageError for a location that there isn't, or not in a worker.
 * @param {{preferredOutputLocation?: OutputLocation, gpuDevice?: unknown, worker?: boolean}} options */
export function checkLocation({ preferredOutputLocation: location, gpuDevice, worker }) {
  if (worker && (gpuDevice || asksForGpu(location))) {
    throw new UsageError("worker: a GPUDevice and its buffers can't leave the page; leave out "
      + "`worker`, or `gpuDevice` and `preferredOutputLocation`");
  }
  const found = typeof location === "object" && location ? Object.values(location) : [location ?? "cpu"];
  for (const place of found) {
    if (!["cpu", "cpu-pinned", "gpu-buffer"].includes(place)) {
      throw new UsageError(`preferredOutputLocation: expected cpu or gpu-buffer, found '${place}'`);
    }
  }
}

/** Whether an output stays on the GPU: where it goes into a tensor, as that says.
 * @param {string} name @param {Tensor | null | undefined} given
 * @param {OutputLocation} [location] */
export function staysOnGpu(name, given, location) {
  if (given) return given.location === "gpu-buffer";
  return (typeof location === "object" ? location[name] : location) === "gpu-buffer";
}

/** Put a result into the tensor that was made for it. @param {string} name @param {Tensor} given
 * @param {Tensor} made @returns {Tensor} */
export function fill(name, given, made) {
  checkGiven(name, given, made.type, made.dims);
  /** @type {any} */ (given.data).set(made.data);
  return given;
}

/** Throws a ShapeError for a tensor that isn't what a run makes. @param {string} name
 * @param {Tensor} given @param {string} type @param {readonly number[]} dims */
export function checkGiven(name, given, type, dims) {
  if (given.type !== type || given.dims.join() !== dims.join()) {
    throw new ShapeError(`output '${name}': the run makes ${type} [${dims.join(", ")}], the tensor `
      + `for it is ${given.type} [${given.dims.join(", ")}]`);
  }
}
