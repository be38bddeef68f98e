// What a notebook shows of a session: where it runs, inputs to fill, outputs, times, tuning's curve.

import { Tensor } from "./tensor.js";

/** @typedef {import("./widget-session.js").WidgetSession} WidgetSession */
/** @typedef {import("./session.js").Metadata} Metadata */

/** Dims that aren't fixed begin with this. */
const LENGTH = 8;

/** Elements of an output that are shown. */
const SHOWN = 8;

/** @param {string} tag @param {Record<string, unknown>} [properties] @param {...(Node | string)} children */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** @param {number} ms */
const showMs = (ms) => `${ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : Math.round(ms)} ms`;

/** @param {readonly number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** A line in a box of 100 × 30: `points` are [x, y], y from 0 to `top`.
 * @param {readonly (readonly number[])[]} points @param {number} top @param {string} label */
function chart(points, top, label) {
  const SVG = "http://www.w3.org/2000/svg";
  const [svg, line] = ["svg", "polyline"].map((name) => document.createElementNS(SVG, name));
  const last = Math.max(1e-9, ...points.map(([x]) => x));
  line.setAttribute("points", points.map(
    ([x, y]) => `${((100 * x) / last).toFixed(2)},${(30 - (28 * y) / (top || 1)).toFixed(2)}`).join(" "));
  for (const [name, value] of Object.entries({
    viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img", "aria-label": label })) {
    svg.setAttribute(name, value);
  }
  svg.append(line);
  return svg;
}

/** @param {number} x */
const short = (x) => String(Number(x.toPrecision(4)));

/** One view of a session. */
export class View {
  /** @param {WidgetSession} live @param {HTMLElement} el */
  constructor(live, el) {
    this.live = live;
    this.status = element("p", { className: "webrt-status", role: "status" });
    this.facts = element("dl");
    this.form = /** @type {HTMLFormElement} */ (element("form", { hidden: true }));
    this.times = element("div", { hidden: true });
    this.tuning = element("div", { hidden: true });
    this.outputs = element("table", { hidden: true });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run();
    });
    el.replaceChildren(this.status, this.facts, this.form, this.times, this.tuning, this.outputs);
  }

  /** Show how things stand. */
  update() {
    const { state, times, curve, tuning, outputs } = this.live;
    this.status.textContent = String(state.message);
    this.status.classList.toggle("webrt-error", state.name === "failed");
    if (state.name === "ready") this.#facts(/** @type {any} */ (state));
    this.times.hidden = !times.length;
    if (times.length) {
      const points = times.map((ms, j) => [j, ms]);
      const text = `Last answer ${showMs(times[times.length - 1])}, median ${
        showMs(median(times))} of ${times.length}`;
      this.times.replaceChildren(element("p", {}, text),
        ...(points.length > 1 ? [chart(points, Math.max(...times), "Times")] : []));
    }
    this.tuning.hidden = !tuning;
    this.tuning.replaceChildren(element("p", {}, tuning),
      ...(curve.length > 1 ? [chart(curve, 1, "Time of a run's kernels while tuning")] : []));
    if (outputs) this.#outputs(outputs);
  }

  /** @param {{device: {kind: string, adapter: string, note?: string}, loadMs: number, kernels: number,
   *   inputs: Metadata[]}} state */
  #facts({ device, loadMs, kernels, inputs }) {
    const facts = {
      "Runs on": `${device.kind}: ${device.adapter}`, ...(device.note && { Note: device.note }),
      "Loaded in": showMs(loadMs), Kernels: String(kernels),
    };
    this.facts.replaceChildren(...Object.entries(facts).map(
      ([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
    if (this.form.childElementCount) return;
    this.form.hidden = false;
    const rows = inputs.map((input) => element("tr", {},
      element("th", { scope: "row" }, input.name), element("td", {}, input.type),
      element("td", {}, ...this.#dims(input)), element("td", {}, this.#fill(input))));
    this.form.append(element("table", {}, ...rows), element("button", {}, "Run"));
  }

  /** @param {Metadata} input */
  #dims({ name, shape }) {
    const batch = (/** @type {string} */ dim) => /batch|^n$|^b$/i.test(dim);
    return shape.map((dim, j) => (typeof dim === "number" ? element("span", {}, ` ${dim} `)
      : element("input", { type: "number", min: "1", max: String(2 ** 20), required: true,
        name: `${name}:${j}`, value: String(batch(dim) ? 1 : LENGTH), ariaLabel: `${name}: ${dim}`,
        title: dim, onchange: (/** @type {Event} */ event) => this.#same(dim, event) })));
  }

  /** Dims of one name are one number. @param {string} dim @param {Event} event */
  #same(dim, { target }) {
    const { value } = /** @type {HTMLInputElement} */ (target);
    for (const field of this.form.querySelectorAll("input")) if (field.title === dim) field.value = value;
  }

  /** @param {Metadata} input */
  #fill({ name }) {
    const select = element("select", { name, ariaLabel: `Fill ${name} with` },
      ...["random", "zeros", "ones"].map((fill) => element("option", {}, fill)));
    /** @type {HTMLSelectElement} */ (/** @type {unknown} */ (select)).value = /mask/i.test(name) ? "ones" : "random";
    return select;
  }

  /** Run on what the form says. */
  async #run() {
    const button = /** @type {HTMLButtonElement} */ (this.form.querySelector("button"));
    const data = new FormData(this.form);
    button.disabled = true;
    try {
      const { inputMetadata } = await this.live.session;
      await this.live.run(Object.fromEntries(inputMetadata.map((input) => {
        const dims = input.shape.map(
          (dim, j) => (typeof dim === "number" ? dim : Number(data.get(`${input.name}:${j}`))));
        return [input.name, filled(input, dims, String(data.get(input.name)))];
      })));
    } catch (error) {
      this.status.textContent = String(error);
      this.status.classList.add("webrt-error");
    } finally {
      button.disabled = false;
    }
  }

  /** @param {Record<string, Tensor>} outputs */
  #outputs(outputs) {
    this.outputs.hidden = false;
    this.outputs.replaceChildren(...Object.entries(outputs).map(([name, { type, dims, data }]) => {
      const first = Array.from(/** @type {any} */ (data).subarray(0, SHOWN), Number).map(short);
      return element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, type),
        element("td", {}, `[${dims.join(", ")}]`),
        element("td", {}, first.join(", ") + (data.length > SHOWN ? ", …" : "")));
    }));
  }
}

/** @param {Metadata} input @param {number[]} dims @param {string} fill @returns {Tensor} */
function filled({ type, low, high }, dims, fill) {
  const size = dims.reduce((a, b) => a * b, 1);
  const least = Math.max(low ?? 0, 0);
  const span = Math.min(high ?? 1, 2 ** 20) - least + 1;
  const random = () => (type.startsWith("float") ? 2 * Math.random() - 1
    : type === "bool" ? Number(Math.random() < 0.5) : least + Math.floor(Math.random() * span));
  const value = fill === "zeros" ? () => 0 : fill === "ones" ? () => 1 : random;
  return new Tensor(type, Array.from({ length: size }, value), dims);
}
