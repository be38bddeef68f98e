// A tuned kernel from a record's code: held against the pack, compiled, its constants laid out.
// Session.swap of webrt/runtime/session.py in JavaScript.

import { CompileError, RecordsError } from "./errors.js";
import { bytesOf } from "./records.js";
import { warmTuned } from "./warm.js";
import { WasmDevice } from "./wasm.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./kernels.js").Kernel} Kernel */
/** @typedef {import("./weights.js").Needs} Needs */
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
export const isRefusal = (error) => error instanceof CompileError || error instanceof RecordsError;
