// The demo page for any pack: feed it, run it, look at the outputs and the times.

import { InferenceSession, Tensor } from "../webrt.js";
import { classifier } from "./magika.js";
import { defaultFill, makeTensor } from "./fill.js";

/** @typedef {import("../session.js").Metadata} Metadata */

/** Where the page finds the pack. */
const PACK = "pack";

/** @template {HTMLElement} E @param {string} id @returns {E} */
const at = (id) => /** @type {E} */ (document.getElementById(id));

/** @param {string} tag @param {Record<string, unknown>} [properties] @param {...(Node | string)} children */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** @param {string} text @param {boolean} [isError] */
function say(text, isError = false) {
  at("status").textContent = text;
  at("status").classList.toggle("error", isError);
}

/** @param {unknown} error */
const sayError = (error) =>
  say(error instanceof Error ? `${error.name}: ${error.message}` : String(error), true);

/** @param {number} ms */
const showMs = (ms) => `${ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : Math.round(ms)} ms`;

/** @param {string} id @param {Record<string, string>} facts */
function showFacts(id, facts) {
  const rows = Object.entries(facts).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  at(id).replaceChildren(...rows);
  at(id).hidden = false;
}

/** What the page's address asks for, shown in the form that changes it.
 * @returns {{device: string, threads?: number, tune: "off" | "background"}} */
function chosen() {
  const form = /** @type {HTMLFormElement} */ (at("choice"));
  for (const [name, value] of new URLSearchParams(location.search)) {
    const field = form.elements.namedItem(name);
    if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) field.value = value;
  }
  const data = new FormData(form);
  const threads = Number(data.get("threads"));
  const device = String(data.get("device") ?? "auto");
  const tune = data.get("tune") === "background" ? "background" : "off";
  return { device, tune, ...(threads && device !== "webgpu" && { threads }) };
}

/** One line of how tuning goes. @param {import("../tune-options.js").TuneProgress} progress */
function sayTuning({ state, trials, rejected, loaded, total, beforeMs, afterMs, reason }) {
  const gain = beforeMs > 0 ? `: kernels of a run ${showMs(beforeMs)} → ${showMs(afterMs)}` : "";
  const text = {
    loading: "Tuning: Pyodide is loading …",
    failed: `Tuning ended: ${reason}`,
    done: `Tuned in ${trials} trials${gain}. The next visit knows.`,
  }[/** @type {string} */ (state)] ?? `Tuning, ${Math.floor(loaded)} of ${total} s, ${trials} trials`
    + `${rejected ? ` (${rejected} rejected)` : ""}${gain}`;
  at("tuning").textContent = text;
  at("tuning").hidden = false;
}

/** @param {Iterable<{loaded: number, total: number}>} shares */
function sumOf(shares) {
  const all = [...shares];
  const sum = (/** @type {"loaded" | "total"} */ key) => all.reduce((n, share) => n + share[key], 0);
  return { loaded: sum("loaded"), total: sum("total") };
}

async function load() {
  const start = performance.now();
  /** @type {Map<string, {loaded: number, total: number}>} */
  const files = new Map();
  let kernels = { loaded: 0, total: 0 };
  const session = await InferenceSession.create(PACK, {
    ...chosen(),
    onProgress: (info) => {
      if (info.status === "tune") sayTuning(info);
      else if (info.status === "compile") kernels = info;
      else if ("file" in info) files.set(info.file, info);
      if (!("loaded" in info)) return;
      const bytes = sumOf(files.values());
      const parts = [bytes, kernels].map(({ loaded, total }) => loaded / Math.max(total, 1));
      at("progress").setAttribute("value", String(parts.reduce((a, b) => a + b, 0) / 2));
      const mib = (/** @type {number} */ n) => (n / 2 ** 20).toFixed(1);
      say("Loading … " + [
        `${mib(bytes.loaded)} of ${mib(bytes.total)} MiB`,
        kernels.total && `${kernels.loaded} of ${kernels.total} kernels`,
      ].filter(Boolean).join(", "));
    },
  });
  const ms = performance.now() - start;
  at("progress").hidden = true;
  say("Ready.");
  const { kind, adapter, note } = session.deviceInfo;
  showFacts("facts", {
    "Runs on": `${kind}: ${adapter}`,
    ...(note && { "One thread": note }),
    "Loaded in": showMs(ms),
    Kernels: String(session.compiledKernels),
    Files: `${(sumOf(files.values()).total / 2 ** 20).toFixed(1)} MiB`,
  });
  return session;
}

/** Number fields for the dynamic dims, by their names. @param {readonly Metadata[]} inputs */
function showDims(inputs) {
  const names = new Set(inputs.flatMap((i) => i.shape).filter((d) => /^[\w. -]+$/.test(String(d))));
  for (const name of names) {
    if (typeof name === "number") continue;
    const value = /batch|^n$|^b$|unk/i.test(name) ? 1 : 128;
    const field = element("input", {
      type: "number", name: `dim:${name}`, min: 1, max: 2 ** 20, value, required: true });
    field.addEventListener("input", () => showShapes(inputs));
    at("dims").append(element("label", {}, name, field));
  }
}

