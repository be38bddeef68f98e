// What every page of the gallery has beside its tool: which device runs its models and why, what an
// answer takes, tuning as it goes, and onnxruntime-web for the same inputs, where the site has it.

import { InferenceSession } from "../webrt.js";
import { element, find, median, showMb, showMs } from "./elements.js";
import { PANEL, STATE } from "./panel.js";
import { Curve } from "./curve.js";
import { plainWords } from "./plain.js";

/** @typedef {import("../webrt.js").Tensor} Tensor */
/** @typedef {Record<string, Tensor>} Tensors */
/** @typedef {import("../progress.js").ProgressInfo} ProgressInfo */
/** What the site was built with: bytes of each model, and what may be missing.
 * @typedef {{models: Record<string, number>, compare: boolean, tune: boolean, sample: boolean}} Site */
/** Milliseconds of a model's answers since it was loaded. @typedef {number[]} Times */

/** Where the choice of tuning is kept: what was found serves the next visit only if it is asked for. */
const TUNED = "webrt-gallery-tune";

const remembered = () => {
  try {
    return localStorage.getItem(TUNED) === "on";
  } catch {
    return false; // storage is refused
  }
};

/** A page's models, and what it shows of them. */
export class Gallery {
  /**
   * @param {string[]} models names of packs of the site
   * @param {{device?: string, reason?: string}} [preferred] the device that suits these models, and why
   */
  constructor(models, { device = "auto", reason = "" } = {}) {
    this.models = models;
    this.preferred = { device, reason };
    /** @type {Map<string, InferenceSession>} */
    this.sessions = new Map();
    /** @type {Map<string, Tensors>} the inputs of the last run */
    this.last = new Map();
    /** @type {Map<string, Times>} */
    this.times = new Map();
    /** @type {Site | undefined} */
    this.site = undefined;
    /** What is left to do once the models are there. @type {(() => Promise<void> | void) | undefined} */
    this.start = undefined;
    /** @type {number | undefined} */
    this.drawing = undefined;
    /** @type {Record<string, string>} */
    this.facts = {};
    /** What the page says of its device. */
    this.told = "";
    /** What the visitor asked for last. @type {Promise<void>} */
    this.turn = Promise.resolve();
    /** Which loading of the models this is: another one may have begun since. */
    this.round = 0;
    find("#state").innerHTML = STATE;
    find("#panel").innerHTML = PANEL;
    const query = new URLSearchParams(location.search);
    this.tune = query.has("tune") || remembered();
    /** Seconds of tuning; the player's own choice if not given. */
    this.budget = Number(query.get("budget")) || undefined;
    this.curve = new Curve(models);
    this.form = /** @type {HTMLFormElement} */ (find("#choice"));
    const choice = /** @type {RadioNodeList} */ (this.form.elements.namedItem("device"));
    choice.value = query.get("device") ?? device;
    this.form.addEventListener("change", () => this.open());
    find("#tune").addEventListener("click", () => this.#setTuning(!this.tune));
    find("#compare").addEventListener("click", () => this.#guard(() => this.#compare()));
    find("#retry").addEventListener("click", () => this.open());
  }

  /** The device that the visitor wants. */
  get device() {
    return String(new FormData(this.form).get("device") ?? this.preferred.device);
  }

  /** Load all models, then `start` the page the first time.
   * @param {() => Promise<void> | void} [start] */
  async open(start) {
    this.start ??= start;
    const round = ++this.round;
    await this.#guard(async () => {
      this.site ??= await siteHere();
      this.#offer();
      const old = [...this.sessions.values()];
      this.sessions = new Map();
      await Promise.all(old.map((session) => session.release()));
      await this.#load(round);
      if (round !== this.round) return;
      const begin = this.start;
      this.start = undefined;
      await begin?.();
      for (const [name, feeds] of this.last) await this.run(name, feeds);
      this.ready();
    });
  }

