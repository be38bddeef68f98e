// Which kernels serve a session: the pack's own, or those of tuning records, and whose those are.

import { agree } from "./bound.js";
import { namedDims } from "./insight-steps.js";

/** @typedef {import("./insight-steps.js").Subject} Subject */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** @typedef {import("./records.js").TuneRecord} TuneRecord */

/** The schedule of the kernel that serves a problem; null where a record no longer tells.
 * @param {Subject} subject @param {number} problem @param {Bindings} bindings
 * @returns {Record<string, unknown> | null} */
export function scheduleOf({ pack, shapes, deviceInfo, origin }, problem, bindings) {
  const tuned = shapes.tuned.get(problem)?.find(({ dims }) => agree(dims, bindings));
  if (tuned) return origin?.tuning?.servedBy(problem, tuned.dims)?.best?.schedule ?? null;
  const { kernels } = deviceInfo.kind === "wasm" ? pack.wasm : pack;
  return kernels[problem].schedule;
}

/** A tuned kernel; `from` tells where its record comes from. `dims` are by the model's names.
 * @typedef {{name: string, dims: Record<string, number>, schedule: Record<string, unknown> | null,
 *   ms: number | null, default_ms: number | null, from: string}} TunedKernel */

/** The tuned kernels of a session, at every shape that was tuned.
 * @param {Subject} subject @returns {TunedKernel[]} */
export function tunedKernels({ pack, shapes, origin }) {
  return [...shapes.tuned].flatMap(([problem, all]) => all.map(({ dims }) => {
    const record = origin?.tuning?.servedBy(problem, dims) ?? null;
    return {
      name: pack.kernels[problem].name,
      dims: namedDims(pack, dims),
      schedule: record?.best?.schedule ?? null,
      ms: record?.best?.ms ?? null,
      default_ms: record?.default ?? null,
      from: record?.from ?? "unknown",
    };
  }));
}
