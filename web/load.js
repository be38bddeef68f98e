// From a pack's files to a pack on a device: weights there, kernels compiled, memory known.

import { Shapes } from "./bound.js";
import { UsageError } from "./errors.js";
import { compileKernels, moduleFor } from "./kernels.js";
import { Weights, beginWeights } from "./weights.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./fetch.js").Files} Files */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./kernels.js").Kernels} Kernels */
/** @typedef {import("./tune.js").Tuning} Tuning */
/** @typedef {import("./session.js").Options} Options */
/** A pack on a device, as that device runs it. @typedef {{pack: Pack, device: Device,
 *   kernels: Kernels, shapes: Shapes | import("./flow.js").FlowShapes,
 *   float16: "native" | "widened" | null}} Loaded */
/** @typedef {import("./wasm.js").WasmDevice} WasmDevice */

/** What tuning knows and may do, where the page asks for it: a page that doesn't loads nothing of it.
 * @param {Pack} pack @param {Files} files @param {Options} options @returns {Promise<Tuning | null>} */
export async function tuningOf(pack, files, options) {
  const { tune = "off", records } = options;
  if (!["off", "background", "now"].includes(tune)) {
    throw new UsageError(`tune: expected off, background or now, found '${tune}'`);
  }
  if (tune === "off" && records === undefined && !pack.records) return null;
  const { Tuning } = await import("./tune.js");
  return new Tuning(pack, files, options, (progress) => files.progress.say(progress));
}

/** Put a pack on a device. @param {Pack} given @param {Files} files @param {Promise<Device>} opening
 * @param {Tuning | null} tuning @returns {Promise<Loaded>} */
export async function load(given, files, opening, tuning) {
  files.progress.initiate(given.shards);
  const begun = beginWeights(given, files);
  const device = await opening;
  const cpu = onCpu(device);
  const half = given.tensors.some(({ storage }) => storage === "f16") && await import("./widen.js");
  const float16 = half ? half.float16Mode(device.info.features) : null;
  const pack = half && float16 === "widened" ? half.widenedPack(given) : given;
  const weights = new Weights(pack, device);
  cpu?.touch(weights.peak, begun);
  const kernels = compile(pack, files, device, tuning && (() => tuning.serveKnown(device, weights)),
    (done, total) => files.progress.compile(done, total));
  kernels.catch(() => {}); // weights that can't be had end before anyone asks for these
  const loading = weights.load(files, kernels);
  await Promise.all([
    loading,
    cpu && kernels.then(async (made) => (
      (await import("./warm.js")).warmKernels(pack, cpu, made, loading))),
  ]);
  const made = await kernels;
  const Kind = pack.flow.length ? (await import("./flow.js")).FlowShapes : Shapes;
  return { pack, device, kernels: made, shapes: new Kind(pack, device, made, weights), float16 };
}

/** @param {Pack} pack @param {Files} files @param {Device} device
 * @param {(() => Promise<void>) | null} serveKnown
 * @param {(done: number, total: number) => void} progress @returns {Promise<Kernels>} */
async function compile(pack, files, device, serveKnown, progress) {
  const { info } = device;
  const module = info.kind === "wasm" ? await files.module(moduleFor(pack, info)) : null;
  const kernels = await compileKernels(pack, device, module, progress);
  await serveKnown?.();
  return kernels;
}

/** Run it once where the first run would be slow otherwise. @param {Loaded} loaded */
export async function rehearsed({ pack, device, shapes }) {
  const cpu = onCpu(device);
  if (!cpu || !(shapes instanceof Shapes)) return;
  await (await import("./warm.js")).rehearse(pack, cpu, shapes);
}

/** The device where it is the CPU: pages that run on a GPU never load its code.
 * @param {Device} device */
const onCpu = (device) => (
  device.info.kind === "wasm" ? /** @type {WasmDevice} */ (device) : null);