/** @returns {Record<string, number>} */
function dimValues() {
  const fields = /** @type {NodeListOf<HTMLInputElement>} */ (
    at("dims").querySelectorAll("input"));
  return Object.fromEntries([...fields].map((f) => [f.name.slice("dim:".length), f.valueAsNumber]));
}

/** @param {Metadata} input @returns {number[]} */
const shapeNow = (input) => {
  const values = dimValues();
  return input.shape.map((dim) => (typeof dim === "number" ? dim : values[dim]));
};

/** @param {readonly Metadata[]} inputs */
function showShapes(inputs) {
  inputs.forEach((input, j) => {
    at(`shape-${j}`).textContent = `[${shapeNow(input).map((n) => n || "?").join(", ")}]`;
  });
}

/** @param {readonly Metadata[]} inputs */
function showInputs(inputs) {
  showDims(inputs);
  const rows = inputs.map((input, j) => {
    const fills = ["random", "zeros", "ones", "values"];
    const options = fills.map((fill) => element("option", { value: fill }, fill));
    const select = Object.assign(document.createElement("select"), {
      id: `fill-${j}`, ariaLabel: `Fill ${input.name} with` });
    select.append(...options);
    select.value = defaultFill(input.name);
    const values = element("input", {
      id: `values-${j}`, className: "values", hidden: true, placeholder: "1, 2, 3 … (repeated)",
      ariaLabel: `Values of ${input.name}` });
    select.addEventListener("change", () => { values.hidden = select.value !== "values"; });
    return element("tr", {},
      element("th", { scope: "row" }, input.name),
      element("td", {}, input.type),
      element("td", { id: `shape-${j}` }),
      element("td", {}, select, values));
  });
  at("inputs").replaceChildren(...rows);
  showShapes(inputs);
  at("form").hidden = false;
}

/** @param {readonly Metadata[]} inputs @returns {Record<string, Tensor>} */
function readFeeds(inputs) {
  return Object.fromEntries(inputs.map((input, j) => {
    const fill = /** @type {HTMLSelectElement} */ (at(`fill-${j}`)).value;
    const values = /** @type {HTMLInputElement} */ (at(`values-${j}`)).value;
    return [input.name, makeTensor(input, shapeNow(input), fill, values)];
  }));
}

/** @param {Record<string, Tensor>} outputs */
function showOutputs(outputs) {
  /** @param {number} x */
  const short = (x) => String(Number(x.toPrecision(5)));
  const rows = Object.entries(outputs).map(([name, tensor]) => {
    let least = Infinity, greatest = -Infinity, sum = 0;
    const numbers = Array.from(/** @type {ArrayLike<number>} */ (tensor.data), Number);
    for (const value of numbers) {
      least = Math.min(least, value);
      greatest = Math.max(greatest, value);
      sum += value;
    }
    const first = numbers.slice(0, 12).map(short).join(", ");
    return element("tr", {},
      element("th", { scope: "row" }, name),
      element("td", {}, tensor.type),
      element("td", {}, `[${tensor.dims.join(", ")}]`),
      ...[least, sum / numbers.length, greatest].map((x) => element("td", {}, short(x))),
      element("td", { className: "wide" }, first + (numbers.length > 12 ? ", …" : "")));
  });
  at("outputs").replaceChildren(...rows);
  at("results").hidden = false;
}

/** @param {InferenceSession} session @param {number} runs */
async function run(session, runs) {
  const feeds = readFeeds(session.inputMetadata);
  const times = [];
  let outputs;
  for (let j = 0; j < runs; j++) {
    say(`Running … ${j} of ${runs}`);
    const start = performance.now();
    outputs = await session.run(feeds);
    times.push(performance.now() - start);
  }
  say("Ready.");
  const sorted = times.slice(runs > 1 ? 1 : 0).sort((a, b) => a - b);
  showFacts("timings", {
    "First run": showMs(times[0]),
    Median: showMs(sorted[sorted.length >> 1]),
    Slowest: showMs(sorted[sorted.length - 1]),
    Runs: String(runs),
  });
  if (outputs) showOutputs(outputs);
}

async function main() {
  const session = await load();
  showInputs(session.inputMetadata);
  const button = /** @type {HTMLButtonElement} */ (at("run"));
  at("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await run(session, /** @type {HTMLInputElement} */ (at("runs")).valueAsNumber);
    } catch (error) {
      sayError(error);
    } finally {
      button.disabled = false;
    }
  });
  await classifier(session, { drop: at("drop"), file: at("file"), list: at("labels"),
    section: at("files"), element, showMs, sayError });
}

main().catch((error) => {
  at("progress").hidden = true;
  sayError(error);
});
