// Tuning in a page: what is known of this device serves at once, the rest is tried in a worker while
// the session answers, and what was found is swapped in between two runs.

import { bind } from "./bind.js";
import { DeviceLostError, UsageError, messageOf } from "./errors.js";
import { checkDims, exampleBindings } from "./example.js";
import { checkFile } from "./modules.js";
import {
  CODEGEN, Records, Store, bestOf, deviceKey, fetchRecords, idOf, postRecords, problemKey, readRecords,
  symbolsOf,
} from "./records.js";
import { add, compileTuned, isRefusal, remove, want, warm } from "./tune-swap.js";
import { Trials, Turns } from "./tune-trials.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./bound.js").Shapes} Shapes */
/** @typedef {import("./weights.js").Weights} Weights */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** @typedef {import("./records.js").TuneRecord} TuneRecord */
/** @typedef {import("./records.js").Outcome} Outcome */
/** @typedef {import("./tune-swap.js").Tuned} Tuned */
/** @typedef {import("./tune-trials.js").Heard} Heard */
/** @typedef {import("./tune-options.js").TuneOptions} TuneOptions */
/** @typedef {import("./tune-options.js").TuneProgress} TuneProgress */
/** What the session lets the tuner do. @typedef {{shapes: Pick<Shapes, "install">,
 *   between: (work: () => void) => Promise<void>, swapped: () => void}} Session */

const BUDGET_SECONDS = 30;

/** Milliseconds from a run to the first trial: is there another one coming? */
const PAUSE_MS = 1000, LONGEST_PAUSE_MS = 3000;

/** Milliseconds after which a trial that says nothing is given up; more where kernels take longer. */
const SILENCE_MS = 15_000;

/** A GPU that doesn't answer for so long after a trial was given up never will. */
const ANSWER_MS = 5000;

/** A tuned kernel must be faster by this share than the one that serves: less is noise. */
const LEAST_GAIN = 0.02;

/** The tuning of one session. */
export class Tuning {
  /** @param {Pack} pack @param {import("./fetch.js").Files} files
   * @param {TuneOptions & import("./devices.js").DeviceOptions & {signal?: AbortSignal}} options
   * @param {(progress: TuneProgress) => void} report */
  constructor(pack, files, options, report) {
    checkOptions(pack, options);
    this.pack = pack;
    this.files = files;
    this.options = options;
    this.report = report;
    this.turns = new Turns();
    this.known = new Records();
    /** @type {Set<string>} ids of the records that a server gave */
    this.shipped = new Set();
    /** @type {Store | null} */
    this.store = null;
    this.device = "";
    /** @type {Map<string, number[]>} */
    this.problems = new Map();
    /** @type {Map<string, Tuned & {ms: number}>} what serves, by problem and dims */
    this.serving = new Map();
    /** @type {Map<number, TuneRecord>} what was found and isn't served yet, by problem */
    this.found = new Map();
    /** @type {Promise<unknown>} */
    this.swaps = Promise.resolve();
    /** @type {Trials | null} */
    this.trials = null;
    this.counts = { trials: 0, rejected: 0, begun: 0 };
    /** @type {Bindings} */
    this.dims = {};
    /** @type {"idle" | "waiting" | "begun" | "over"} */
    this.state = "idle";
    this.asked = 0;
    /** @type {number | undefined} when the first trial could begin */
    this.opened = undefined;
    /** Whether tuning in the background waits: the session may move to another device (auto.js). */
    this.held = false;
    /** Whether the GPU stopped answering. */
    this.gpuGone = false;
    /** Settles when tuning has ended. @type {Promise<Outcome | null>} */
    this.done = new Promise((resolve) => { this.end = resolve; });
    const stop = () => this.stop();
    options.signal?.addEventListener("abort", stop, { once: true });
    this.done.then(() => options.signal?.removeEventListener("abort", stop)); // it may outlive us
  }