  /** What there is to offer on this site. */
  #offer() {
    const { compare = false, tune = false } = this.site ?? {};
    /** @type {HTMLElement} */ (find("#comparing")).hidden = !compare;
    /** @type {HTMLElement} */ (find("#tuning")).hidden = !tune;
    find("#tune").textContent = this.tune ? "Turn tuning off" : "Tune on this device";
  }

  /** @param {number} round */
  async #load(round) {
    const begun = performance.now();
    const progress = /** @type {HTMLProgressElement} */ (find("#progress"));
    progress.hidden = false;
    this.times.clear();
    this.#showTimes();
    const loading = new Loading(this.models, this.site?.models ?? {});
    for (const name of this.models) {
      const session = await InferenceSession.create(`packs/${name}`, {
        device: this.device,
        tune: this.tune && this.site?.tune ? "background" : "off",
        budget: this.budget,
        onProgress: (info) => {
          if (round !== this.round) return;
          if (info.status === "tune") this.curve.show(name, info);
          else if (info.status !== "ready" && info.status !== "recover") {
            loading.hear(name, info);
            progress.value = loading.share;
            this.say(loading.text, true);
          }
        },
      });
      if (round !== this.round) {
        await session.release();
        return;
      }
      this.sessions.set(name, session);
      session.tuned.then((outcome) => outcome && this.curve.settle(name, outcome));
    }
    progress.hidden = true;
    if (this.tune) this.curve.wait();
    else this.curve.clear();
    this.facts = { "Loaded in": `${showMs(performance.now() - begun)}, ${loading.source}`,
      Weights: showMb(loading.weights) };
    this.#showDevice();
  }

  /** Where the models run: a session may move after its first answer. */
  #showDevice() {
    const [session] = this.sessions.values();
    if (!session) return;
    const { kind, adapter, note, reason } = session.deviceInfo;
    const preferred = this.device === this.preferred.device ? this.preferred.reason : "";
    const chosen = this.device === "auto" ? reason?.replace(/^auto: /, "") : "you chose it";
    const rows = {
      "Runs on": `${kind === "webgpu" ? "GPU, " : ""}${adapter}`,
      ...((preferred || chosen) && { Because: preferred || chosen }),
      ...(note && { "One thread": `because ${note}` }),
      ...this.facts,
    };
    const told = JSON.stringify(rows);
    if (told === this.told) return;
    this.told = told;
    find("#facts").replaceChildren(...Object.entries(rows).map(([name, value]) => (
      element("div", {}, element("dt", {}, name), element("dd", {}, value)))));
    /** @type {HTMLElement} */ (find("#facts")).hidden = false;
  }

  /** @param {string} name @returns {InferenceSession} */
  session(name) {
    const session = this.sessions.get(name);
    if (!session) throw new Error("the model is still loading");
    return session;
  }

  /** Run a model; the page shows how long it took. @param {string} name @param {Tensors} feeds */
  async run(name, feeds) {
    const begun = performance.now();
    const outputs = await this.session(name).run(feeds);
    const times = this.times.get(name) ?? [];
    times.push(performance.now() - begun);
    this.times.set(name, times);
    this.last.set(name, feeds);
    this.#drawTimes();
    return outputs;
  }

  /** Not more often than the page is drawn. */
  #drawTimes() {
    this.drawing ??= requestAnimationFrame(() => {
      this.drawing = undefined;
      this.#showTimes();
      this.#showDevice();
    });
  }

  #showTimes() {
    const rows = [...this.times].map(([name, times]) => element("tr", {},
      Object.assign(element("th", {}, name), { scope: "row" }),
      ...[times[0], times[times.length - 1], median(times)].map((ms) => element("td", {}, showMs(ms)))));
    find("#times tbody").replaceChildren(...rows);
    const counts = [...this.times].map(([name, times]) => `${name} ${times.length}`);
    find("#runs").textContent = rows.length ? `Runs: ${counts.join(", ")}.` : "Nothing has run yet.";
    find("#times").toggleAttribute("hidden", !rows.length);
    find("#compare").toggleAttribute("disabled", !rows.length);
  }

  /** Do what the visitor asked for; errors are shown. @param {() => Promise<void> | void} work */
  async #guard(work) {
    const tool = document.querySelector("#tool");
    tool?.setAttribute("aria-busy", "true");
    /** @type {HTMLElement} */ (find("#trouble")).hidden = true;
    try {
      await work();
    } catch (error) {
      this.#fail(error);
    } finally {
      tool?.removeAttribute("aria-busy");
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    /** @type {HTMLElement} */ (find("#progress")).hidden = true;
    const { what, next, detail } = plainWords(error);
    this.say(what, false, true);
    find("#next").textContent = next;
    find("#detail").textContent = detail;
    /** @type {HTMLElement} */ (find("#trouble")).hidden = false;
  }

  /** A handler that shows its errors; while it works, others wait.
   * @template T @param {(argument: T) => Promise<void> | void} work @returns {(argument: T) => void} */
  handler(work) {
    return (argument) => {
      this.turn = this.turn.then(() => this.#guard(() => work(argument)));
    };
  }

  /** @param {string} text @param {boolean} [busy] @param {boolean} [isError] */
  say(text, busy = false, isError = false) {
    const status = find("#status");
    status.textContent = text;
    status.classList.toggle("busy", busy);
    status.classList.toggle("error", isError);
  }

  ready() {
    this.say("Ready.");
  }

  /** @param {boolean} on */
  #setTuning(on) {
    this.tune = on;
    try {
      localStorage.setItem(TUNED, on ? "on" : "off");
    } catch {
      // then only this visit knows
    }
    this.open();
  }

  async #compare() {
    const { compare } = await import("./compare.js");
    const button = /** @type {HTMLButtonElement} */ (find("#compare"));
    button.disabled = true;
    try {
      await compare(this);
    } finally {
      button.disabled = false;
    }
  }
}

