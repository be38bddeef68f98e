// A session in a worker (`worker: true`): the page's side. What a page calls is what it would call on
// a session of its own; session-worker.js does it.

import * as errors from "./errors.js";
import { readFetches } from "./fetches.js";
import { InferenceSession } from "./session.js";
import { TYPES, Tensor, isType } from "./tensor.js";
import { assetWorker, checkOrigin, firstReady, wrappedWorker } from "./threads.js";

const { DeviceError, DeviceLostError, UsageError, WebrtError, messageOf } = errors;

/** @typedef {import("./session-worker.js").Reply} Reply */
/** @typedef {import("./session-worker.js").Request} Request */
/** @typedef {import("./session-worker.js").Sent} Sent */
/** @typedef {import("./session-worker.js").SentError} SentError */
/** @typedef {import("./session-worker.js").State} State */
/** @typedef {import("./session-worker.js").Signature} Signature */
/** @typedef {import("./session.js").Options} Options */
/** @typedef {import("./bind.js").Feeds} Feeds */
/** @typedef {import("./records.js").Outcome} Outcome */
/** @typedef {import("./auto.js").Times} Times */
/** @typedef {{resolve: (value: any) => void, reject: (error: unknown) => void}} Waiting */

/** Options that are URLs, which mean another thing in a worker where they are relative. */
const URLS = /** @type {const} */ (["records", "postRecords", "pyodide", "wheel", "assets"]);

/** Errors of the language that may cross too. @type {Record<string, new (message: string) => Error>} */
const NATIVE = { TypeError, RangeError, SyntaxError, ReferenceError };

let count = 0;

/** The worker, and what is asked of it. */
class Link {
  /** @param {Worker} worker */
  constructor(worker) {
    this.worker = worker;
    this.lock = `webrt worker ${Date.now()} ${Math.random()} ${count++}`;
    /** @type {Map<number, Waiting>} */
    this.waiting = new Map();
    this.next = 0;
    /** @type {Error | null} why nothing can be asked any more */
    this.over = null;
    this.ending = new AbortController();
    /** @type {(reply: Reply) => void} */
    this.hear = () => {};
    /** @type {(state: State) => void} */
    this.changed = () => {};
    worker.onmessage = ({ data }) => this.#hear(data);
    worker.onmessageerror = () => this.#lost("what it said can't be read");
    worker.onerror = (event) => {
      event.preventDefault();
      this.#lost(event.message || "it failed");
    };
  }

