// A session in a notebook's page: it loads the pack that the kernel names or sends, answers the
// kernel's runs, and tells the kernel how it goes. See webrt/widget.py for the messages.

import { PackError, messageOf } from "./errors.js";
import { InferenceSession } from "./session.js";
import { Tensor, TYPES } from "./tensor.js";

/** @typedef {import("./widget.js").Model} Model */
/** @typedef {import("./tensor.js").Type} Type */
/** @typedef {{name: string, type: Type, dims: number[]}} Header */
/** @typedef {Record<string, Tensor>} Tensors */

/** What a file comes in: the kernel answers one message after the other. */
const CHUNK_BYTES = 4 * 2 ** 20;

/** Times that are kept. */
const MOST_TIMES = 200;

/** @param {Header} header @param {DataView | ArrayBuffer} buffer @returns {Tensor} */
function tensorOf({ type, dims }, buffer) {
  const bytes = buffer instanceof DataView
    ? buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength) : buffer;
  if (!Object.hasOwn(TYPES, type)) throw new PackError(`the kernel sent a tensor of type ${type}`);
  return new Tensor(type, new TYPES[type].array(bytes), dims);
}

/** The session of one widget. */
export class WidgetSession {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.stopping = new AbortController();
    /** Files that were asked for. @type {Map<string, (message: any, buffers: DataView[]) => void>} */
    this.asked = new Map();
    this.prefix = Math.random().toString(36).slice(2);
    /** @type {Set<() => void>} views that show this */
    this.views = new Set();
    /** @type {number[]} milliseconds of each answer */
    this.times = [];
    /** @type {[number, number][]} seconds of tuning, and the share of time that a run's kernels take */
    this.curve = [];
    /** @type {Tensors | null} */
    this.outputs = null;
    this.tuning = "";
    /** @type {Record<string, unknown>} */
    this.state = { name: "loading", message: "Loading …" };
    this.hear = this.#hear.bind(this);
    model.on("msg:custom", this.hear);
    /** Runs that were begun here: one that waits is said again whenever a page opens. @type {Set<number>} */
    this.begun = new Set();
    /** @type {Promise<InferenceSession>} */
    this.session = this.#open();
    model.send({ kind: "hello" });
    this.session.catch((error) => this.tell({ name: "failed", message: described(error) }));
  }

  /** A view of this in an element; gives what takes it away again. @param {HTMLElement} el */
  async show(el) {
    const { View } = await import("./widget-view.js");
    const view = new View(this, el);
    const update = () => view.update();
    this.views.add(update);
    update();
    return () => { this.views.delete(update); };
  }

  /** Run the model here. @param {Tensors} feeds @param {readonly string[]} [fetches] */
  async run(feeds, fetches) {
    const session = await this.session;
    const begun = performance.now();
    this.outputs = await session.run(feeds, fetches ?? session.outputNames);
    const ms = performance.now() - begun;
    this.times = [...this.times, ms].slice(-MOST_TIMES);
    this.model.set("times", this.times);
    this.model.save_changes();
    this.#shown();
    return { outputs: this.outputs, ms };
  }

  /** Tell the kernel, and the views. @param {Record<string, unknown>} state */
  tell(state) {
    this.state = { ...this.state, ...state };
    this.model.set("state", this.state);
    this.model.save_changes();
    this.#shown();
  }

  async close() {
    this.model.off("msg:custom", this.hear);
    this.stopping.abort();
    await this.session.then((session) => session.release(), () => {});
  }

  #shown() {
    for (const update of this.views) update();
  }

  /** @returns {Promise<InferenceSession>} */
  async #open() {
    const { player: _, url, ...options } = this.model.get("options");
    const begun = performance.now();
    if (options.tune && options.tune !== "off" && !options.wheel) options.wheel = await this.#wheel();
    const session = await InferenceSession.create(url ?? "https://kernel.invalid/pack/", {
      ...options,
      ...(url ? {} : { fetch: this.#fetch.bind(this) }),
      signal: this.stopping.signal,
      onProgress: (/** @type {any} */ progress) => this.#progress(progress),
    });
    const { kind, adapter, threads, note } = session.deviceInfo;
    this.tell({
      name: "ready", message: "Ready.", device: { kind, adapter, threads, note },
      loadMs: performance.now() - begun, kernels: session.compiledKernels,
      inputs: session.inputMetadata, outputs: session.outputMetadata,
    });
    return session;
  }

  /** @param {import("./progress.js").ProgressInfo} progress */
  #progress(progress) {
    if (progress.status === "tune") {
      const { state, trials, rejected, seconds, beforeMs, afterMs, reason } = progress;
      this.tuning = state === "failed" ? `Tuning failed: ${reason}`
        : `Tuning (${state}): ${trials} trials, ${rejected} rejected`;
      if (beforeMs) this.curve = [...this.curve, [seconds, afterMs / beforeMs]];
      this.tell({ tuning: { state, trials, rejected, seconds, beforeMs, afterMs, curve: this.curve } });
    } else if (progress.status === "progress" || progress.status === "compile") {
      const what = progress.status === "compile" ? "kernels" : "weights";
      this.state = { ...this.state, message: `Loading ${what}: ${Math.floor(progress.progress)} %` };
      this.#shown();
    }
  }

  /** @param {any} message @param {DataView[]} buffers */
  #hear(message, buffers) {
    if (message?.kind === "file") this.asked.get(message.id)?.(message, buffers);
    else if (message?.kind === "run") this.#answer(message, buffers);
  }

  /** @param {{id: number, feeds: Header[], fetches?: string[]}} message @param {DataView[]} buffers */
  async #answer({ id, feeds, fetches }, buffers) {
    if (this.begun.has(id)) return;
    this.begun.add(id);
    try {
      const tensors = Object.fromEntries(feeds.map(
        (header, j) => [header.name, tensorOf(header, buffers[j])]));
      const { outputs, ms } = await this.run(tensors, fetches);
      const headers = Object.entries(outputs).map(
        ([name, { type, dims }]) => ({ name, type, dims: [...dims] }));
      const data = await Promise.all(Object.values(outputs).map((tensor) => tensor.getData()));
      this.model.send({ kind: "ran", id, ms, outputs: headers }, undefined,
        data.map((a) => a.buffer.slice(a.byteOffset, a.byteOffset + a.byteLength)));
    } catch (error) {
      const { name = "Error" } = /** @type {Error} */ (error);
      this.model.send({ kind: "failed", id, error: name, message: messageOf(error) });
    }
  }

  /** Part of a file of the kernel's. @param {string} name @param {number} from
   * @returns {Promise<{size: number, data: Uint8Array} | null>} null for none */
  #part(name, from) {
    const id = `${this.prefix}-${name}-${from}`;
    return new Promise((resolve, reject) => {
      this.stopping.signal.addEventListener("abort", () => reject(this.stopping.signal.reason));
      this.asked.set(id, ({ size }, [view]) => {
        this.asked.delete(id);
        resolve(size === null ? null
          : { size, data: new Uint8Array(view.buffer, view.byteOffset, view.byteLength) });
      });
      this.model.send({ kind: "file", id, name, from, bytes: CHUNK_BYTES });
    });
  }

  /** A file of the pack, as `fetch` would give it. @param {RequestInfo | URL} request
   * @param {RequestInit} [init] @returns {Promise<Response>} */
  async #fetch(request, { headers } = {}) {
    const name = decodeURIComponent(new URL(String(request)).pathname.split("/").at(-1) ?? "");
    const range = new Headers(headers).get("Range");
    let from = Number(range?.replace(/^bytes=|-$/g, "") ?? 0);
    const first = await this.#part(name, from);
    if (!first) return new Response(null, { status: 404 });
    const { size } = first;
    const begin = from;
    /** @type {typeof first | null} */
    let next = first;
    const body = new ReadableStream({
      pull: async (controller) => {
        const part = next ?? await this.#part(name, from);
        next = null;
        if (part) controller.enqueue(part.data);
        from += part?.data.length ?? 0;
        if (from >= size || !part?.data.length) controller.close();
      },
    });
    return new Response(body, range ? {
      status: 206, headers: { "Content-Range": `bytes ${begin}-${size - 1}/${size}` },
    } : { status: 200 });
  }

  /** The wheel that tuning takes, as a URL. @returns {Promise<string>} */
  async #wheel() {
    const response = await this.#fetch("https://kernel.invalid/webrt.whl");
    return URL.createObjectURL(await response.blob());
  }
}

/** @param {unknown} error */
const described = (error) => (
  error instanceof Error ? `${error.name}: ${error.message}` : String(error));
