// The tuning curve: the time of a run's kernels, as a share of what it was, over seconds of trials.

import { drawn, element, find, showMs } from "./elements.js";

/** @typedef {import("../tune-options.js").TuneProgress} TuneProgress */
/** @typedef {import("../records.js").Outcome} Outcome */
/** `share`s of the time before, after so many seconds.
 * @typedef {{points: {seconds: number, share: number}[], last: TuneProgress | Outcome | null,
 *   state: string}} Line */

const WIDTH = 340, HEIGHT = 150, LEFT = 40, RIGHT = 8, TOP = 8, BOTTOM = 24;

/** The curves of a page's models. */
export class Curve {
  /** @param {readonly string[]} models */
  constructor(models) {
    this.models = models;
    this.clear();
  }

  /** Nothing is tuned. */
  clear() {
    /** @type {Map<string, Line>} */
    this.lines = new Map();
    find("#curve").replaceChildren();
    this.#say("Kernels are generated, checked and timed on this device while the page answers; the "
      + "fastest take over, and the next visit knows them. That loads Pyodide (13 MB) once.");
  }

  /** Tuning begins with the next answer. */
  wait() {
    if (!this.lines.size) this.#say("Tuning begins after your next answer.");
  }

  /** @param {string} model @param {TuneProgress} progress */
  show(model, progress) {
    const line = this.#line(model);
    if (progress.state === "failed") {
      this.#say(`Tuning ${model} ended: ${progress.reason}. The page goes on with the kernels it has.`, true);
      return;
    }
    line.state = progress.state;
    line.last = progress;
    if (progress.beforeMs > 0) {
      line.points.push({ seconds: progress.seconds, share: progress.afterMs / progress.beforeMs });
    }
    this.#draw();
    const working = progress.state === "loading" ? `${model}: Pyodide is loading …` : this.#summary();
    this.#say(working, progress.state === "done");
  }

  /** What tuning came to, on this visit or an earlier one. @param {string} model @param {Outcome} outcome */
  settle(model, outcome) {
    const line = this.#line(model);
    const before = !line.last;
    line.last = outcome;
    line.state = "done";
    if (before && outcome.beforeMs > 0) {
      line.points.push({ seconds: 0, share: 1 },
        { seconds: outcome.seconds, share: outcome.afterMs / outcome.beforeMs });
    }
    this.#draw();
    this.#say(before ? `${this.#summary()} An earlier visit found that.` : this.#summary(), true);
  }

  /** @param {string} model @returns {Line} */
  #line(model) {
    const line = this.lines.get(model) ?? { points: [], last: null, state: "loading" };
    this.lines.set(model, line);
    return line;
  }

  #summary() {
    return [...this.lines].filter(([, { last }]) => last).map(([model, { last, state }]) => {
      const { trials, rejected, beforeMs, afterMs, seconds } = /** @type {Outcome} */ (last);
      const gain = beforeMs > 0 ? `, ${showMs(beforeMs)} → ${showMs(afterMs)} of kernels a run` : "";
      return `${model}: ${state === "done" ? "done, " : ""}${trials} trials in ${Math.round(seconds)} s`
        + `${rejected ? `, ${rejected} rejected` : ""}${gain}.`;
    }).join(" ");
  }

  /** @param {string} text @param {boolean} [aloud] whether screen readers should say it */
  #say(text, aloud = false) {
    find("#tuning-text").textContent = text;
    if (aloud) find("#tuned").textContent = text;
  }

  #draw() {
    const shown = [...this.lines].filter(([, { points }]) => points.length);
    if (!shown.length) return;
    const all = shown.flatMap(([, { points }]) => points);
    const seconds = Math.max(5, ...all.map((p) => p.seconds));
    const least = Math.min(0.5, ...all.map((p) => p.share)) > 0.25 ? Math.floor(
      10 * Math.min(0.9, ...all.map((p) => p.share))) / 10 : 0;
    const x = (/** @type {number} */ s) => LEFT + ((WIDTH - LEFT - RIGHT) * s) / seconds;
    const y = (/** @type {number} */ share) => (
      TOP + ((HEIGHT - TOP - BOTTOM) * (1 - share)) / (1 - least));
    const chart = drawn("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
      "aria-labelledby": "tuning-text" });
    for (const share of [1, (1 + least) / 2, least]) {
      chart.append(drawn("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(share), y2: y(share) }),
        drawn("text", { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, `${Math.round(100 * share)} %`));
    }
    chart.append(drawn("text", { x: LEFT, y: HEIGHT - 6 }, "0 s"),
      drawn("text", { x: WIDTH - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, `${Math.round(seconds)} s`));
    shown.forEach(([, { points }], j) => {
      const kind = j ? " second" : "";
      const steps = points.map((p, k) => (k ? `H${x(p.seconds)}V${y(p.share)}`
        : `M${x(0)},${y(1)}H${x(p.seconds)}V${y(p.share)}`)).join("");
      const end = x(points[points.length - 1].seconds);
      chart.append(drawn("path", { class: `area${kind}`, d: `${steps}V${y(least)}H${x(0)}Z` }),
        drawn("path", { class: `line${kind}`, d: steps || `M${end},${y(1)}` }));
    });
    const key = element("ul", { className: "key" }, ...shown.map(([model]) => element("li", {}, model)));
    find("#curve").replaceChildren(chart, ...(shown.length > 1 ? [key] : []));
  }
}