  /**
   * Find what is known of `device` and compile it; before the weights are loaded, so that they are
   * laid out for it at once. What can't be used is reported and left alone.
   * @param {Device} device @param {Weights} weights
   */
  async serveKnown(device, weights) {
    const { options } = this;
    const { pack } = weights; // as this device runs it: widened where it has no float16
    this.pack = pack;
    this.gpu = device;
    this.weights = weights;
    this.serving.clear();
    this.device = await deviceKey(device.info);
    this.problems = new Map();
    for (const [j, text] of pack.problems.entries()) {
      const key = await problemKey(text);
      this.problems.set(key, [...(this.problems.get(key) ?? []), j]);
    }
    await this.#load(options.records, options.keepRecords !== false);
    const ours = [...this.known.byId.values()].filter((record) => this.#isOurs(record));
    const serve = async (/** @type {TuneRecord} */ record) => {
      for (const problem of this.problems.get(record.problem) ?? []) {
        await this.#compile(problem, record, (needs) => want(weights, needs));
      }
    };
    if (device.info.kind === "webgpu") await Promise.all(ours.map(serve));
    else for (const record of ours) await serve(record); // its workers load one module at a time
  }

  /** @param {string | URL | undefined} url @param {boolean} keep */
  async #load(url, keep) {
    if (keep) this.store ??= await Store.open();
    const own = await this.store?.load(this.device).catch(() => []);
    for (const record of own ?? []) this.known.add(record);
    const { records: shipped } = this.pack;
    if (url === undefined && !shipped) return;
    try {
      const given = url !== undefined
        ? await fetchRecords(absolute(url), this.device, this.files.signal)
        : await this.#shipped(/** @type {import("./modules.js").File} */ (shipped));
      for (const record of given) {
        if (this.#isOurs(record)) this.shipped.add(idOf(record));
        if (!this.known.get(record)) this.known.add(record);
      }
    } catch (error) {
      this.#say("failed", { reason: messageOf(error) });
    }
  }

  /** What the pack brings along. @param {import("./modules.js").File} part */
  async #shipped(part) {
    const data = await this.files.file(part, async (found, name) => {
      await checkFile(part, found, name);
    });
    return readRecords(JSON.parse(new TextDecoder().decode(data)), part.file);
  }

