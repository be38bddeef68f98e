// Performs one job of a test in a page and reports its result to the test's server.

import * as webrt from "/web/webrt.js";

/** What was compiled in this page, by anyone. */
const counts = { pipelines: 0, modules: 0 };
/** What was said by console.info. */
const lines = [];
const { info } = console;
console.info = (...args) => {
  lines.push(args.join(" "));
  info.apply(console, args);
};
/** The page's GPU devices, in the order in which they were had. */
const devices = [];

if (globalThis.GPUDevice) {
  const { prototype } = GPUDevice;
  for (const [method, count] of [["createComputePipelineAsync", "pipelines"],
    ["createComputePipeline", "pipelines"], ["createShaderModule", "modules"]]) {
    const original = prototype[method];
    prototype[method] = function (...args) {
      counts[count] += 1;
      return original.apply(this, args);
    };
  }
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await request.apply(this, args);
    devices.push(device);
    return device;
  };
}

const ARRAYS = {
  float32: Float32Array, float16: globalThis.Float16Array ?? Uint16Array, float64: Float64Array,
  int64: BigInt64Array,
  int32: Int32Array, int16: Int16Array, int8: Int8Array, uint64: BigUint64Array,
  uint32: Uint32Array, uint16: Uint16Array, uint8: Uint8Array, bool: Uint8Array,
};

/** {type, dims, base64} to a Tensor, and back. */
const decode = ({ type, dims, base64 }) =>
  new webrt.Tensor(type, new ARRAYS[type](Uint8Array.fromBase64(base64).buffer), dims);
const encode = ({ type, dims, data }) => (
  { type, dims, base64: new Uint8Array(data.buffer, data.byteOffset, data.byteLength).toBase64() });
const mapValues = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));

const tools = {
  ...webrt, counts, devices, lines,
  decodeAll: (feeds) => mapValues(feeds, decode),
  encodeAll: (outputs) => mapValues(outputs, encode),
  /** The {name, code, message} of what a promise rejects with. */
  rejection: (promise) => promise.then(
    () => ({ name: "nothing", code: "", message: "it resolved" }),
    ({ name, code, message }) => ({ name, code, message })),
};

/** What failed and nobody heard of: the player lets nothing fall. */
const unheard = [];
globalThis.addEventListener?.("unhandledrejection", ({ reason }) => unheard.push(reason));

export async function perform(name, job, args) {
  let report;
  try {
    report = { value: (await job(tools, args)) ?? null };
    await new Promise((resolve) => { setTimeout(resolve); }); // browsers tell of them after tasks
    if (unheard.length) throw unheard[0];
  } catch (error) {
    const { name: kind, code, message, stack } = error;
    report = { error: { name: kind ?? "Error", code, message: message ?? String(error), stack } };
  }
  await fetch(`/results/${name}`, { method: "POST", body: JSON.stringify(report) });
}
