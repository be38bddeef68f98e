// onnxruntime-web's side of the comparison; bench/browser.py calls `bench`.

import { bertFeeds, received, timed } from "./feeds.js";

/** @type {any} */
let ort;
/** @type {any} */
let session;

/** @param {string} url of the ONNX file @param {"webgpu" | "wasm"} [provider]
 * @param {number} [threads] */
async function load(url, provider = "webgpu", threads = 1) {
  // The package is not part of this repository, so it has no types here.
  ort = await import(`/ort/ort.${provider}.min.mjs`);
  ort.env.wasm.wasmPaths = "/ort/";
  ort.env.wasm.numThreads = threads;
  const options = { executionProviders: [provider] };
  const { ms, value } = await timed(() => ort.InferenceSession.create(url, options));
  session = value;
  return { ms, version: ort.env.versions.web };
}

/** @param {number} batch @param {number} length */
async function run(batch, length) {
  const feeds = Object.fromEntries(Object.entries(bertFeeds(batch, length))
    .filter(([name]) => session.inputNames.includes(name))
    .map(([name, data]) => [name, new ort.Tensor("int64", data, [batch, length])]));
  return answer(feeds);
}

/** @param {import("./feeds.js").Sent[]} sent */
const runWith = (sent) => answer(received(sent, (type, data, dims) => new ort.Tensor(type, data, dims)));

/** @param {Record<string, any>} feeds */
async function answer(feeds) {
  const { ms, value } = await timed(async () => {
    const outputs = await session.run(feeds);
    await Promise.all(Object.values(outputs).map((/** @type {any} */ tensor) => tensor.getData()));
    return outputs;
  });
  const first = value[session.outputNames[0]];
  return { ms, dims: [...first.dims], values: Array.from(await first.getData(), Number).slice(0, 256) };
}

Object.assign(globalThis, { bench: { load, run, runWith } });
