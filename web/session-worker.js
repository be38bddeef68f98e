// The worker that a session of `worker: true` runs in; remote.js is the page's side of it.

import { UsageError } from "./errors.js";
import { InferenceSession } from "./session.js";
import { Tensor } from "./tensor.js";

/** A tensor on its way. `array` is its data, in a buffer that goes along.
 * @typedef {{type: string, dims: readonly number[] | null, array?: any}} Sent */
/** What an error becomes. @typedef {{name: string, message: string, stack?: string}} SentError */
/** What a session says of itself; it changes as tuning goes, and where another device takes over.
 * @typedef {Pick<InferenceSession, "deviceInfo" | "float16" | "compiledKernels">} State */
/** @typedef {"inputNames" | "outputNames" | "inputMetadata" | "outputMetadata"} Fixed */
/** What stays as it is. @typedef {Pick<InferenceSession, Fixed>} Signature */
/** What the page asks for: each is answered but `abort`, which ends request `id` or, without one,
 * what the session's own signal would.
 * @typedef {{type: "create", id: number, lock: string, source: any, options: any}
 *   | {type: "run", id: number, feeds: Record<string, Sent | null>, fetches?: readonly string[]}
 *   | {type: "call", id: number, method: string, args: unknown[]}
 *   | {type: "abort", id: number | null} | {type: "release", id: number}} Request */
/** @typedef {{type: "held"} | {type: "progress", info: import("./progress.js").ProgressInfo}
 *   | {type: "tuned", value: import("./records.js").Outcome | null}
 *   | {type: "compared", value: import("./auto.js").Times | null}
 *   | {type: "answer", id: number, value?: any} | {type: "error", id: number, error: SentError}} Reply */

/** @type {{postMessage: (message: unknown, transfer?: Transferable[]) => void,
 *   onmessage: ((event: {data: Request}) => void) | null}} */
const page = /** @type {any} */ (globalThis);

/** @type {InferenceSession & Record<string, any>} */
let session;
/** @type {State | null} as the page knows it */
let known = null;
const stopping = new AbortController();
/** @type {Map<number, AbortController>} runs under way */
const running = new Map();

/** @param {Reply} reply @param {Transferable[]} [transfer] */
const say = (reply, transfer) => page.postMessage({ ...reply, state: changed() }, transfer);

page.onmessage = ({ data }) => {
  if (data.type === "abort") {
    (data.id === null ? stopping : running.get(data.id))?.abort();
    return;
  }
  answer(data).catch((error) => say({ type: "error", id: data.id, error: sentError(error) }));
};
page.postMessage({ type: "ready" });

/** @param {Exclude<Request, {type: "abort"}>} request */
async function answer(request) {
  const { id } = request;
  if (request.type === "create") say({ type: "answer", id, value: await create(request) });
  else if (request.type === "run") await run(request);
  else if (request.type === "release") say({ type: "answer", id, value: await session.release() });
  else say({ type: "answer", id, value: await call(request) });
}

/** @param {Request & {type: "create"}} request @returns {Promise<Signature>} */
async function create({ lock, source, options }) {
  hold(lock);
  session = await InferenceSession.create(source, {
    ...options, signal: stopping.signal,
    onProgress: (info) => say({ type: "progress", info }),
  });
  session.tuned.then((value) => say({ type: "tuned", value }));
  session.compared.then((value) => say({ type: "compared", value }));
  const { inputNames, outputNames, inputMetadata, outputMetadata } = session;
  return { inputNames, outputNames, inputMetadata, outputMetadata };
}

/** Hold a lock for as long as this worker lives: when the page is given it, the worker is gone.
 * @param {string} lock */
function hold(lock) {
  navigator.locks?.request(lock, () => {
    say({ type: "held" });
    return new Promise(() => {});
  }).catch(() => {}); // then only errors tell
}

/** @param {Request & {type: "run"}} request */
async function run({ id, feeds, fetches }) {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    const outputs = await session.run(
      /** @type {import("./bind.js").Feeds} */ (mapped(feeds, received)), fetches,
      { signal: controller.signal });
    const sent = mapped(outputs, ({ type, dims, data }) => ({ type, dims, array: data }));
    const buffers = Object.values(sent).flatMap(({ array }) => array.buffer ?? []); // not of strings
    say({ type: "answer", id, value: sent }, [...new Set(buffers)]);
  } finally {
    running.delete(id);
  }
}

/** @param {Sent | null} feed */
function received(feed) {
  if (!feed?.dims) return feed; // bind.js says what is wrong with it
  return new Tensor(/** @type {import("./tensor.js").Type} */ (feed.type), feed.array, feed.dims);
}

/** @param {Request & {type: "call"}} request */
async function call({ method, args }) {
  if (!["verify", "profile", "explain"].includes(method)) {
    throw new UsageError(`a session has no ${method}()`);
  }
  const found = await session[method](...args);
  // What can be called stays here: the page adds it anew.
  return Object.fromEntries(Object.entries(found).filter(([, value]) => typeof value !== "function"));
}

/** What the page doesn't know of the session yet. @returns {State | undefined} */
function changed() {
  if (!session) return undefined;
  const { deviceInfo, float16, compiledKernels } = session;
  if (known?.deviceInfo === deviceInfo && known.compiledKernels === compiledKernels) return undefined;
  known = { deviceInfo, float16, compiledKernels };
  return known;
}

/** Errors lose their class on their way: the page makes them anew. @param {any} error
 * @returns {SentError} */
function sentError(error) {
  if (!(error instanceof Error || error instanceof DOMException)) {
    return { name: "Error", message: String(error) };
  }
  return { name: error.name, message: error.message, stack: error.stack };
}

/** @template A, B @param {Record<string, A>} object @param {(value: A) => B} change
 * @returns {Record<string, B>} */
function mapped(object, change) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
}
