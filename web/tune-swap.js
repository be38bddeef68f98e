// A tuned kernel from a record's code: held against the pack, compiled, its constants laid out.
// Session.swap of webrt/runtime/session.py in JavaScript.

import { DeviceError, DeviceLostError, RecordsError } from "./errors.js";
import { bytesOf } from "./records.js";
import { warmTuned } from "./warm.js";
import { WasmDevice } from "./wasm.js";
import { aligned, bindingSize, checkTotal, keyOf } from "./weights.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./kernels.js").Kernel} Kernel */
/** @typedef {import("./weights.js").Needs} Needs */
/** @typedef {import("./weights.js").Uses} Uses */
/** @typedef {import("./weights.js").Weights} Weights */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** @typedef {{problem: number, dims: Bindings, kernel: Kernel, needs: Needs}} Tuned */

let count = 0;

/**
 * Compile the code of a problem at some dims. Throws a RecordsError for code that doesn't fit the
 * pack or the device, a CompileError for what the device refuses.
 * @param {Pack} pack @param {Device} device @param {number} problem @param {Bindings} dims
 * @param {import("./records.js").Code} code @returns {Promise<Tuned>}
 */
export async function compileTuned(pack, device, problem, dims, code) {
  const { name, bindings, work } = pack.kernels[problem];
  /** @param {string} message @returns {never} */
  const refuse = (message) => {
    throw new RecordsError(`the record of kernel ${name}: ${message}`);
  };
  if (("wgsl" in code) !== (device.info.kind === "webgpu")) refuse("its code is for another device");
  if ("wgsl" in code) {
    if (code.grid.some((n) => n > device.info.limits.maxComputeWorkgroupsPerDimension)) {
      refuse(`a grid of ${code.grid.join(" × ")} workgroups is more than the device has`);
    }
    const [pipeline] = await device.compile([{ name, source: code.wgsl, bindings }]);
    const kernel = { name, pipeline, grid: code.grid, work, panels: new Map() };
    return { problem, dims, kernel, needs: { direct: [], packed: [] } };
  }
  const { units, scratch, packers, panels } = code;
  const steps = pack.steps.filter((step) => step.problem === problem);
  for (const [operand, packer] of panels) {
    if (!bindings[operand] || bindings[operand].writable) refuse(`operand ${operand} is no constant`);
    for (const { inputs } of steps) {
      const bytes = pack.tensors[inputs[operand]].place?.held;
      if (bytes !== packers[packer].reads) {
        refuse(`a packer reads ${packers[packer].reads} bytes of tensor ${inputs[operand]}, not ${bytes}`);
      }
    }
  }
  const module = bytesOf(code.module);
  const packing = [{ writable: false }, { writable: true }];
  const [pipeline, ...pipelines] = await device.compile([
    { name, source: { module, entry: 0, scratch }, bindings },
    ...packers.map((p, j) => (
      { name: p.name, source: { module, entry: 1 + j, scratch: p.scratch }, bindings: packing })),
  ]);
  const names = packers.map((p) => `${p.name} ${count++}`);
  const panelOf = new Map(panels.map(([operand, packer]) => [operand, names[packer]]));
  const packed = new Map(steps.flatMap(({ inputs }) => panels.map(([operand, packer]) => (
    [`${inputs[operand]} ${packer}`, { tensor: inputs[operand], name: names[packer],
      pipeline: pipelines[packer], units: packers[packer].units, bytes: packers[packer].bytes }]))));
  const direct = steps.flatMap(({ inputs }) => inputs.filter((t, j) => (
    pack.tensors[t].place && !panelOf.has(j))));
  const kernel = { name, pipeline, grid: [units, 1, 1], work, panels: panelOf };
  return { problem, dims, kernel, needs: { direct, packed: [...packed.values()] } };
}

/** Note what a tuned kernel needs besides, before the weights are loaded; gives what is new of it.
 * Throws a DeviceError where there is no room. @param {Weights} weights @param {Needs} needs
 * @returns {Uses} */
export function want(weights, { direct, packed }) {
  const { tensors } = weights.pack;
  /** @param {number} index */
  const bytesOf = (index) => tensors[index].place?.held ?? 0;
  const fresh = new Set(direct.filter((t) => tensors[t].place && !weights.direct.has(t)));
  const sizes = [...fresh].map(bytesOf).concat(packed.map((p) => p.bytes));
  const raw = Math.max(0, ...packed.map((p) => aligned(bindingSize(bytesOf(p.tensor)))));
  const total = weights.total + sizes.reduce((sum, n) => sum + aligned(bindingSize(n)), 0);
  checkTotal(total + raw, "weights and those laid out for tuned kernels", weights.device.info);
  weights.total = total;
  /** @type {Uses["packers"]} */
  const packers = new Map();
  for (const index of fresh) weights.direct.add(index);
  for (const { tensor, name, ...packing } of packed) {
    weights.tuned.set(name, packing);
    weights.packers.set(tensor, (weights.packers.get(tensor) ?? new Set()).add(name));
    packers.set(tensor, (packers.get(tensor) ?? new Set()).add(name));
  }
  return { direct: fresh, packers };
}

/** `want` of weights that are loaded: their shards are read once more. @param {Weights} weights
 * @param {import("./fetch.js").Files} files @param {Needs} needs */
export async function add(weights, files, needs) {
  const { pack, total } = weights;
  const uses = want(weights, needs);
  const places = [...uses.direct, ...uses.packers.keys()].map((t) => pack.tensors[t].place);
  try {
    for (const index of new Set(places.map((place) => place?.shard ?? 0))) {
      await weights.read(files, index, null, uses);
    }
  } catch (error) {
    remove(weights, new Set(needs.packed.map((p) => p.name)));
    forget(weights, uses.direct);
    weights.total = total;
    throw error;
  }
}

/** Give back constants that are read as they are. @param {Weights} weights
 * @param {ReadonlySet<number>} indices */
function forget({ slices, device, direct }, indices) {
  const keys = [...indices].map((index) => keyOf(index));
  for (const buffer of new Set(keys.map((key) => slices.get(key)?.buffer))) {
    if (buffer) device.free(buffer);
  }
  for (const key of keys) slices.delete(key);
  for (const index of indices) direct.delete(index);
}

/** Give back what the packers of a tuned kernel made. @param {Weights} weights
 * @param {ReadonlySet<string>} names */
export function remove(weights, names) {
  for (const [tensor, packers] of weights.packers) {
    for (const name of names) {
      const key = keyOf(tensor, name);
      const slice = weights.slices.get(key);
      if (!packers.delete(name) || !slice) continue;
      weights.device.free(slice.buffer);
      weights.slices.delete(key);
      weights.total -= aligned(slice.size);
    }
  }
  for (const name of names) weights.tuned.delete(name);
}

/** Bring tuned kernels to their speed before they serve. @param {Pack} pack @param {Device} device
 * @param {readonly Tuned[]} tuned @param {Bindings} bindings */
export async function warm(pack, device, tuned, bindings) {
  if (!(device instanceof WasmDevice)) return;
  const sizes = new Map(tuned.flatMap(({ needs }) => needs.packed.map((p) => [p.name, p.bytes])));
  const kernels = new Map(tuned.map(({ problem, kernel }) => [problem, kernel]));
  await warmTuned(pack, device, kernels, bindings, (name) => sizes.get(String(name)) ?? 0);
}

/** Whether an error is a reason not to serve a kernel, and not the end of the session.
 * @param {unknown} error */
export const isRefusal = (error) => error instanceof RecordsError
  || (error instanceof DeviceError && !(error instanceof DeviceLostError));
