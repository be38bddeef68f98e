// The player in Node.js: what it takes from a browser, workers and files by URL, is made of Node's own.
// `import … from "webrt"` comes here by package.json; nothing of it is part of a page.
//
//   import { InferenceSession, Tensor } from "webrt";
//   const session = await InferenceSession.create("./pack");  // a path or a URL

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Readable } from "node:stream";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Worker as Thread } from "node:worker_threads";
import { InferenceSession } from "../webrt.js";

export * from "../webrt.js";
export { default } from "../webrt.js";

/** A browser's Worker over a thread of Node's. The process may end when nobody waits for an answer. */
class Worker {
  /** @param {URL} url of a module */
  constructor(url) {
    /** @type {((event: {data: any}) => void) | null} */
    this.onmessage = null;
    /** @type {((event: {message: string, preventDefault: () => void}) => void) | null} */
    this.onerror = null;
    this.waiting = 1; // each question has one answer; before the first one it says that it is ready
    this.thread = new Thread(new URL("./worker.js", import.meta.url), { workerData: url.href });
    this.thread.on("message", (data) => {
      if (--this.waiting === 0) this.thread.unref();
      this.onmessage?.({ data });
    });
    const fell = (/** @type {string} */ message) => this.onerror?.({ message, preventDefault() {} });
    this.thread.on("error", ({ message }) => fell(message));
    this.thread.on("exit", () => fell("a thread ended"));
  }

  /** @param {unknown} message @param {readonly ArrayBuffer[]} [transfer] */
  postMessage(message, transfer) {
    if (this.waiting++ === 0) this.thread.ref();
    this.thread.postMessage(message, transfer);
  }

  terminate() {
    this.onerror = null;
    this.thread.terminate();
  }
}

/** What the player looks for in a page; what Node has is left as it is. */
const page = { Worker, crossOriginIsolated: true, navigator: { hardwareConcurrency: availableParallelism() } };
for (const [name, value] of Object.entries(page)) {
  if (name in globalThis) continue;
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

const create = InferenceSession.create.bind(InferenceSession);
/** Files are read by path, too; there is no page that a worker would keep free.
 * @type {typeof InferenceSession.create} */
InferenceSession.create = (source, options, length, more) => {
  const inside = typeof options === "number"; // where a pack begins in an ArrayBuffer
  const given = { assets: new URL("../", import.meta.url), fetch: fetchFile,
    ...(inside ? more : options), worker: false };
  const place = typeof source === "string" ? urlOf(source) : source;
  return inside ? create(place, options, length, given) : create(place, given);
};

/** A URL as it stands, a path's otherwise; a drive's letter is no scheme. @param {string} source */
const urlOf = (source) => (/^[a-z][a-z0-9+.-]+:/i.test(source) ? new URL(source) : pathToFileURL(source));

/** `fetch` that reads files, too. @param {URL} url @param {RequestInit} options @returns {Promise<Response>} */
async function fetchFile(url, options) {
  if (url.protocol !== "file:") return fetch(url, options);
  const path = fileURLToPath(url);
  const found = await stat(path).catch(() => null);
  if (!found?.isFile()) return new Response(null, { status: 404 });
  return new Response(Readable.toWeb(createReadStream(path)));
}
