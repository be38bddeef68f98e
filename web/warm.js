// Kernels for the CPU are exercised before they are needed: browsers compile WebAssembly twice, fast
// at first, and well once a function has been at work for a while, from its next call on.
//
// Chromium 156 and Firefox 153, MiniLM-L6 (2026-11, 2-core x86-64): a kernel's first calls take 5 to
// 40 times as long as later ones; after 2 to 8 ms at work it is compiled again, within 40 ms.

import { elements, evaluate } from "./dims.js";
import { elementBytes } from "./memory.js";
import { bindingSize } from "./weights.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./wasm.js").WasmDevice} WasmDevice */
/** @typedef {import("./wasm.js").Pipeline} Pipeline */
/** @typedef {import("./kernels.js").Kernels} Kernels */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** A kernel, the bytes of what it reads and writes, and its scalar operations.
 * @typedef {{pipeline: object, reads: number[], writes: number[], units: number,
 *   work: number}} Exercise */

/** Milliseconds: for all kernels, for one kernel in all, and for one kernel at a time. A kernel that
 * has become this much faster than in its second slice (the first one compiles it) is done before.
 * With 100, 160 and 250 ms MiniLM-L3's first run takes 1.5, 1.3 and 1.5 times its tenth (Chromium,
 * medians of three, 2026-11-21). */
const MOST_MS = 160, ENOUGH_MS = 30, SLICE_MS = 2, FASTER = 0.6;

/** Operations of one call: about a millisecond's before the second compilation. */
const CALL_OPERATIONS = 2e6;

/** What dynamic dims are set to: the first of these at which the model has a shape. */
const SIZES = [16, 64, 256], SMALLEST = [1, 16, 64, 256];

/** Exercise the kernel of every problem, those with the most work first, as long as the weights are on
 * their way: nobody waits for it.
 * @param {Pack} pack @param {WasmDevice} device @param {Kernels} kernels
 * @param {Promise<unknown>} weights @returns {Promise<void>} */
export async function warmKernels(pack, device, kernels, weights) {
  let there = false;
  const stop = () => { there = true; };
  weights.then(stop, stop);
  for (const size of SIZES) {
    const bindings = bindingsOf(pack, size);
    /** @type {Exercise[]} */
    let exercises;
    try {
      exercises = exercisesOf(pack, kernels, bindings);
    } catch {
      continue; // the model has no such shape
    }
    await exercise(device, exercises, Object.values(bindings), () => there);
    return;
  }
}

/** Exercise tuned kernels before they serve. @param {Pack} pack @param {WasmDevice} device
 * @param {ReadonlyMap<number, import("./kernels.js").Kernel>} tuned by problem
 * @param {Bindings} bindings @param {(packer: number | string) => number} bytesOf what packers make */
export async function warmTuned(pack, device, tuned, bindings, bytesOf) {
  const steps = pack.steps.filter((step) => tuned.has(step.problem));
  const problems = pack.kernels.map((_, j) => /** @type {any} */ (tuned.get(j)));
  const exercises = exercisesOf({ ...pack, steps }, { problems }, bindings, bytesOf);
  await exercise(device, exercises, Object.values(bindings));
}

/** Run the plan once, as small as it gets: so the weights are in reach, and the player's own code
 * is warm too. @param {Pack} pack @param {WasmDevice} device
 * @param {import("./bound.js").Shapes} shapes @returns {Promise<void>} */
export async function rehearse(pack, device, shapes) {
  for (const size of SMALLEST) {
    let bound;
    try {
      bound = shapes.get(bindingsOf(pack, size));
    } catch {
      continue; // the model has no such shape
    }
    for (const { tensor, low } of pack.inputs) {
      const { buffer, size: bytes } = bound.slices[tensor];
      const data = new Int32Array(bytes / 4).fill(Math.max(low ?? 0, 0));
      device.upload(/** @type {import("./wasm.js").Buffer} */ (buffer), 0, new Uint8Array(data.buffer));
    }
    await device.replayAndRead(bound.recording, []);
    return;
  }
}

