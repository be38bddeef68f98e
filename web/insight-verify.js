// Runs a pack's check vectors on a session's device; where one is wrong, finds the first step.
// webrt/runtime/verify.py in JavaScript, which describes what it gives.

import { bind } from "./bind.js";
import { elements } from "./dims.js";
import { ShapeError, UsageError } from "./errors.js";
import { readChecks } from "./insight-checks.js";
import { differs, digest, distance, numbers, stored } from "./insight-digest.js";
import { isTuned, namedDims, runOnce, walk } from "./insight-steps.js";
import { checkFile } from "./modules.js";
import { Tensor, fromStorage } from "./tensor.js";

/** @typedef {import("./insight-steps.js").Subject} Subject */
/** @typedef {import("./insight-checks.js").Vector} Vector */
/** @typedef {import("./insight-digest.js").Difference} Difference */
/** How far an output is off. @typedef {{max_abs: number, max_rel: number, cosine: number,
 *   ok: boolean}} Figures */
/** The first step that writes something wrong: `what` of it is `found` and not `expected`. `tuned`
 * tells that tuning put its kernel there. An output that no step writes has neither step nor kernel.
 * @typedef {{node: string, kernel: string | null, step: number | null, tuned: boolean, what: string,
 *   expected: number, found: number, vector: number}} Divergence */
/** One vector: `dims` by the model's names; `tuned` counts the tuned kernels of its run; `error` is
 * what the run ended with, where it gave no outputs.
 * @typedef {{ok: boolean, dims: Record<string, number>, outputs: Record<string, Figures>,
 *   tuned: number, error: string | null}} VectorVerdict */
/** The figures are the worst of all vectors' outputs. @typedef {{ok: boolean, max_abs: number,
 *   max_rel: number, cosine: number, vectors: VectorVerdict[], diverges: Divergence | null}} Verdict */

/** @param {Subject} subject @returns {Promise<Verdict>} */
export async function verify(subject) {
  const all = await vectorsOf(subject);
  /** @type {VectorVerdict[]} */
  const vectors = [];
  /** @type {Divergence | null} */
  let diverges = null;
  for (const [number, vector] of all.entries()) {
    const { verdict, worst } = await runVector(subject, vector);
    vectors.push(verdict);
    if (!verdict.ok && !diverges) diverges = await locate(subject, vector, number, worst);
  }
  const figures = vectors.flatMap((v) => Object.values(v.outputs));
  const failed = vectors.some((v) => v.error !== null);
  return {
    ok: vectors.every((v) => v.ok),
    max_abs: failed ? Infinity : Math.max(0, ...figures.map((f) => f.max_abs)),
    max_rel: failed ? Infinity : Math.max(0, ...figures.map((f) => f.max_rel)),
    cosine: failed ? 0 : Math.min(1, ...figures.map((f) => f.cosine)),
    vectors,
    diverges,
  };
}

/** @param {Subject} subject @returns {Promise<Vector[]>} */
async function vectorsOf({ pack, origin }) {
  const { checks } = pack;
  if (!checks || !origin) {
    throw new UsageError("this pack has no check vectors: pack with --check-inputs 2");
  }
  let name = checks.file;
  const data = await origin.files.again().file(checks, async (found, url) => {
    name = url;
    await checkFile(checks, found, url);
  });
  return readChecks(data, pack, name);
}

/** The wrong output whose step is named where no step stands out.
 * @typedef {Difference & {tensor: number, name: string}} Worst */

/** @param {Subject} subject @param {Vector} vector
 * @returns {Promise<{verdict: VectorVerdict, worst: Worst | null}>} */