  /** Ask, and wait for the answer. @param {object} request but for its `id`
   * @param {Transferable[]} [transfer] @param {AbortSignal} [signal] @returns {Promise<any>} */
  ask(request, transfer = [], signal = undefined) {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      if (this.over) throw this.over;
      try {
        this.worker.postMessage({ ...request, id }, transfer);
      } catch (error) {
        throw new UsageError(`this can't be handed to a worker: ${messageOf(error)}`);
      }
      const stop = () => {
        this.waiting.delete(id);
        this.worker.postMessage({ type: "abort", id });
        reject(signal?.reason);
      };
      const settled = (/** @type {(value: any) => void} */ settle) => (/** @type {any} */ value) => {
        signal?.removeEventListener("abort", stop);
        settle(value);
      };
      this.waiting.set(id, { resolve: settled(resolve), reject: settled(reject) });
      signal?.addEventListener("abort", stop, { once: true });
    });
  }

  /** @param {Reply & {state?: State}} reply */
  #hear(reply) {
    if (reply.state) this.changed(reply.state);
    if (reply.type === "held") this.#watch();
    else if (reply.type === "answer" || reply.type === "error") {
      const waiting = this.waiting.get(reply.id);
      this.waiting.delete(reply.id);
      if (reply.type === "answer") waiting?.resolve(reply.value);
      else waiting?.reject(errorOf(reply.error));
    } else {
      this.hear(reply);
    }
  }

  /** A worker that ends says nothing, but lets go of its lock. */
  #watch() {
    navigator.locks.request(this.lock, { signal: this.ending.signal }, () => this.#lost("it ended"))
      .catch(() => {});
  }

  /** @param {string} reason */
  #lost(reason) {
    this.end(new DeviceLostError(`the session's worker is lost: ${reason}; create the session again`));
  }

  /** Stop the worker; what waits for it ends in `error`. @param {Error} error */
  end(error) {
    if (this.over) return;
    this.over = error;
    this.ending.abort();
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

/** A session that runs in a worker. */
class RemoteSession extends InferenceSession {
  #link;
  /** @type {Promise<void> | null} */
  #released = null;

  /** @param {Link} link @param {Signature} signature @param {State} state
   * @param {{tuned: Promise<Outcome | null>, compared: Promise<Times | null>}} later */
  constructor(link, signature, state, { tuned, compared }) {
    super(/** @type {any} */ ({
      pack: { inputs: [], outputs: [] }, device: { info: state.deviceInfo },
      kernels: { compiled: 0 }, shapes: null, float16: state.float16 }));
    this.#link = link;
    Object.assign(this, signature, state);
    link.changed = (now) => Object.assign(this, now);
    this.tuned = tuned;
    this.compared = compared;
  }

  /** @param {Feeds} feeds @param {Parameters<InferenceSession["run"]>[1]} [fetches]
   * @param {import("./session.js").RunOptions} [options] @returns {Promise<Record<string, Tensor>>} */
  async run(feeds, fetches, options) {
    if (this.#released) throw new UsageError("the session is closed");
    const { asked, options: { signal } } = readFetches(this.outputNames, fetches, options);
    signal?.throwIfAborted();
    /** @type {ArrayBuffer[]} */
    const transfer = [];
    const sent = Object.fromEntries(Object.entries(feeds ?? {}).map(([name, feed]) => (
      [name, sentTensor(name, feed, transfer)])));
    /** @type {Record<string, Sent>} */
    const outputs = await this.#link.ask(
      { type: "run", feeds: sent, fetches: [...asked.keys()] }, transfer, signal);
    const texts = Object.values(outputs).some(({ type }) => type === "string")
      ? await import("./texts.js") : null;
    const made = Object.fromEntries(Object.entries(outputs).map(([name, { type, dims, array }]) => (
      [name, texts && type === "string" ? texts.stringTensor(array, dims ?? [])
        : new Tensor(/** @type {Tensor["type"]} */ (type), array, dims ?? [])])));
    const given = [...asked.values()].some((tensor) => tensor);
    return given ? (await import("./given.js")).filled(made, asked) : made;
  }

  /** @returns {Promise<import("./insight-verify.js").Verdict>} */
  verify() {
    return this.#call("verify");
  }

  /** @param {import("./insight-profile.js").ProfileOptions} [options]
   * @returns {Promise<import("./insight-profile.js").Profile>} */
  async profile({ feeds, ...options } = {}) {
    const { withTrace } = await import("./insight-profile.js");
    const copies = feeds && Object.fromEntries(Object.entries(feeds).map(([name, feed]) => (
      [name, { type: feed.type, dims: [...feed.dims], data: feed.data }])));
    return withTrace(await this.#call("profile", { ...options, ...(copies && { feeds: copies }) }));
  }

  /** @returns {Promise<import("./insight-explain.js").Explanation>} */
  explain() {
    return this.#call("explain");
  }

  /** @param {string} method @param {unknown[]} args plain data @returns {Promise<any>} */
  async #call(method, ...args) {
    if (this.#released) throw new UsageError("the session is closed");
    return this.#link.ask({ type: "call", method, args });
  }

  /** @returns {Promise<void>} */
  release() {
    this.#released ??= this.#link.ask({ type: "release" }).catch(() => {}).then(() => {
      this.#link.end(new UsageError("the session is closed"));
    });
    return this.#released;
  }
}

/** A copy of a feed's data on its way; `transfer` gets its memory. What is no tensor goes as what it
 * lacks: the session says what is wrong with it.
 * @param {string} name @param {any} feed @param {ArrayBuffer[]} transfer @returns {Sent | null} */
function sentTensor(name, feed, transfer) {
  if (feed === undefined || feed === null) return null;
  const { type, dims, location = "cpu" } = feed;
  if (location !== "cpu") {
    throw new UsageError(`input '${name}': a tensor on the page's ${location} can't go to a worker; `
      + "create the session without `worker`");
  }
  if (!isType(type) || !dims) return { type: String(type), dims: null };
  const { data } = feed instanceof Tensor ? feed : new Tensor(type, feed.data, dims);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  transfer.push(bytes.buffer);
  return { type, dims: [...dims], array: new TYPES[type].array(bytes.buffer) };
}