/** @param {Pack} pack @param {number} size @returns {Bindings} */
const bindingsOf = (pack, size) =>
  Object.fromEntries(pack.symbols.map((s) => [s.id, Math.min(size, s.most)]));

/** @param {Pack} pack @param {Pick<Kernels, "problems">} kernels @param {Bindings} bindings
 * @param {(packer: number | string) => number} [bytesOf] @returns {Exercise[]} */
function exercisesOf(pack, kernels, bindings,
  bytesOf = (packer) => pack.wasm.packers[Number(packer)].bytes) {
  const sizes = pack.tensors.map(({ shape, dtype }) => elements(shape, bindings) * elementBytes(dtype));
  // Operands are zeros here; where zero isn't among an input's values, it isn't tried.
  const never = pack.inputs.filter(({ low, high }) => (low ?? 0) > 0 || (high ?? 0) < 0);
  /** @type {Map<number, Exercise>} by problem */
  const found = new Map();
  for (const { problem, inputs, outputs } of pack.steps) {
    const { pipeline, grid, work, panels } = kernels.problems[problem];
    const [units, operations] = [evaluate(grid[0], bindings), evaluate(work, bindings)];
    const known = found.get(problem);
    if (known) known.work += operations;
    else if (units > 0 && !never.some(({ tensor }) => inputs.includes(tensor))) {
      const reads = inputs.map((tensor, j) => {
        const packer = panels.get(j);
        return packer === undefined ? sizes[tensor] : bytesOf(packer);
      });
      const call = Math.max(1, Math.floor(units * Math.min(1, CALL_OPERATIONS / operations)));
      found.set(problem, { pipeline, reads, writes: outputs.map((t) => sizes[t]), units: call,
        work: operations });
    }
  }
  return [...found.values()].sort((a, b) => b.work - a.work);
}

/**
 * Call kernels over and over on operands that are all zero; what they write, nothing reads.
 * @param {WasmDevice} device @param {Exercise[]} exercises @param {number[]} symbols
 * @param {() => boolean} [enough] whether something else is waiting
 */
async function exercise(device, exercises, symbols, enough = () => false) {
  const most = (/** @type {"reads" | "writes"} */ key) => (
    Math.max(16, ...exercises.flatMap((e) => e[key]).map(bindingSize)));
  const sizes = [most("reads"), most("writes"), 4 * symbols.length + 16];
  if (!exercises.length || !device.hasRoom(sizes)) return;
  const [zeros, junk, uniform] = sizes.map((size) => device.allocate(size, "exercise"));
  device.upload(uniform, 0, new Uint8Array(Int32Array.from(symbols).buffer));
  const calls = exercises.map(({ pipeline, reads, writes, units }) => ({
    pipeline: /** @type {Pipeline} */ (pipeline), outputs: writes.length, grid: [units, 1, 1],
    slices: [...reads.map((size) => ({ buffer: zeros, offset: 0, size })),
      ...writes.map((size) => ({ buffer: junk, offset: 0, size }))],
  }));
  const seen = new Map(calls.map((call) => [call, { spent: 0, slices: 0, slow: 0 }]));
  const end = performance.now() + MOST_MS;
  try {
    for (let todo = calls; todo.length && performance.now() < end && !enough();) {
      const took = await device.exercise(todo, uniform, SLICE_MS, end);
      todo = todo.filter((call, j) => {
        const kernel = /** @type {{spent: number, slices: number, slow: number}} */ (seen.get(call));
        const each = took[j].ms / Math.max(took[j].calls, 1);
        kernel.spent += took[j].ms;
        if (++kernel.slices === 2) kernel.slow = each;
        return kernel.spent < ENOUGH_MS && !(each < FASTER * kernel.slow);
      });
    }
  } finally {
    for (const buffer of [zeros, junk, uniform]) device.free(buffer);
  }
}
