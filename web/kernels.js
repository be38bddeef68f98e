// Which of a pack's kernels a device runs: those in WGSL, or those of a wasm module.
// webrt/runtime/kernels.py in JavaScript.

import { DeviceError } from "./errors.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./protocol.js").DeviceInfo} DeviceInfo */
/** @typedef {import("./protocol.js").KernelCode} KernelCode */
/** A problem's kernel, compiled. `panels` maps operands to packers: by their numbers in the pack, or by
 * the names of those that came with a tuned kernel.
 * @typedef {{name: string, pipeline: object, grid: import("./dims.js").Dim[],
 *   work: import("./dims.js").Dim, panels: Map<number, number | string>}} Kernel */
/** One kernel a problem; `packers` lay constants out while the weights are loaded.
 * @typedef {{problems: Kernel[], packers: object[], compiled: number}} Kernels */

/** The feature of an engine that runs modules with relaxed SIMD. */
export const RELAXED_SIMD = "relaxed-simd";

/** The module of the pack that a wasm device runs. @param {Pack} pack @param {DeviceInfo} info */
export const moduleFor = ({ wasm }, info) => wasm.modules[Number(info.features.includes(RELAXED_SIMD))];

/**
 * Compile what the device's kind needs of the pack; `module` is the wasm module's bytes.
 * @param {Pack} pack @param {Device} device @param {Uint8Array<ArrayBuffer> | null} module
 * @param {(done: number, total: number) => void} progress @returns {Promise<Kernels>}
 */
export function compileKernels(pack, device, module, progress) {
  return module ? compileWasm(pack, device, module, progress) : compileWgsl(pack, device, progress);
}

/** A pipeline for every kernel; kernels of the same code and bindings share one.
 * @param {Pack} pack @param {Device} device @param {(done: number, total: number) => void} progress
 * @returns {Promise<Kernels>} */
async function compileWgsl(pack, device, progress) {
  checkLimits(pack, device.info);
  const keys = pack.kernels.map((k) => k.bindings.map((b) => Number(b.writable)).join("") + k.wgsl);
  const unique = [...new Set(keys)];
  const codes = unique.map((key) => {
    const { name, wgsl, bindings } = pack.kernels[keys.indexOf(key)];
    return { name, source: wgsl, bindings };
  });
  const made = await device.compile(codes, progress);
  const problems = pack.kernels.map(({ name, grid, work }, j) => (
    { name, pipeline: made[unique.indexOf(keys[j])], grid, work, panels: new Map() }));
  return { problems, packers: [], compiled: unique.length };
}

/** @param {Pack} pack @param {Device} device @param {Uint8Array<ArrayBuffer>} module
 * @param {(done: number, total: number) => void} progress @returns {Promise<Kernels>} */
async function compileWasm(pack, device, module, progress) {
  const { kernels, packers } = pack.wasm;
  const packing = [{ writable: false }, { writable: true }];
  const codes = [...kernels, ...packers].map(({ name, scratch }, entry) => (
    { name, source: { module, entry, scratch }, bindings: pack.kernels[entry]?.bindings ?? packing }));
  const made = await device.compile(codes, progress);
  return {
    problems: kernels.map(({ name, units, panels }, j) => (
      { name, pipeline: made[j], grid: [units, 1, 1], work: pack.kernels[j].work,
        panels: new Map(panels) })),
    packers: made.slice(kernels.length),
    compiled: made.length,
  };
}

/** Refuse kernels that the device can't run, before it is asked to. @param {Pack} pack
 * @param {DeviceInfo} info */
function checkLimits(pack, { adapter, limits, features }) {
  const sides = [limits.maxComputeWorkgroupSizeX, limits.maxComputeWorkgroupSizeY,
    limits.maxComputeWorkgroupSizeZ];
  const lanes = limits.maxComputeInvocationsPerWorkgroup;
  const buffers = limits.maxStorageBuffersPerShaderStage;
  for (const { name, workgroup, bindings } of pack.kernels) {
    if (workgroup.some((n, j) => n > sides[j]) || workgroup.reduce((a, b) => a * b) > lanes) {
      throw new DeviceError(`kernel ${name} needs workgroups of ${workgroup.join(" × ")} lanes, `
        + `${adapter} has at most ${lanes}`);
    }
    if (bindings.length > buffers) {
      throw new DeviceError(`kernel ${name} binds ${bindings.length} buffers, ${adapter} has `
        + `at most ${buffers}`);
    }
    if (bindings.some((b) => b.dtype === "f16") && !features.includes("shader-f16")) {
      throw new DeviceError(`kernel ${name} needs shader-f16, which ${adapter} lacks`);
    }
  }
}