/** The error that a worker's was. @param {SentError} sent @returns {Error} */
function errorOf({ name, message, stack }) {
  const ours = Object.values(errors).find((Kind) => (
    "className" in Kind && Kind.className === name)) ?? (name === "WebrtError" ? WebrtError : null);
  if (!ours && !(name in NATIVE)) return new DOMException(message, name);
  const Kind = /** @type {new (message: string) => Error} */ (ours ?? NATIVE[name]);
  const error = new Kind(message);
  if (stack) error.stack = stack;
  return error;
}

/**
 * `InferenceSession.create` in a worker of its own.
 * @param {any} source @param {Options} options @returns {Promise<InferenceSession>}
 */
export async function createRemote(source, { signal, onProgress, worker, ...options }) {
  void worker;
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  const absolute = (/** @type {unknown} */ url) => new URL(String(url), base).href;
  const urls = URLS.flatMap((name) => (
    options[name] === undefined ? [] : [[name, absolute(options[name])]]));
  const isUrl = typeof source === "string" || source instanceof URL;
  const link = new Link(await startWorker(options.assets && absolute(options.assets)));
  const { signal: ended } = link.ending;
  const stop = () => link.end(/** @type {Error} */ (signal?.reason));
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop, { once: true, signal: ended });
  /** @type {Record<string, (value: any) => void>} */
  const settle = {};
  const later = (/** @type {string} */ name) => new Promise((resolve) => {
    settle[name] = resolve;
    ended.addEventListener("abort", () => resolve(null)); // a worker that is lost says nothing
  });
  const promised = { tuned: later("tuned"), compared: later("compared") };
  link.hear = (reply) => {
    if (reply.type === "progress") tell(onProgress, reply.info, isUrl ? String(source) : null);
    else if (reply.type === "tuned" || reply.type === "compared") settle[reply.type](reply.value);
  };
  /** @type {State | undefined} */
  let state;
  link.changed = (now) => { state = now; };
  try {
    const { lock } = link;
    const [given, transfer] = isUrl ? [absolute(source), []] : await sentBytes(source);
    const request = { type: "create", lock, source: given,
      options: { ...options, ...Object.fromEntries(urls) } };
    const signature = await link.ask(request, transfer);
    const session = new RemoteSession(link, signature, /** @type {State} */ (state), promised);
    signal?.removeEventListener("abort", stop);
    signal?.addEventListener("abort", () => link.worker.postMessage({ type: "abort", id: null }),
      { once: true, signal: ended });
    return session;
  } catch (error) {
    link.end(/** @type {Error} */ (error));
    throw error;
  }
}

/** A copy of bytes on its way, and what of it is transferred; a Blob goes as it is.
 * @param {unknown} source @returns {Promise<[unknown, ArrayBuffer[]]>} */
async function sentBytes(source) {
  const bytes = (await import("./archive.js")).bytesOf(source);
  if (!bytes) return [source, []];
  const { buffer } = new Uint8Array(bytes);
  return [buffer, [buffer]];
}

/** @param {Options["onProgress"]} onProgress
 * @param {import("./progress.js").ProgressInfo} info @param {string | null} name as the page gave it */
function tell(onProgress, info, name) {
  onProgress?.(name === null ? info : { ...info, name });
}

/** @param {string} [assets] @returns {Promise<Worker>} */
async function startWorker(assets) {
  try {
    return await firstReady(waysToStart(assets));
  } catch (error) {
    const reason = messageOf(error);
    throw new DeviceError(`the session's worker can't start${reason && `: ${reason}`}; the page's `
      + "Content-Security-Policy must allow it (worker-src 'self'), and a page with "
      + "Cross-Origin-Embedder-Policy must send that header with session-worker.js too");
  }
}

/** @param {string} [assets] */
function waysToStart(assets) {
  const file = "session-worker.js";
  if (assets) return [() => assetWorker(file, assets)];
  if (!new URL(import.meta.url).pathname.endsWith("/remote.js")) return [bundledWorker];
  return [() => ownWorker(file), () => wrappedWorker(new URL(file, import.meta.url))];
}

/** @param {string} file */
function ownWorker(file) {
  checkOrigin(import.meta.url);
  return new Worker(new URL(file, import.meta.url), { type: "module" });
}

function bundledWorker() {
  checkOrigin(import.meta.url);
  // Bundlers know this very expression.
  return new Worker(new URL("./session-bundle.js", import.meta.url), { type: "module" });
}