async function runVector({ pack, shapes, float16 }, vector) {
  const { bindings, data } = bound(pack, vector);
  const tuned = new Set(pack.steps.map(({ problem }) => problem)
    .filter((problem) => isTuned(shapes, problem, bindings))).size;
  const dims = namedDims(pack, vector.dims);
  let found;
  try {
    found = await shapes.run(bindings, data, pack.outputs);
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    const verdict = { ok: false, dims, outputs: {}, tuned, error: error.message };
    return { verdict, worst: null };
  }
  /** @type {Record<string, Figures>} */
  const outputs = {};
  /** @type {Worst | null} */
  let worst = null;
  for (const [j, { name, type, tensor }] of pack.outputs.entries()) {
    const { shape, stride, data: wanted } = vector.outputs[j];
    const dimsFound = /** @type {number[]} */ (found.dims.get(name));
    const count = dimsFound.reduce((a, b) => a * b, 1);
    if (String(dimsFound) !== String(shape)) {
      outputs[name] = { max_abs: Infinity, max_rel: Infinity, cosine: 0, ok: false };
      const expected = shape.reduce((a, b) => a * b, 1);
      worst ??= { what: "the number of elements", expected, found: count, tensor, name };
      continue;
    }
    const made = fromStorage(type, found.bytes[j], dimsFound, pack.tensors[tensor].storage);
    const left = numbers(type, made.data).filter((_, index) => index % stride === 0);
    const right = numbers(type, wanted);
    const { worst: at, ...figures } = distance(left, right, type.startsWith("float"), float16 !== null);
    outputs[name] = figures;
    if (!figures.ok) {
      worst ??= { what: "an element", expected: right[at], found: left[at], tensor, name };
    }
  }
  const ok = Object.values(outputs).every((f) => f.ok);
  return { verdict: { ok, dims, outputs, tuned, error: null }, worst };
}

/** @param {Subject["pack"]} pack @param {Vector} vector
 * @returns {{bindings: import("./dims.js").Bindings, data: Uint8Array<ArrayBuffer>[]}} */
function bound(pack, vector) {
  const feeds = Object.fromEntries(pack.inputs.map(({ name, type }, j) => (
    [name, new Tensor(type, vector.inputs[j].data, vector.inputs[j].shape)])));
  const { bindings, data } = bind(pack, feeds);
  return { bindings, data: /** @type {Uint8Array<ArrayBuffer>[]} */ (data) };
}

/** Ends a run where the first wrong step was seen. */
class Found extends Error {}

/** Run once more, step by step, until one writes what it shouldn't.
 * @param {Subject} subject @param {Vector} vector @param {number} number
 * @param {Worst | null} worst @returns {Promise<Divergence | null>} */
async function locate(subject, vector, number, worst) {
  const { pack, device, shapes, float16 } = subject;
  const { bindings, data } = bound(pack, vector);
  /** @param {number} step @param {Difference} difference @returns {Divergence} */
  const divergence = (step, { what, expected, found }) => {
    const { node, problem } = pack.steps[step];
    return { node, kernel: pack.kernels[problem].name, step,
      tuned: isTuned(shapes, problem, bindings), what, expected, found, vector: number };
  };
  const seen = new Set();
  /** @type {Divergence | null} */
  let found = null;
  try {
    await walk(shapes, bindings, data, async (turn) => {
      runOnce(device, turn);
      const known = vector.steps.get(turn.step);
      if (!known || seen.has(turn.step)) return;
      seen.add(turn.step);
      const difference = await stepDifference(pack, device, turn, known, float16 !== null);
      if (!difference) return;
      found = divergence(turn.step, difference);
      throw new Found();
    });
  } catch (error) {
    if (error instanceof Found) return found;
    if (!(error instanceof ShapeError)) throw error;
  }
  if (!worst) return null; // the verdict has the error
  const step = pack.steps.findLastIndex(({ outputs }) => outputs.includes(worst.tensor));
  if (step >= 0) return divergence(step, worst);
  const { what, expected, found: other, name } = worst;
  return { node: `output '${name}'`, kernel: null, step: null, tuned: false, what, expected,
    found: other, vector: number };
}

/** @param {Subject["pack"]} pack @param {Subject["device"]} device
 * @param {import("./insight-steps.js").Turn} turn
 * @param {import("./insight-checks.js").StepDigests} known @param {boolean} half
 * @returns {Promise<Difference | null>} */
async function stepDifference(pack, device, { step, dispatch, bindings }, known, half) {
  const read = await device.readMany(dispatch.slices.slice(-dispatch.outputs));
  for (const [j, index] of pack.steps[step].outputs.entries()) {
    const { shape, storage } = pack.tensors[index];
    const { count, digest: expected } = known[j];
    const size = elements(shape, bindings);
    if (size !== count) return { what: "the number of elements", expected: count, found: size };
    const isFloat = storage === "f32" || storage === "f16";
    const found = digest(stored(storage, read[j], size));
    const difference = differs(found, expected, count, isFloat, half);
    if (difference) return difference;
  }
  return null;
}
