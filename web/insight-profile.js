// Where a run's time goes: every kernel timed on its own, on what the steps before it wrote.

import { bind } from "./bind.js";
import { evaluate } from "./dims.js";
import { ShapeError, UsageError } from "./errors.js";
import { checkDims, exampleBindings } from "./example.js";
import { isTuned, namedDims, runOnce, walk } from "./insight-steps.js";
import { Timer, median } from "./insight-timer.js";
import { TYPES, Tensor } from "./tensor.js";
import { scheduleOf } from "./insight-kernels.js";

/** @typedef {import("./insight-steps.js").Subject} Subject */
/** @typedef {import("./insight-steps.js").Turn} Turn */
/** `dims` are by the model's names; `feeds` are for models that take only some inputs. Each kernel is
 * timed `runs` times. @typedef {{runs?: number, dims?: Record<string, number>,
 *   feeds?: import("./bind.js").Feeds}} ProfileOptions */
/** One kernel; `ms`, `operations` and `bytes` are those of one of `count` dispatches, `share` is that
 * of all of them. `operations` counts floating-point operations as one reads them off the problem,
 * `bytes` every element that is read or written once; null where the pack doesn't tell.
 * @typedef {{name: string, family: string, node: string, problem: string,
 *   schedule: Record<string, unknown> | null, tuned: boolean, count: number, ms: number, share: number,
 *   operations: number | null, bytes: number | null, gflops: number | null,
 *   gbs: number | null}} KernelTime */
/** Those that take longest first. `steps` are a run's, in order, with their kernels' places in
 * `kernels`; `run_ms` is the median of whole runs, with what the page adds; `kernels_ms` the sum of
 * the kernels'. `clock` is `timestamps` where the GPU told the times, `replays` where they were taken
 * from an empty queue to an empty queue.
 * @typedef {{adapter: string, kind: "webgpu" | "wasm", clock: import("./insight-timer.js").ClockName,
 *   dims: Record<string, number>, runs: number, run_ms: number, kernels_ms: number,
 *   kernels: KernelTime[], steps: {kernel: number, node: string}[]}} ProfileData */
/** `toChromeTrace` gives what chrome://tracing and Perfetto load, as JSON.
 * @typedef {ProfileData & {toChromeTrace: () => Trace}} Profile */
/** @typedef {{traceEvents: Record<string, unknown>[], displayTimeUnit: "ms",
 *   otherData: Record<string, unknown>}} Trace */

const RUNS = 5;
/** Steps that a profile lists: a loop's turns may be many more. */
const MAX_STEPS = 20_000;

/** @param {Subject} subject @param {ProfileOptions} [options] @returns {Promise<ProfileData>} */
export async function profile(subject, { runs = RUNS, dims, feeds } = {}) {
  if (!(Number.isInteger(runs) && runs >= 1)) {
    throw new UsageError(`runs: expected a whole number from 1 on, found ${runs}`);
  }
  const { pack, device, shapes, deviceInfo } = subject;
  const { bindings, data } = inputsOf(pack, feeds, dims);
  const whole = [];
  for (let j = 0; j <= runs; j++) {
    const start = performance.now();
    await shapes.run(bindings, data, pack.outputs);
    whole.push(performance.now() - start);
  }
  const timer = new Timer(device);
  /** @type {Map<object, KernelTime>} by what serves */
  const found = new Map();
  /** @type {{time: KernelTime, node: string}[]} */
  const order = [];
  try {
    await walk(shapes, bindings, data, async (turn) => {
      const { problem, node } = pack.steps[turn.step];
      const kernel = shapes.kernel(problem, turn.bindings);
      let time = found.get(kernel);
      if (time) {
        time.count += 1;
        runOnce(device, turn);
      } else {
        time = describe(subject, turn, await timer.dispatch(turn, runs));
        found.set(kernel, time);
      }
      if (order.length < MAX_STEPS) order.push({ time, node });
    });
    await device.readMany([]);
  } finally {
    timer.close();
  }
  const kernels = [...found.values()].sort((a, b) => b.count * b.ms - a.count * a.ms);
  const total = kernels.reduce((sum, k) => sum + k.count * k.ms, 0);
  for (const kernel of kernels) kernel.share = (kernel.count * kernel.ms) / total;
  const steps = order.map(({ time, node }) => ({ kernel: kernels.indexOf(time), node }));
  return {
    adapter: deviceInfo.adapter, kind: deviceInfo.kind, clock: timer.clock,
    dims: namedDims(pack, bindings), runs, run_ms: median(whole.slice(1)), kernels_ms: total,
    kernels, steps,
  };
}

