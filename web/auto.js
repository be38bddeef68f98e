// `device: "auto"` where there is a hardware GPU: the pack is timed on the GPU and on the CPU, once, and
// runs where it is faster; the next visit knows. The first answer never waits for it.

import { bind } from "./bind.js";
import { FileCache } from "./cache.js";
import { openDevice } from "./devices.js";
import { evaluate } from "./dims.js";
import { DeviceError, DeviceLostError, messageOf } from "./errors.js";
import { exampleBindings } from "./example.js";
import { load, rehearsed } from "./load.js";
import { CODEGEN, deviceKey } from "./records.js";
import { Tensor, TYPES } from "./tensor.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./load.js").Loaded} Loaded */
/** @typedef {import("./bind.js").Feeds} Feeds */
/** @typedef {import("./recover.js").Origin} Origin */
/** Milliseconds of a run. @typedef {{webgpu: number, wasm: number}} Times */
/** What the session lets a comparison do: run a piece of work between two runs, say what it serves
 * with, move, and say why it stays. @typedef {{between: <T>(work: () => Promise<T>) => Promise<T>,
 *   serving: () => Pick<Loaded, "pack" | "shapes" | "device"> | null,
 *   move: (loaded: Loaded) => void, told: (reason: string | undefined) => void}} Session */

/** What a GPU is called that wasn't compared yet. */
export const UNKNOWN = "auto: a GPU, which is compared with the CPU after the first answer";

/** Why a pack stays on a GPU that the CPU has no room for. */
const REFUSED = "auto: the CPU can't run it";

/** Runs on each device: the first isn't counted, the others as far as the time goes. */
const RUNS = 7, MOST_MS = 2000;

/** The CPU has to be faster by so much: where they are equal, the page's thread and battery prefer a GPU. */
const LEAST_GAIN = 0.1;

/** The device that was faster, where that is known; else the GPU.
 * @param {Device} gpu @param {Pack} pack @param {import("./session.js").Options} options
 * @returns {Promise<Device>} */
export async function better(gpu, pack, options) {
  const times = await recall(await keyOf(gpu, pack, options), options);
  if (!times) {
    gpu.info.reason = UNKNOWN;
    return gpu;
  }
  if (times.wasm === Infinity) {
    gpu.info.reason = REFUSED;
    return gpu;
  }
  const cpu = cpuWins(times)
    ? await openDevice({ ...options, device: "wasm" }).catch(() => null) : null;
  const faster = cpu ?? gpu;
  if (cpu) gpu.close();
  faster.info.reason = told("before", times);
  return faster;
}

/** @param {Times} times */
const cpuWins = ({ webgpu, wasm }) => wasm < webgpu * (1 - LEAST_GAIN);

/** @param {string} when @param {Times} times */
const told = (when, { webgpu, wasm }) => (
  `auto: a run takes ${webgpu.toFixed(1)} ms on webgpu and ${wasm.toFixed(1)} ms on wasm, measured ${when}`);

/** What a comparison holds for: this pack, this GPU, this CPU as a page may use it, this webrt.
 * @param {Device} gpu @param {Pack} pack @param {import("./session.js").Options} options */
async function keyOf(gpu, pack, { threads, relaxedSimd = true }) {
  const { hardwareConcurrency: cores } = navigator;
  const cpu = [threads ?? cores, globalThis.crossOriginIsolated === true, relaxedSimd];
  return [CODEGEN, pack.sha256, await deviceKey(gpu.info), ...cpu].join(" ");
}

/** @param {import("./session.js").Options} options */
const memory = ({ cache = true }) => (cache ? FileCache.open() : null);

/** @param {string} key @param {import("./session.js").Options} options @returns {Promise<Times | null>} */
async function recall(key, options) {
  try {
    const data = await (await memory(options))?.note(key);
    const { webgpu, wasm } = JSON.parse(new TextDecoder().decode(data ?? undefined));
    if (wasm === null) return { webgpu: 0, wasm: Infinity }; // the CPU can't run it
    return webgpu > 0 && wasm > 0 ? { webgpu: Number(webgpu), wasm: Number(wasm) } : null;
  } catch {
    return null;
  }
}

/** A copy of a run's feeds, to run on again; null where they lie on the GPU.
 * @param {Feeds} feeds @returns {Feeds | null} */
function copyOf(feeds) {
  if (Object.values(feeds).some(({ location = "cpu" }) => location !== "cpu")) return null;
  return Object.fromEntries(Object.entries(feeds).map(([name, { type, data, dims }]) => (
    [name, new Tensor(/** @type {Tensor["type"]} */ (type), data.slice(), dims)])));
}

/** Feeds at sizes that a page names, or at some that will do: zeros, or the least values there are.
 * @param {Pack} pack @param {Record<string, number>} [dims] @returns {Feeds} */