/** What is being loaded, over all models. */
class Loading {
  /** @param {string[]} models @param {Record<string, number>} sizes expected bytes */
  constructor(models, sizes) {
    this.sizes = Object.fromEntries(models.map((name) => [name, sizes[name] ?? 0]));
    /** @type {Map<string, {loaded: number, total: number, cached: boolean}>} */
    this.files = new Map();
    this.text = "Loading …";
  }

  /** @param {string} model @param {import("../progress.js").FileProgress
   *   | import("../progress.js").CompileProgress} info */
  hear(model, info) {
    if (info.status === "compile") {
      this.text = `Compiling ${model}: ${info.loaded} of ${info.total} kernels`;
      return;
    }
    const { file, loaded, total, cached } = info;
    this.files.set(`${model}/${file}`, { loaded, total, cached });
    const known = [...this.files].filter(([name]) => name.startsWith(`${model}/`)).map(([, f]) => f);
    const sum = (/** @type {"loaded" | "total"} */ key) => known.reduce((s, f) => s + f[key], 0);
    this.text = `Loading ${model}: ${showMb(sum("loaded"))} of ${showMb(sum("total"))}`;
  }

  get share() {
    const expected = Object.values(this.sizes).reduce((a, b) => a + b, 0);
    const files = [...this.files.values()];
    const total = Math.max(expected, files.reduce((sum, f) => sum + f.total, 1));
    return files.reduce((sum, f) => sum + f.loaded, 0) / total;
  }

  get weights() {
    return [...this.files].reduce((sum, [name, f]) => sum + (name.endsWith(".safetensors") ? f.total : 0), 0);
  }

  get source() {
    const weights = [...this.files].filter(([name]) => name.endsWith(".safetensors"));
    return weights.every(([, f]) => f.cached) ? "out of this browser’s storage" : "over the network";
  }
}

/** What the site says about itself. @returns {Promise<Site>} */
async function siteHere() {
  const nothing = { models: {}, compare: false, tune: false, sample: false };
  const answer = await fetch("gallery.json").catch(() => null);
  return answer?.ok ? { ...nothing, ...await answer.json() } : nothing;
}
