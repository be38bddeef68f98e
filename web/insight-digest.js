// Digests of what steps write, and how far tensors are apart: webrt/runtime/digest.py in JavaScript.

import { widened } from "./halves.js";
import { BLOCKS, FIGURES, SAMPLES } from "./insight-checks.js";

/** Numbers of any type but the 64-bit integers. @typedef {Float32Array | Float64Array | Int32Array |
 *   Uint32Array} Numbers */
/** A number of a digest that is not what it should be.
 * @typedef {{what: string, expected: number, found: number}} Difference */
/** `max_rel` is the largest |diff| / |x|, |x| at least 1e-3; `worst` is an element's number.
 * @typedef {{max_abs: number, max_rel: number, cosine: number, ok: boolean,
 *   worst: number}} Distance */

/** As `webrt check`: |diff| <= absolute + relative·|x| everywhere, and a cosine. */
const ABSOLUTE = 1e-3, RELATIVE = 1e-3, COSINE = 0.9999, HALF = 2 ** -6;
/** The cosine of what is no further apart, in the root mean square, judges roundings. */
const ROUNDING = 2 ** -23;
/** Means of integers are added up in another order. */
const EXACT = 1e-9;
/** Element j counts negative in a signed sum where bit 31 of j times this is set. */
const SIGNS = 0x9e3779b1;
/** A mask may be -Infinity on one device and the lowest f32 on another. */
const LARGEST = 3.4028234663852886e38;

const NAMES = ["the mean", "the root mean square", "the least", "the greatest", "the number of NaN",
  "the signed sum"];

/** The elements of a tensor as a device stores them. @param {string} storage
 * @param {ArrayBuffer} bytes @param {number} count @returns {Numbers} */
export function stored(storage, bytes, count) {
  if (storage === "f32") return new Float32Array(bytes, 0, count);
  if (storage === "i32") return new Int32Array(bytes, 0, count);
  if (storage === "u32") return new Uint32Array(bytes, 0, count);
  return widened(new Uint16Array(bytes, 0, count));
}

/** A tensor's elements as numbers. @param {import("./tensor.js").Type} type
 * @param {import("./tensor.js").TypedArray} data @returns {Float64Array} */
export function numbers(type, data) {
  if (type === "float16" && data instanceof Uint16Array) return Float64Array.from(widened(data));
  return Float64Array.from(/** @type {any} */ (data), Number);
}

/** @param {Numbers} values @returns {Float64Array} */
export function digest(values) {
  const found = new Float64Array(SAMPLES + BLOCKS * FIGURES);
  const count = values.length;
  const stride = Math.floor(count / SAMPLES) | 1;
  for (let j = 0; j < Math.min(count, SAMPLES); j++) found[j] = finite(values[(j * stride) % count]);
  for (let block = 0; block < BLOCKS; block++) {
    const [first, end] = part(count, block);
    figures(values, first, end, found.subarray(SAMPLES + block * FIGURES));
  }
  return found;
}

/** @param {number} count @param {number} block */
const part = (count, block) => (
  [Math.floor((block * count) / BLOCKS), Math.floor(((block + 1) * count) / BLOCKS)]);

/** @param {number} x */
const finite = (x) => Math.min(Math.max(x, -LARGEST), LARGEST); // a NaN stays

/** @param {Numbers} values @param {number} first @param {number} end @param {Float64Array} out */
function figures(values, first, end, out) {
  let [sum, squares, least, greatest, missing, signed] = [0, 0, Infinity, -Infinity, 0, 0];
  for (let j = first; j < end; j++) {
    const x = finite(values[j]);
    if (x !== x) {
      missing += 1;
      continue;
    }
    sum += x;
    squares += x * x;
    if (x < least) least = x;
    if (x > greatest) greatest = x;
    signed += Math.imul(j, SIGNS) < 0 ? -x : x;
  }
  const here = end - first - missing;
  out.set(here ? [sum / here, Math.sqrt(squares / here), least, greatest, missing, signed]
    : [0, 0, 0, 0, missing, 0]);
}

/** The first number in which digests of two tensors of `count` elements differ by too much.
 * @param {Float64Array} found @param {Float64Array} expected @param {number} count
 * @param {boolean} isFloat @param {boolean} half @returns {Difference | null} */
export function differs(found, expected, count, isFloat, half) {
  const { absolute, relative } = tolerances(isFloat, half);
  for (let j = 0; j < SAMPLES; j++) {
    if (!near(found[j], expected[j], absolute + relative * Math.abs(expected[j]))) {
      return { what: "an element", expected: expected[j], found: found[j] };
    }
  }
  for (let block = 0; block < BLOCKS; block++) {
    const at = SAMPLES + block * FIGURES;
    const [first, end] = part(count, block);
    const slack = absolute + (isFloat ? relative : EXACT) * expected[at + 1];
    const slacks = [slack, slack, null, null, 0, Math.sqrt(end - first) * slack];
    for (const [j, most] of slacks.entries()) {
      const [left, right] = [found[at + j], expected[at + j]];
      if (!near(left, right, most ?? absolute + relative * Math.abs(right))) {
        const what = `${NAMES[j]} of the elements in part ${block + 1} of ${BLOCKS}`;
        return { what, expected: right, found: left };
      }
    }
  }
  return null;
}

/** @param {boolean} isFloat @param {boolean} half */
function tolerances(isFloat, half) {
  if (!isFloat) return { absolute: 0, relative: 0 };
  return half ? { absolute: HALF, relative: HALF } : { absolute: ABSOLUTE, relative: RELATIVE };
}

/** @param {number} left @param {number} right @param {number} slack */
const near = (left, right, slack) => left === right || (left !== left && right !== right)
  || Math.abs(left - right) <= slack;

/** How far two tensors of as many elements are apart; integers must be equal.
 * @param {Float64Array} found @param {Float64Array} expected @param {boolean} isFloat
 * @param {boolean} half @returns {Distance} */
export function distance(found, expected, isFloat, half) {
  const { absolute, relative } = tolerances(isFloat, half);
  let [most, share, worst, ok, same] = [0, 0, 0, true, true];
  let [dot, left, right, apart] = [0, 0, 0, 0];
  for (let j = 0; j < expected.length; j++) {
    const [x, y] = [found[j], expected[j]];
    const both = Number.isFinite(x) && Number.isFinite(y);
    if (both) [dot, left, right] = [dot + x * y, left + x * x, right + y * y];
    if (x === y || (x !== x && y !== y)) continue;
    same = false;
    const size = Number.isFinite(y) ? Math.abs(y) : 0;
    const difference = both ? Math.abs(x - y) : Infinity;
    share = Math.max(share, difference / Math.max(size, 1e-3));
    apart += difference * difference;
    if (difference > most) [most, worst] = [difference, j];
    ok &&= difference <= absolute + relative * size;
  }
  const lengths = Math.sqrt(left) * Math.sqrt(right);
  const cosine = same ? 1 : lengths ? dot / lengths : 0;
  const alike = cosine >= COSINE || apart <= ROUNDING * ROUNDING * expected.length;
  if (isFloat) ok &&= alike;
  return { max_abs: most, max_rel: share, cosine, ok: ok && (same || isFloat), worst };
}
