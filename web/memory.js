// Arena offsets: which tensors share memory over time. webrt/plan/memory.py describes the
// algorithm; tests/vectors/memory.json holds both to the same bytes.

import { elements } from "./dims.js";

const ALIGNMENT = 256;

/** @typedef {{offsets: Map<number, number>, peak: number}} Placement */

/** Bytes of one element in device memory. @param {string} dtype */
export const elementBytes = (dtype) => (dtype === "f16" ? 2 : 4);

/** First and last step of every arena tensor that a step touches.
 * @param {import("./manifest.js").Pack} pack @returns {Map<number, [number, number]>} */
function lifetimes(pack) {
  /** @type {Map<number, [number, number]>} */
  const lives = new Map();
  pack.steps.forEach((step, position) => {
    for (const tensor of [...step.inputs, ...step.outputs]) {
      if (pack.tensors[tensor].home !== "arena") continue;
      lives.set(tensor, [lives.get(tensor)?.[0] ?? position, position]);
    }
  });
  return lives;
}

/**
 * Byte offsets of the arena's tensors and the arena's size under the values of the symbols.
 * @param {import("./manifest.js").Pack} pack @param {import("./dims.js").Bindings} bindings
 * @returns {Placement}
 */
export function place(pack, bindings) {
  return placeLives(pack, lifetimes(pack), bindings);
}

/**
 * The same for tensors that live as `lives` tells: those of one epoch (flow.js).
 * @param {import("./manifest.js").Pack} pack @param {Map<number, [number, number]>} lives
 * @param {import("./dims.js").Bindings} bindings @returns {Placement}
 */
export function placeLives(pack, lives, bindings) {
  /** @type {Map<number, number>} */
  const sizes = new Map();
  for (const tensor of lives.keys()) {
    const { dtype, shape } = pack.tensors[tensor];
    const bytes = elements(shape, bindings) * elementBytes(dtype);
    sizes.set(tensor, Math.ceil(Math.max(bytes, 1) / ALIGNMENT) * ALIGNMENT);
  }
  /** @param {number} tensor */
  const sizeOf = (tensor) => /** @type {number} */ (sizes.get(tensor));
  const order = [...lives.keys()].sort((a, b) => sizeOf(b) - sizeOf(a) || a - b);
  /** @type {{tensor: number, offset: number, size: number, life: [number, number]}[]} */
  const placed = []; // by rising (offset, tensor)
  let peak = 0;
  for (const tensor of order) {
    const life = /** @type {[number, number]} */ (lives.get(tensor));
    const size = sizeOf(tensor);
    let end = 0, best = -1, smallest = 0;
    for (const other of placed) {
      if (other.life[0] > life[1] || life[0] > other.life[1]) continue;
      const gap = other.offset - end;
      if (gap >= size && (best < 0 || gap < smallest)) [best, smallest] = [end, gap];
      end = Math.max(end, other.offset + other.size);
    }
    const offset = best >= 0 ? best : end;
    const after = placed.findIndex((p) => (p.offset - offset || p.tensor - tensor) > 0);
    placed.splice(after < 0 ? placed.length : after, 0, { tensor, offset, size, life });
    peak = Math.max(peak, offset + size);
  }
  return { offsets: new Map(placed.map((p) => [p.tensor, p.offset])), peak };
}
