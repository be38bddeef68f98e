// Says where a session runs and why, what it does without there, and what memory it takes.

import { deviceNames } from "./devices.js";
import { tunedKernels } from "./insight-kernels.js";

/** @typedef {import("./insight-steps.js").Subject} Subject */
/** What is done in another way than it could be elsewhere, and why.
 * @typedef {{what: "device" | "software" | "threads" | "relaxed-simd" | "float16" | "host-steps" |
 *   "storage" | "recovered", why: string}} Fallback */
/** Bytes on the device by what they are for: `weights` as kernels read them, `arena` holds the
 * activations, `other` what the rest takes (symbols, recordings, workers' own memory). `limit` is null
 * where the device tells none.
 * @typedef {{weights: number, arena: number, inputs: number, outputs: number, staging: number,
 *   other: number, total: number, limit: number | null}} Memory */
/** `text` says it all in words.
 * @typedef {{device: {kind: "webgpu" | "wasm", adapter: string, class: string, threads: number,
 *   features: string[], why: string}, float16: "native" | "widened" | null, fallbacks: Fallback[],
 *   memory: Memory, kernels: {problems: number, steps: number, compiled: number, default: number,
 *   tuned: import("./insight-kernels.js").TunedKernel[]}, checks: boolean, text: string}} Explanation */

/** @param {Subject} subject @returns {Promise<Explanation>} */
export async function explain(subject) {
  const { pack, deviceInfo: info, float16, shapes } = subject;
  const tuned = tunedKernels(subject);
  const why = await whyHere(subject);
  const found = {
    device: { kind: info.kind, adapter: info.adapter, class: info.adapterClass,
      threads: info.threads, features: [...info.features], why },
    float16,
    fallbacks: await fallbacks(subject, why),
    memory: memoryOf(subject),
    kernels: { problems: pack.kernels.length, steps: pack.steps.length,
      compiled: shapes.kernels.compiled,
      default: pack.kernels.filter((_, j) => !shapes.tuned.has(j)).length, tuned },
    checks: pack.checks !== null,
  };
  return { ...found, text: textOf(found) };
}

/** @param {Subject} subject @returns {Promise<string>} */
async function whyHere({ deviceInfo: { kind, recovered, reason }, origin }) {
  if (recovered) return "the device before was lost";
  if (reason) return reason;
  const options = origin?.options ?? {};
  const names = deviceNames(options);
  if (options.gpuDevice) return "the page's own GPUDevice";
  if (names[0] === kind) return `the page asks for ${kind}`;
  const missing = kind === "wasm" ? await whyNoGpu() : null;
  if (names.includes("auto")) return missing ? `auto: ${missing}` : "auto: there is a hardware GPU";
  return `the page asks for ${names.join(", else ")}${missing ? `: ${missing}` : ""}`;
}

/** Why a page that would take a GPU runs on the CPU. @returns {Promise<string>} */
async function whyNoGpu() {
  const { gpu } = globalThis.navigator ?? {};
  if (!gpu) {
    return globalThis.isSecureContext === false
      ? "WebGPU needs https or localhost" : "this browser has no WebGPU";
  }
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (!adapter) return "the browser gives no WebGPU adapter (see about:gpu)";
  const { vendor, architecture, isFallbackAdapter } = adapter.info;
  const name = [vendor, architecture].filter(Boolean).join(" ") || "without a name";
  return isFallbackAdapter ? `the only GPU is software (${name}), slower than the CPU's own kernels`
    : `the GPU (${name}) wasn't taken`;
}

