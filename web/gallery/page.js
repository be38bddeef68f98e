// What every page of the gallery has: models with a choice of device, times, tuning as it goes,
// and, on request, the times of onnxruntime-web for the same inputs in the same page.

import { InferenceSession } from "../webrt.js";

/** @typedef {import("../webrt.js").Tensor} Tensor */
/** @typedef {Record<string, Tensor>} Tensors */
/** @typedef {import("../progress.js").ProgressInfo} Progress */
/** What a comparison needs of onnxruntime-web.
 * @typedef {{env: {wasm: {numThreads?: number, wasmPaths?: string}},
 *   Tensor: new (type: string, data: unknown, dims: readonly number[]) => unknown,
 *   InferenceSession: {create: (url: string, options: object) =>
 *     Promise<{run: (feeds: object) => Promise<object>, release: () => Promise<void>}>}}} Ort */

/** Runs of each side in a comparison, after one that warms up. */
const ROUNDS = 5;

/** @template {Element} E @param {string} selector @returns {E} */
export const find = (selector) => /** @type {E} */ (document.querySelector(selector));

/** @param {string} tag @param {Record<string, unknown>} [properties] @param {...(Node | string)} children */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** @param {number} ms */
export const showMs = (ms) => `${ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : Math.round(ms)} ms`;

/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

const SECTION = `
  <h2 id="model-title">Model</h2>
  <p id="status" role="status">Loading …</p>
  <progress id="progress" max="1" value="0" aria-label="Loading"></progress>
  <dl id="facts" hidden></dl>
  <form id="choice" class="actions">
    <label>Device <select name="device">
      <option value="auto">automatic</option><option>webgpu</option><option>wasm</option>
    </select></label>
    <label><input type="checkbox" name="tune"> Tune on this device</label>
    <button>Load again</button>
  </form>
  <div id="tuning" hidden>
    <p class="hint" id="tuning-text"></p>
    <svg class="chart" viewBox="0 0 100 40" preserveAspectRatio="none" role="img"
      aria-labelledby="tuning-text"><polyline points=""/></svg>
  </div>
  <p class="actions"><button id="compare" type="button" disabled>Compare with onnxruntime-web</button></p>
  <p class="hint" id="comparison" role="status"></p>`;