/** @param {Subject} subject @param {Turn} turn @param {number} ms @returns {KernelTime} */
function describe(subject, { step, bindings }, ms) {
  const { pack, shapes } = subject;
  const { problem, node } = pack.steps[step];
  const { name, cost } = pack.kernels[problem];
  const text = pack.problems[problem];
  const operations = cost && evaluate(cost.operations, bindings);
  const bytes = cost && evaluate(cost.bytes, bindings);
  return {
    name, family: /^\w+/.exec(text)?.[0] ?? "", node, problem: text,
    schedule: scheduleOf(subject, problem, bindings), tuned: isTuned(shapes, problem, bindings),
    count: 1, ms, share: 0, operations, bytes,
    gflops: operations === null ? null : operations / ms / 1e6,
    gbs: bytes === null ? null : bytes / ms / 1e6,
  };
}

/** @param {Subject["pack"]} pack @param {ProfileOptions["feeds"]} feeds
 * @param {ProfileOptions["dims"]} dims */
function inputsOf(pack, feeds, dims) {
  if (feeds && dims) throw new UsageError("profile takes dims or feeds: feeds have dims of their own");
  checkDims(pack, feeds ? {} : dims);
  const { bindings, data } = bind(pack, feeds ?? randomFeeds(pack, exampleBindings(pack, dims)));
  if (data.some((bytes) => bytes instanceof Tensor)) {
    throw new UsageError("profile takes feeds in the page's memory, not in GPU buffers");
  }
  return { bindings, data: /** @type {Uint8Array<ArrayBuffer>[]} */ (data) };
}

/** Valid inputs, drawn as `webrt check` draws them: within their bounds, masks with a tail of zeros.
 * @param {Subject["pack"]} pack @param {import("./dims.js").Bindings} bindings */
export function randomFeeds({ inputs }, bindings) {
  const random = generator(0);
  return Object.fromEntries(inputs.map(({ name, type, shape, low, high }) => {
    let dims;
    try {
      dims = shape.map((dim) => evaluate(dim, bindings));
    } catch {
      throw new ShapeError(`input '${name}' has no shape at these dims; hand feeds over`);
    }
    const size = dims.reduce((a, b) => a * b, 1);
    const { low: least, high: most } = TYPES[type];
    const bottom = high !== null && high < 0 ? low ?? high : Math.max(low ?? 0, 0, least);
    const top = Math.min(high ?? 99, most, /type/i.test(name) ? bottom + 1 : Infinity);
    const row = dims.at(-1) ?? 1;
    const data = Array.from({ length: size }, (_, j) => {
      if (/mask/i.test(name)) return Number(j % row < (row + 1) / 2);
      if (type === "bool") return random() < 0.5;
      if (!type.startsWith("float")) return bottom + Math.floor(random() * (top - bottom + 1));
      return 1.7 * (random() + random() + random() + random() - 2);
    });
    return [name, new Tensor(type, data, dims)];
  }));
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). @param {number} seed */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A profile in the trace event format: a run's steps laid end to end, each as long as its kernel
 * takes. @param {ProfileData} profile @returns {Trace} */
export function toChromeTrace({ kernels, steps, ...rest }) {
  const { adapter, kind, clock, dims, run_ms: runMs, kernels_ms: kernelsMs } = rest;
  /** @param {string} what @param {string} name */
  const named = (what, name) => ({ name: what, ph: "M", pid: 1, tid: 1, args: { name } });
  let ts = 0;
  const events = steps.map(({ kernel, node }) => {
    const { name, family, ms, problem, schedule, tuned, operations, bytes, gflops, gbs } = kernels[kernel];
    const event = { name, cat: family, ph: "X", pid: 1, tid: 1, ts, dur: 1000 * ms,
      args: { node, problem, schedule, tuned, operations, bytes, gflops, gbs } };
    ts += 1000 * ms;
    return event;
  });
  return {
    traceEvents: [named("process_name", "webrt"), named("thread_name", adapter), ...events],
    displayTimeUnit: "ms",
    otherData: { adapter, kind, clock, dims, run_ms: runMs, kernels_ms: kernelsMs },
  };
}

/** A profile with its trace at hand; as data, it is what it was.
 * @param {ProfileData} profile @returns {Profile} */
export function withTrace(profile) {
  return Object.defineProperty(/** @type {Profile} */ (profile), "toChromeTrace", {
    value: () => toChromeTrace(profile), configurable: true });
}