  /** @param {TuneRecord} record */
  #isOurs(record) {
    return record.device === this.device && record.codegen === CODEGEN
      && this.problems.has(record.problem);
  }

  /** A record's best kernel, compiled, where it has its code and is faster than what serves; `provide`
   * sees to what it needs.
   * @param {number} problem @param {TuneRecord} record
   * @param {(needs: Tuned["needs"]) => unknown} provide @returns {Promise<Tuned | null>} */
  async #compile(problem, record, provide) {
    const best = bestOf(record);
    const place = placeOf(problem, record.dims);
    const limit = (this.serving.get(place)?.ms ?? Infinity) * (1 - LEAST_GAIN);
    if (!best?.code || !this.gpu || Number(best.ms) >= limit) return null;
    try {
      const tuned = await compileTuned(this.pack, this.gpu, problem, record.dims, best.code);
      await provide(tuned.needs);
      this.serving.set(place, { ...tuned, ms: Number(best.ms) });
      return tuned;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#reject(problem, messageOf(error));
      return null;
    }
  }

  /** The record of the kernel that serves a problem at these dims, and whose it is.
   * @param {number} problem @param {Bindings} dims @returns {{best: import("./records.js").Trial | null,
   *   default: number, from: string} | null} */
  servedBy(problem, dims) {
    for (const record of this.known.byId.values()) {
      const id = idOf(record);
      if (!this.#isOurs(record) || !this.problems.get(record.problem)?.includes(problem)
        || idOf({ ...record, dims }) !== id) continue;
      const { records } = this.options;
      const given = records === undefined ? "the pack" : `${records}`;
      const from = this.shipped.has(id) ? given : "tuned in this browser";
      return { best: bestOf(record), default: record.default, from };
    }
    return null;
  }

  /** Bring what is known to its speed. */
  async warm() {
    const all = [...this.serving.values()];
    const dims = Object.assign(exampleBindings(this.pack), ...all.map((t) => t.dims));
    if (this.gpu && all.length) await warm(this.pack, this.gpu, all, dims).catch(() => {});
  }

  /** The session is there: what is known serves it, and tuning may begin. @param {Session} session */
  attach(session) {
    this.session = session;
    for (const { problem, dims, kernel } of this.serving.values()) {
      session.shapes.install(problem, dims, kernel);
      session.swapped();
    }
    const { tune = "off", dims } = this.options;
    if (tune === "off") this.#over(null);
    else if (tune === "now" && this.state === "idle") this.#begin(exampleBindings(this.pack, dims));
  }

  /** Whether trials have begun: they may take the page's device with them. */
  tried() {
    return this.counts.begun > 0;
  }

  /** A run is asked for. */
  enter() {
    this.turns.enter();
  }

  /** A run is over; tuning in the background begins once none follows. @param {Bindings} bindings */
  leave(bindings) {
    this.turns.leave();
    const { tune, dims, _trials } = this.options;
    if (this.held || tune !== "background" || !["idle", "waiting"].includes(this.state)) return;
    if (this.state === "idle") this.asked = performance.now();
    this.state = "waiting";
    clearTimeout(this.timer);
    const pause = Math.min(_trials?.pause ?? PAUSE_MS,
      Math.max(0, this.asked + LONGEST_PAUSE_MS - performance.now()));
    const wanted = dims ? exampleBindings(this.pack, dims) : bindings;
    this.timer = setTimeout(() => this.#begin(wanted), pause);
  }

  /** Tuning needn't wait any more: the session stays on its device, where it ran on `feeds`.
   * @param {import("./bind.js").Feeds} feeds */
  release(feeds) {
    this.held = false;
    if (!this.session) return;
    this.enter();
    this.leave(bind(this.pack, feeds).bindings);
  }

  /** @param {Bindings} bindings */
  async #begin(bindings) {
    this.state = "begun";
    this.dims = bindings;
    try {
      await locked(`webrt ${this.device}`, this.files.signal, () => this.#tune(bindings));
    } catch (error) {
      this.#say("failed", { reason: messageOf(error) });
      this.#over(null);
    }
  }

  /** @param {Bindings} bindings */
  async #tune(bindings) {
    const { pack, options } = this;
    const values = pack.symbols.map((s) => bindings[s.id]);
    const id = [this.device, CODEGEN, pack.sha256, values].join(" ");
    const before = await this.store?.outcome(id).catch(() => null);
    if (this.state !== "begun" || before || this.#allShipped(bindings)) {
      return this.#over(before ?? null);
    }
    await this.#load(undefined, options.keepRecords !== false); // another tab may have tried
    this.counts.begun = performance.now();
    this.#say("loading");
    this.trials = new Trials(await this.#request(bindings), this.turns, (heard) => this.#hear(heard));
    const reason = await this.trials.run();
    this.#flush();
    await this.swaps.catch(() => {});
    const outcome = this.#outcome();
    if (reason !== null) {
      this.#say("failed", { reason });
    } else if (this.state === "begun") {
      await this.store?.finish(id, outcome).catch(() => {});
      await this.#post();
      this.#say("done");
    }
    return this.#over(outcome);
  }

  /** @param {Bindings} bindings @returns {Promise<import("./tune-trials.js").Request>} */
  async #request(bindings) {
    const { budget = BUDGET_SECONDS, pyodide = "./pyodide/", wheel = "./webrt.whl", _trials = {},
      threads, relaxedSimd, assets, powerPreference } = this.options;
    const slowest = Math.max(0, ...[...this.known.byId.values()].map((r) => r.default));
    const kind = this.gpu?.info.kind;
    return {
      seconds: budget, dims: bindings, planted: _trials.planted ?? [],
      assets, silence: _trials.silence ?? SILENCE_MS + 100 * slowest,
      records: () => this.known.toJson(false),
      open: {
        type: "open", sha256: this.pack.sha256, manifest: await this.files.manifestOf(),
        places: { pyodide: beside(pyodide), wheel: beside(wheel) },
        device: { device: kind, threads: kind === "wasm" ? this.gpu?.info.threads ?? threads : undefined,
          relaxedSimd, assets: assets && absolute(assets).href, powerPreference },
      },
    };
  }

  /** Whether a server knows all problems at this shape. @param {Bindings} bindings */
  #allShipped(bindings) {
    const { device } = this;
    return this.shipped.size > 0 && [...this.problems].every(([problem, [index]]) => {
      const names = symbolsOf(this.pack.problems[index]);
      const dims = Object.fromEntries(names.map((name) => [name, bindings[name]]));
      return this.shipped.has(idOf({ device, codegen: CODEGEN, problem, dims }));
    });
  }

  /** @param {Heard} heard */
  #hear(heard) {
    if (heard.type === "opened") {
      this.opened ??= this.counts.begun = performance.now(); // a second worker goes on
      return;
    }
    const { type, problem, record } = heard;
    if (record.device !== this.device || !this.#isOurs(record)) {
      throw new Error(`the worker tunes for ${record.device} and webrt ${record.codegen}, `
        + `the page runs on ${this.device} with webrt ${CODEGEN}`);
    }
    if (type === "trying") {
      for (const other of this.found.keys()) if (other !== problem) this.#flush(other);
      return;
    }
    const merged = this.known.add(record);
    this.store?.save(merged).catch(() => { this.store = null; });
    this.counts.trials += 1;
    const [trial] = record.trials;
    if (trial.failed !== undefined) this.#reject(problem, trial.failed);
    else if (bestOf(merged)?.code) this.found.set(problem, merged);
    if (type === "lost") this.#probe();
    this.#say("trial");
  }

  /** Serve what was found for a problem, or for all. @param {number} [only] */
  #flush(only) {
    const wanted = [...this.found].filter(([problem]) => only === undefined || problem === only);
    for (const [problem, record] of wanted) {
      this.found.delete(problem);
      const indices = this.problems.get(record.problem) ?? [];
      for (const index of indices) {
        this.swaps = this.swaps.then(() => this.#swap(index, record)).catch((error) => {
          this.#reject(index, messageOf(error));
        });
      }
    }
  }

  /** @param {number} problem @param {TuneRecord} record */
  async #swap(problem, record) {
    const { session, gpu, weights } = this;
    if (!session || !gpu || !weights || this.state === "over") return;
    const tuned = await this.#compile(problem, record, (needs) => add(weights, this.files, needs));
    if (!tuned) return;
    await warm(this.pack, gpu, [tuned], { ...this.dims, ...record.dims });
    await session.between(() => {
      if (gpu !== this.gpu) return; // the session has moved to another device meanwhile
      const old = session.shapes.install(problem, record.dims, tuned.kernel);
      remove(weights, new Set([...old?.panels.values() ?? []].filter((name) => typeof name === "string")));
      session.swapped();
    });
    this.#say("swapped", { problem: this.pack.kernels[problem].name });
  }

  /** After a trial took its device away: does the page's own GPU still answer? */
  async #probe() {
    const { gpu } = this;
    if (gpu?.info.kind !== "webgpu") return;
    const answer = gpu.readMany([]).then(() => true, (error) => !(error instanceof DeviceLostError));
    const timeout = new Promise((resolve) => { setTimeout(resolve, ANSWER_MS, "silent"); });
    const found = await Promise.race([answer, timeout]);
    if (found !== "silent" || gpu !== this.gpu) return;
    this.gpuGone = true;
    this.#say("failed", { reason: "the GPU doesn't answer any more after a trial; the session goes "
      + "on on the CPU" });
    this.stop();
    gpu.close(); // what waits for it learns that it is lost
  }

  async #post() {
    const { postRecords: url } = this.options;
    if (url === undefined) return;
    const own = new Records();
    for (const record of this.known.byId.values()) {
      if (this.#isOurs(record) && !this.shipped.has(idOf(record))) own.add(record);
    }
    try {
      if (own.byId.size) await postRecords(absolute(url), own);
    } catch (error) {
      this.#say("failed", { reason: messageOf(error) });
    }
  }

  /** Stop trying; what serves stays. */
  stop() {
    clearTimeout(this.timer);
    if (this.state === "over") return;
    this.trials?.stop();
    this.#over(this.counts.begun ? this.#outcome() : null);
  }

  /** @param {Outcome | null} outcome */
  #over(outcome) {
    this.state = "over";
    this.end?.(outcome);
  }

  /** @param {number} problem @param {string} reason */
  #reject(problem, reason) {
    this.counts.rejected += 1;
    this.#say("rejected", { problem: this.pack.kernels[problem].name, reason });
  }

  /** @returns {Outcome} */
  #outcome() {
    let [beforeMs, afterMs] = [0, 0];
    for (const [problem, indices] of this.problems) {
      const names = symbolsOf(this.pack.problems[indices[0]]);
      const dims = Object.fromEntries(names.map((name) => [name, this.dims[name]]));
      const record = this.known.get({ device: this.device, codegen: CODEGEN, problem, dims });
      const count = this.pack.steps.filter((s) => indices.includes(s.problem)).length;
      beforeMs += count * (record?.default ?? 0);
      afterMs += count * Math.min(record?.default ?? 0, (record && bestOf(record)?.ms) ?? Infinity);
    }
    const { trials, rejected, begun } = this.counts;
    const seconds = Math.max(0, performance.now() - begun - this.turns.waited) / 1000;
    return { trials, rejected, seconds, beforeMs, afterMs };
  }

  /** @param {TuneProgress["state"]} state @param {{problem?: string, reason?: string}} [more] */
  #say(state, more = {}) {
    const outcome = this.counts.begun ? this.#outcome()
      : { trials: 0, rejected: this.counts.rejected, seconds: 0, beforeMs: 0, afterMs: 0 };
    const total = this.options.budget ?? BUDGET_SECONDS;
    const loaded = state === "done" ? total : Math.min(total, outcome.seconds);
    const progress = (100 * loaded) / total;
    const { name } = this.files.progress;
    this.report({ status: "tune", name, state, loaded, total, progress, ...outcome, ...more });
  }
}

/** @param {number} problem @param {Bindings} dims */
const placeOf = (problem, dims) => [problem, ...Object.entries(dims).sort()].join();

/** @param {string | URL} url */
const absolute = (url) => new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);

/** A URL of what lies beside the player, where it isn't absolute. @param {string | URL} url */
const beside = (url) => new URL(url, url === "./pyodide/" || url === "./webrt.whl"
  ? import.meta.url : globalThis.document?.baseURI ?? globalThis.location?.href).href;

/** @param {Pack} pack @param {TuneOptions} options */
function checkOptions(pack, { budget, dims }) {
  if (budget !== undefined && !(budget > 0)) {
    throw new UsageError(`budget: expected some seconds, found ${budget}`);
  }
  checkDims(pack, dims);
}

/** Do `work` while no other page of this origin tunes for the same device.
 * @param {string} name @param {AbortSignal} signal @param {() => Promise<unknown>} work */
async function locked(name, signal, work) {
  const { locks } = globalThis.navigator ?? {};
  await (locks ? locks.request(name, { signal }, work) : work());
}
