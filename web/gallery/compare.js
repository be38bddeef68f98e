// The same models and inputs by onnxruntime-web, in the same page and in turns: from the site's own
// folder, and only when the visitor asks for it.

import { element, find, median, showMs } from "./elements.js";

/** @typedef {import("./page.js").Gallery} Gallery */
/** What a comparison needs of onnxruntime-web.
 * @typedef {{env: {wasm: {numThreads?: number, wasmPaths?: string}},
 *   Tensor: new (type: string, data: unknown, dims: readonly number[]) => unknown,
 *   InferenceSession: {create: (url: string, options: object) =>
 *     Promise<{run: (feeds: object) => Promise<object>, release: () => Promise<void>}>}}} Ort */

/** Runs of each side in a comparison, after one that warms up. */
const ROUNDS = 5;

/** The last inputs of every model, on both sides in turns. @param {Gallery} gallery */
export async function compare(gallery) {
  const [{ deviceInfo }] = gallery.sessions.values();
  const gpu = deviceInfo.kind === "webgpu";
  const threads = deviceInfo.threads ?? 1;
  const text = find("#comparison");
  text.textContent = "Loading onnxruntime-web …";
  const where = new URL(`ort/ort.${gpu ? "webgpu" : "wasm"}.min.mjs`, location.href).href;
  /** @type {Ort} */
  const ort = await import(where);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = new URL("ort/", location.href).href;
  find("#compared tbody").replaceChildren();
  for (const [name, feeds] of gallery.last) {
    text.textContent = `Comparing: ${name} …`;
    const [ours, theirs] = await timesOf(gallery, ort, name, feeds, gpu);
    const row = element("tr", {}, Object.assign(element("th", {}, name), { scope: "row" }),
      element("td", { className: ours <= theirs ? "best" : "" }, showMs(ours)),
      element("td", { className: theirs < ours ? "best" : "" }, showMs(theirs)),
      element("td", {}, `${(theirs / ours).toFixed(1)} ×`));
    find("#compared tbody").append(row);
    /** @type {HTMLElement} */ (find("#compared")).hidden = false;
  }
  text.textContent = `Medians of ${ROUNDS} runs of your last input, in turns, both on ${
    gpu ? "WebGPU" : `${threads} ${threads === 1 ? "thread" : "threads"} of WebAssembly`}.`;
}

/** Median milliseconds of both. @param {Gallery} gallery @param {Ort} ort @param {string} name
 * @param {import("./page.js").Tensors} feeds @param {boolean} gpu @returns {Promise<[number, number]>} */
async function timesOf(gallery, ort, name, feeds, gpu) {
  const options = { executionProviders: [gpu ? "webgpu" : "wasm"] };
  const theirs = await ort.InferenceSession.create(`models/${name}.onnx`, options);
  const same = Object.fromEntries(Object.entries(feeds).map(([key, { type, data, dims }]) => (
    [key, new ort.Tensor(type, data.slice(), dims)])));
  /** @type {[number[], number[]]} */
  const times = [[], []];
  const sides = [() => gallery.session(name).run(feeds), () => theirs.run(same)];
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [side, run] of sides.entries()) {
      const begun = performance.now();
      await run();
      if (round) times[side].push(performance.now() - begun);
    }
  }
  await theirs.release();
  return [median(times[0]), median(times[1])];
}
