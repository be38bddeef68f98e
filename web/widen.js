// A pack as a device without f16 runs it: its f16 tensors are f32, its kernels their twins, and its
// constants are widened when they are loaded. webrt/pack/widen.py in JavaScript.

import { PackError } from "./errors.js";
import { widened } from "./halves.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./weights.js").Constant} Constant */

/** How the code of a kernel that stores f16 begins, and its twin's. */
const HALF = "enable f16;\n\nalias half = f16;\n", WIDE_HALF = "alias half = f32;\n";

/** Elements that are widened before the page gets its turn: a few milliseconds' work. */
const TURN = 1 << 20;

/** How a device of these features runs a pack with float16 in it: as it is, or `widened` to float32.
 * @param {readonly string[]} features @returns {"native" | "widened"} */
export const float16Mode = (features) => (features.includes("shader-f16") ? "native" : "widened");

/** The pack with f32 in the place of f16. @param {Pack} pack @returns {Pack} */
export function widenedPack(pack) {
  /** @template {string} T @param {T} dtype */
  const wide = (dtype) => /** @type {Exclude<T, "f16"> | "f32"} */ (dtype === "f16" ? "f32" : dtype);
  const tensors = pack.tensors.map((tensor) => {
    const { dtype, storage, place } = tensor;
    const held = place && (storage === "f16" ? { ...place, held: 2 * place.bytes } : place);
    return { ...tensor, dtype: wide(dtype), storage: wide(storage), place: held };
  });
  const kernels = pack.kernels.map((kernel) => {
    const { name, wgsl, bindings } = kernel;
    if (bindings.every(({ dtype }) => dtype !== "f16")) return kernel;
    if (!wgsl.startsWith(HALF)) {
      throw new PackError(`manifest.json: kernel ${name} can't be widened for a device without f16; `
        + "pack again");
    }
    const cost = kernel.cost && { ...kernel.cost, bytes: kernel.cost.wide };
    return { ...kernel, cost, wgsl: WIDE_HALF + wgsl.slice(HALF.length),
      bindings: bindings.map((binding) => ({ ...binding, dtype: wide(binding.dtype) })) };
  });
  return { ...pack, tensors, kernels, problems: pack.wideProblems };
}

/**
 * Constants as the device stores them: those of a shard with f16 in it are copied, and widened.
 * @param {Uint8Array<ArrayBuffer>} data @param {Constant[]} constants
 * @returns {Promise<{data: Uint8Array<ArrayBuffer>, constants: Constant[]}>}
 */
export async function heldBytes(data, constants) {
  let end = 0;
  const moved = constants.map((constant) => {
    const from = end;
    end += Math.ceil(constant.held / 4) * 4;
    return { ...constant, from, bytes: constant.held };
  });
  const out = new Uint8Array(end);
  for (const [j, { from, bytes, held }] of constants.entries()) {
    const raw = data.subarray(from, from + bytes);
    if (bytes === held) out.set(raw, moved[j].from);
    else await widenInto(raw, new Float32Array(out.buffer, moved[j].from, held / 4));
  }
  return { data: out, constants: moved };
}

/** @param {Uint8Array<ArrayBuffer>} raw @param {Float32Array<ArrayBuffer>} out */
async function widenInto(raw, out) {
  const { buffer, byteOffset } = raw.byteOffset % 2 ? raw.slice() : raw;
  for (let start = 0; start < out.length; start += TURN) {
    const count = Math.min(TURN, out.length - start);
    widened(new Uint16Array(buffer, byteOffset + 2 * start, count), out.subarray(start, start + count));
    if (count === TURN) await new Promise((resolve) => { setTimeout(resolve); });
  }
}