/** @param {Subject} subject @param {string} why @returns {Promise<Fallback[]>} */
async function fallbacks({ pack, deviceInfo: info, float16, origin }, why) {
  /** @type {Fallback[]} */
  const found = [];
  /** @param {Fallback["what"]} what @param {string} reason */
  const add = (what, reason) => found.push({ what, why: reason });
  const options = origin?.options ?? {};
  const wanted = deviceNames(options)[0];
  if (info.recovered) add("recovered", `devices lost until now: ${info.recovered}`);
  else if (info.kind === "wasm" && wanted !== "wasm") add("device", why);
  if (info.kind === "webgpu" && info.adapterClass === "cpu") {
    add("software", `${info.adapter} computes on the CPU; device: "wasm" is faster`);
  }
  if (info.note) add("threads", `${threadsOf(info.threads)}: ${info.note}`);
  if (info.kind === "wasm" && !info.features.includes("relaxed-simd")) {
    add("relaxed-simd", options.relaxedSimd === false ? "the page does without relaxed SIMD"
      : "this browser has no relaxed SIMD: products are rounded twice, and take longer");
  }
  if (float16 === "widened") {
    add("float16", "the model's float16 is float32 here, in twice the memory: "
      + (info.kind === "wasm" ? "CPUs have none" : "the adapter has no shader-f16"));
  }
  const stops = stopsIn(pack.flow);
  if (stops.length) {
    const kinds = [...new Set(stops)].map((kind) => `${stops.filter((s) => s === kind).length} ${kind}`);
    add("host-steps", `a run waits for the device in its middle, for data to decide: ${kinds.join(", ")}`);
  }
  if (options.cache === false) add("storage", "the page keeps no file in the browser's storage");
  else if (origin && await origin.files.cache === null) {
    add("storage", "the browser gives no storage: the next visit downloads the files again");
  }
  return found;
}

/** Where the host decides, in words. @param {import("./flow-read.js").Item[]} flow
 * @returns {string[]} */
function stopsIn(flow) {
  return flow.flatMap((item) => {
    if (item.kind === "host") return [item.op];
    if (item.kind === "if") return ["If", ...stopsIn(item.then), ...stopsIn(item.other)];
    if (item.kind !== "loop") return [];
    return [...(item.condition === null ? [] : ["Loop"]), ...stopsIn(item.body)];
  });
}

/** By the labels that buffers were allocated with. @param {Subject} subject @returns {Memory} */
function memoryOf({ pack, device, deviceInfo }) {
  const memory = { weights: 0, arena: 0, inputs: 0, outputs: 0, staging: 0, other: 0 };
  let total = 0;
  for (const { label, bytes } of device.held()) {
    memory[categoryOf(label, pack)] += bytes;
    total += bytes;
  }
  return { ...memory, total, limit: deviceInfo.limits.maxTotalSize ?? null };
}

/** @param {string} label @param {Subject["pack"]} pack
 * @returns {Exclude<keyof Memory, "total" | "limit">} */
function categoryOf(label, { tensors }) {
  if (/^(weights|panels|constants) /.test(label)) return "weights";
  if (/^(tensor )?arena/.test(label)) return "arena";
  if (label === "staging") return "staging";
  const [, index] = /^tensor (\d+)$/.exec(label) ?? [];
  const home = tensors[Number(index)]?.home;
  if (home === "constant") return "weights";
  return home === "input" ? "inputs" : home === "output" ? "outputs" : home ? "arena" : "other";
}

/** @param {number} count */
const threadsOf = (count) => (count === 1 ? "1 thread" : `${count} threads`);

/** @param {number} bytes */
const shown = (bytes) => (bytes < 2 ** 20 ? `${(bytes / 2 ** 10).toFixed(1)} KiB`
  : `${(bytes / 2 ** 20).toFixed(1)} MiB`);

/** @param {Omit<Explanation, "text">} found @returns {string} */
function textOf({ device, float16, fallbacks: lacks, memory, kernels, checks }) {
  const { limit, total, ...parts } = memory;
  const mode = float16 ? `, float16 ${float16}` : "";
  const sizes = Object.entries(parts).filter(([, bytes]) => bytes)
    .map(([what, bytes]) => `${what} ${shown(bytes)}`);
  const { tuned } = kernels;
  const sources = [...new Set(tuned.map(({ from }) => from))];
  return [
    `runs on ${device.kind}: ${device.adapter}${mode} (${device.why})`,
    ...lacks.map(({ what, why }) => `${what}: ${why}`),
    `memory: ${shown(total)}${limit ? ` of ${shown(limit)}` : ""}: ${sizes.join(", ")}`,
    `kernels: ${kernels.problems} for ${kernels.steps} steps, ${kernels.default} of them the pack's own`
      + (tuned.length ? `, ${tuned.length} tuned (${sources.join("; ")})` : ", none tuned"),
    `check vectors: ${checks ? "session.verify() runs them" : "none in this pack"}`,
  ].join("\n");
}