function exampleFeeds(pack, dims) {
  const bindings = exampleBindings(pack, dims);
  return Object.fromEntries(pack.inputs.map(({ name, type, shape, low }) => {
    const sizes = shape.map((dim) => evaluate(dim, bindings));
    const data = new TYPES[type].array(sizes.reduce((a, b) => a * b, 1));
    const least = Math.max(low ?? 0, 0);
    data.fill(type === "int64" || type === "uint64" ? BigInt(least) : least);
    return [name, new Tensor(type, data, sizes)];
  }));
}

/** A session's pack on its GPU and on the CPU. */
export class Comparison {
  /** @param {Origin} origin @param {Session} session */
  constructor(origin, session) {
    this.origin = origin;
    this.session = session;
    this.files = origin.files.again();
    /** @type {Promise<void> | null} */
    this.running = null;
    this.over = false;
    /** The times, or null where there was nothing to compare. @type {Promise<Times | null>} */
    this.done = new Promise((resolve) => { this.tell = resolve; });
    if (origin.tuning) origin.tuning.held = true;
  }

  /** A run is asked for: what to do once it is over, if anything. @param {Feeds} feeds
   * @returns {(() => void) | null} */
  after(feeds) {
    const copy = this.running || this.over ? null : copyOf(feeds);
    return copy && (() => { this.running ??= this.#run(copy); });
  }

  /** Compare at the sizes that the page tunes for. */
  async now() {
    const { pack, options } = this.origin;
    this.running ??= this.#run(exampleFeeds(pack, options.dims));
    await this.running;
  }

  /** The session is released. */
  async stop() {
    this.over = true;
    this.files.stop();
    await this.running;
    this.tell?.(null);
  }

  /** @param {Feeds} feeds */
  async #run(feeds) {
    const { session, origin } = this;
    const gpu = session.serving()?.device;
    const times = gpu ? await this.#compare(gpu, feeds).catch(() => null) : null;
    this.files.stop();
    session.told(gpu?.info.reason);
    if (!this.over) origin.tuning?.release(feeds);
    this.tell?.(times);
  }

  /** @param {Device} gpu @param {Feeds} feeds @returns {Promise<Times | null>} */
  async #compare(gpu, feeds) {
    const { session, files, origin: { pack, tuning, options } } = this;
    if (!await files.rereadable()) return null;
    const open = async () => openDevice({ ...options, device: "wasm" });
    let rival = await loaded((opening) => load(pack, files, opening, null), open());
    const keep = async (/** @type {Times} */ times) => (await memory(options))?.keepNote(
      await keyOf(gpu, pack, options), new TextEncoder().encode(JSON.stringify(times)));
    if (rival instanceof Error) {
      gpu.info.reason = `${REFUSED}: ${rival.message}`;
      if (rival instanceof DeviceError && !(rival instanceof DeviceLostError)) {
        await keep({ webgpu: 0, wasm: Infinity });
      }
      return null;
    }
    let moved = false;
    try {
      await rehearsed(rival);
      const times = await timed(session, rival, feeds);
      if (!times) return null;
      const reason = told("once", times);
      gpu.info.reason = reason;
      await keep(times);
      if (!cpuWins(times)) return times;
      if (tuning) { // what is known of the CPU's kernels serves at once
        rival.device.close();
        rival = await load(pack, files, open(), tuning);
      }
      const winner = rival;
      winner.device.info.reason = reason;
      await session.between(async () => {
        if (!session.serving()) return;
        session.move(winner);
        moved = true;
      });
      return times;
    } finally {
      if (!moved) rival.device.close();
    }
  }
}

/** A pack on a device, or why it can't be. @param {(opening: Promise<Device>) => Promise<Loaded>} loading
 * @param {Promise<Device>} opening @returns {Promise<Loaded | Error>} */
const loaded = (loading, opening) => loading(opening).catch((error) => {
  opening.then((device) => device.close(), () => {});
  return error instanceof Error ? error : new Error(messageOf(error));
});

/** Runs on both, in turns, each between two runs of the session. @param {Session} session
 * @param {Loaded} rival @param {Feeds} feeds @returns {Promise<Times | null>} */
async function timed(session, rival, feeds) {
  /** @type {[number[], number[]]} */
  const times = [[], []];
  for (let j = 0, spent = 0; j < 2 || (j < RUNS && spent < MOST_MS); j++) {
    const took = await session.between(async () => {
      const serving = session.serving();
      if (!serving || serving.device.info.kind !== "webgpu") return null;
      return [await once(serving, feeds), await once(rival, feeds)];
    });
    if (!took) return null;
    took.forEach((ms, which) => j && times[which].push(ms));
    spent += took[0] + took[1];
  }
  const [webgpu, wasm] = times.map((ms) => ms.sort((a, b) => a - b)[ms.length >> 1]);
  return webgpu > 0 && wasm > 0 ? { webgpu, wasm } : null;
}

/** @param {Pick<Loaded, "pack" | "shapes">} loaded @param {Feeds} feeds */
async function once({ pack, shapes }, feeds) {
  const start = performance.now();
  const { bindings, data } = bind(pack, feeds);
  await shapes.run(bindings, /** @type {Uint8Array<ArrayBuffer>[]} */ (data), pack.outputs);
  return performance.now() - start;
}
