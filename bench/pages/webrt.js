// webrt's side of the comparison; bench/*.py call `bench`.

import { Shapes } from "../../web/bound.js";
import { Device } from "../../web/device.js";
import { Files } from "../../web/fetch.js";
import { compileKernels } from "../../web/kernels.js";
import { Store, deviceKey } from "../../web/records.js";
import { Weights } from "../../web/weights.js";
import { InferenceSession, Tensor } from "../../web/webrt.js";
import { bertFeeds, received, timed } from "./feeds.js";

/** @type {InferenceSession} */
let session;

/** @param {string} url @param {"webgpu" | "wasm"} [device] @param {number} [threads] */
async function load(url, device = "webgpu", threads = 1) {
  const { ms, value } = await timed(() => InferenceSession.create(url, { device, threads }));
  session = value;
  return { ms, adapter: value.deviceInfo.adapter };
}

/** @param {number} batch @param {number} length */
async function run(batch, length) {
  const feeds = Object.fromEntries(Object.entries(bertFeeds(batch, length))
    .filter(([name]) => session.inputNames.includes(name))
    .map(([name, data]) => [name, new Tensor("int64", data, [batch, length])]));
  return answer(feeds);
}

/** @param {import("./feeds.js").Sent[]} sent */
const runWith = (sent) => answer(received(sent, (type, data, dims) => new Tensor(type, data, dims)));

/** @param {Record<string, Tensor>} feeds */
async function answer(feeds) {
  const { ms, value } = await timed(() => session.run(feeds));
  const first = value[session.outputNames[0]];
  return { ms, dims: [...first.dims], values: Array.from(first.data, Number).slice(0, 256) };
}

/**
 * What a replay costs the page: encoding and submitting, without waiting for the GPU. The shape is
 * the smallest one, and the queue is empty before each measurement: no back pressure is in it.
 * `first` is a replay after a pause (it wakes the GPU process), `microseconds` one of several.
 * @param {string} url @param {number} repeats
 */
async function hostCost(url, repeats) {
  const files = new Files(new URL(`${url}/`, location.href));
  const pack = await files.manifest();
  const device = await Device.open();
  const kernels = compileKernels(pack, device, null, () => {});
  const weights = new Weights(pack, device);
  await weights.load(files, kernels);
  const shapes = new Shapes(pack, device, await kernels, weights);
  const { recording } = shapes.get(Object.fromEntries(pack.symbols.map((s) => [s.id, 1])));
  const dispatches = recording.steps.length;
  /** @param {number} replays */
  const perDispatch = async (replays) => {
    const times = [];
    for (let j = 0; j < repeats; j++) {
      await device.gpu.queue.onSubmittedWorkDone();
      const start = performance.now();
      for (let k = 0; k < replays; k++) device.replay(recording);
      times.push(performance.now() - start);
      device.scopes = []; // nothing is read here
    }
    return (times.sort((a, b) => a - b)[repeats >> 1] * 1e3) / (replays * dispatches);
  };
  const [first, microseconds] = [await perDispatch(1), await perDispatch(8)];
  device.close();
  return { dispatches, submissions: recording.ends?.length, first, microseconds };
}

/**
 * Load, run once, and let the page tune that shape: returns when it has, with what was tried.
 * @param {string} url @param {"webgpu" | "wasm"} device @param {number} threads
 * @param {number} batch @param {number} length
 * @param {import("../../web/tune-options.js").TuneOptions} options
 */
async function tune(url, device, threads, batch, length, options) {
  session = await InferenceSession.create(url, { device, threads, tune: "background", ...options });
  const first = await run(batch, length);
  const outcome = await session.tuned;
  const store = await Store.open();
  const records = await store?.load(await deviceKey(session.deviceInfo)) ?? [];
  const problems = records.map(({ problem, default: before, trials }) => {
    const timed = trials.filter((t) => t.ms !== undefined).sort((a, b) => (a.ms ?? 0) - (b.ms ?? 0));
    const { family: _, ...knobs } = timed[0].schedule;
    return { problem, default: before, best: Math.min(before, timed[0].ms ?? before),
      trials: trials.length, schedule: Object.values(knobs).join(" ") };
  });
  return { first: first.ms, outcome, problems };
}

Object.assign(globalThis, { bench: { load, run, runWith, tune, hostCost } });