/** A page's models, and what it shows of them. */
export class Gallery {
  /** @param {string[]} models names of packs of the site */
  constructor(models) {
    this.models = models;
    /** @type {Map<string, InferenceSession>} */
    this.sessions = new Map();
    /** @type {Map<string, Tensors>} the inputs of the last run */
    this.last = new Map();
    find("#model").innerHTML = SECTION;
    this.query = new URLSearchParams(location.search);
    const form = /** @type {HTMLFormElement} */ (find("#choice"));
    const device = /** @type {HTMLSelectElement} */ (form.elements.namedItem("device"));
    const tune = /** @type {HTMLInputElement} */ (form.elements.namedItem("tune"));
    device.value = this.query.get("device") ?? "auto";
    tune.checked = this.query.has("tune");
    find("#compare").addEventListener("click", () => this.#guard(() => this.#compare()));
  }

  /** Load all models, then `start` the page. @param {() => Promise<void> | void} start */
  async open(start) {
    await this.#guard(async () => {
      const begun = performance.now();
      let bytes = 0;
      for (const name of this.models) {
        this.sessions.set(name, await InferenceSession.create(`packs/${name}`, {
          device: this.query.get("device") ?? "auto",
          tune: this.query.has("tune") ? "background" : "off",
          onProgress: (progress) => {
            if (progress.status === "tune") this.#showTuning(progress);
            else this.#showLoading(name, progress);
            if (progress.status === "done") bytes += progress.total;
          },
        }));
      }
      find("#progress").remove();
      const [{ deviceInfo }] = this.sessions.values();
      this.showFacts({
        "Runs on": `${deviceInfo.kind}: ${deviceInfo.adapter}`,
        ...(deviceInfo.note && { "One thread": deviceInfo.note }),
        "Loaded in": showMs(performance.now() - begun),
        Files: `${(bytes / 2 ** 20).toFixed(1)} MiB`,
      });
      this.say("Ready.");
      await start();
    });
  }

  /** Run a model; the page shows how long it took. @param {string} name @param {Tensors} feeds
   * @param {string} [what] what the time is called; not shown without */
  async run(name, feeds, what) {
    const session = /** @type {InferenceSession} */ (this.sessions.get(name));
    const begun = performance.now();
    const outputs = await session.run(feeds);
    if (what) this.showFacts({ [what]: showMs(performance.now() - begun) });
    this.last.set(name, feeds);
    find("#compare").removeAttribute("disabled");
    return outputs;
  }

  /** Do what the visitor asked for; errors are shown. @param {() => Promise<void> | void} work */
  async #guard(work) {
    try {
      await work();
    } catch (error) {
      this.say(error instanceof Error ? `${error.name}: ${error.message}` : String(error), true);
    }
  }

  /** A handler that shows its errors. @template T @param {(argument: T) => Promise<void> | void} work
   * @returns {(argument: T) => void} */
  handler(work) {
    return (argument) => void this.#guard(() => work(argument));
  }

  /** @param {string} text @param {boolean} [isError] */
  say(text, isError = false) {
    find("#status").textContent = text;
    find("#status").classList.toggle("error", isError);
  }

  /** Add facts, or change them. @param {Record<string, string>} facts */
  showFacts(facts) {
    const list = /** @type {HTMLElement} */ (find("#facts"));
    for (const [name, value] of Object.entries(facts)) {
      const known = [...list.children].find((row) => row.firstChild?.textContent === name);
      const row = element("div", {}, element("dt", {}, name), element("dd", {}, value));
      if (known) known.replaceWith(row);
      else list.append(row);
    }
    list.hidden = false;
  }

  /** @param {string} name @param {Progress} info */
  #showLoading(name, info) {
    if ("file" in info && info.file.startsWith("weights")) {
      find("#progress").setAttribute("value", String(info.progress / 100));
    }
    this.say(`Loading ${name} …`);
  }

  /** The time of a run's kernels, over the seconds that tuning takes.
   * @param {import("../tune-options.js").TuneProgress} progress */
  #showTuning({ state, seconds, trials, rejected, beforeMs, afterMs, reason }) {
    /** @type {HTMLElement} */ (find("#tuning")).hidden = false;
    const line = find("#tuning polyline");
    if (beforeMs) {
      const points = [...(line.getAttribute("data-points") ?? "").split(" ").filter(Boolean),
        `${seconds},${afterMs / beforeMs}`];
      line.setAttribute("data-points", points.join(" "));
      const pairs = points.map((p) => p.split(",").map(Number));
      const width = Math.max(1, ...pairs.map(([x]) => x));
      line.setAttribute("points", pairs.map(([x, y]) => `${(100 * x) / width},${40 - 36 * y}`).join(" "));
    }
    const gain = beforeMs ? `; kernels of a run ${showMs(beforeMs)} → ${showMs(afterMs)}` : "";
    find("#tuning-text").textContent = state === "failed" ? `Tuning failed: ${reason}`
      : `Tuning (${state}): ${trials} trials, ${rejected} rejected${gain}`;
  }

  /** The last inputs of every model, on both sides in turns. */
  async #compare() {
    const [{ deviceInfo }] = this.sessions.values();
    const gpu = deviceInfo.kind === "webgpu";
    const text = find("#comparison");
    text.textContent = "Loading onnxruntime-web …";
    const where = new URL(`ort/ort.${gpu ? "webgpu" : "wasm"}.min.mjs`, location.href).href;
    /** @type {Ort} */
    const ort = await import(where).catch(() => {
      throw new Error("this site was built without onnxruntime-web: nothing to compare with");
    });
    ort.env.wasm.numThreads = deviceInfo.threads ?? 1;
    ort.env.wasm.wasmPaths = new URL("ort/", location.href).href;
    const lines = [];
    for (const [name, feeds] of this.last) {
      const options = { executionProviders: [gpu ? "webgpu" : "wasm"] };
      const theirs = await ort.InferenceSession.create(`models/${name}.onnx`, options);
      const same = Object.fromEntries(Object.entries(feeds).map(([key, { type, data, dims }]) => (
        [key, new ort.Tensor(type, data.slice(), dims)])));
      /** @type {number[][]} */
      const times = [[], []];
      const sides = [() => this.sessions.get(name)?.run(feeds), () => theirs.run(same)];
      for (let round = 0; round <= ROUNDS; round++) {
        for (const [side, run] of sides.entries()) {
          const begun = performance.now();
          await run();
          if (round) times[side].push(performance.now() - begun);
        }
      }
      await theirs.release();
      const [ours, other] = times.map(median);
      lines.push(`${name}: webrt ${showMs(ours)}, onnxruntime-web ${showMs(other)} (${(other / ours).toFixed(1)}×)`);
      text.textContent = lines.join("; ");
    }
  }
}
