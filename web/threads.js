// The workers of a wasm device: started, told what to do, and found out when they fail.

import { DeviceError, DeviceLostError, messageOf } from "./errors.js";

/** @typedef {import("./wasm-worker.js").Operation} Operation */
/** @typedef {import("./wasm-worker.js").Message} Message */
/** @typedef {(ArrayBuffer | number[])[]} Results */
/** @typedef {{worker: Worker, done: ((answer: Done) => void) | null}} Thread */
/** What a worker says when it has done what it was asked.
 * @typedef {{entries?: number, refused?: string}} Done */

/** Memory that threads share is had for a maximum that the browser has to set aside: phones don't
 * have 4 GiB of addresses to give. */
const SHARED_PAGES = [65536, 32768, 16384];

/** A memory that threads can share; null where this page may have none. */
export function sharedMemory() {
  if (globalThis.crossOriginIsolated !== true) return null;
  for (const maximum of SHARED_PAGES) {
    try {
      const memory = new WebAssembly.Memory({ initial: 2, maximum, shared: true });
      return { memory, pages: maximum };
    } catch {
      // fewer, then
    }
  }
  return null;
}

/** Workers 0 … count - 1; the page talks to number 0. */
export class Threads {
  /** @param {Worker[]} workers */
  constructor(workers) {
    /** @type {Thread[]} */
    this.threads = workers.map((worker) => ({ worker, done: null }));
    /** @type {Map<number, {resolve: (results: Results) => void, reject: (error: Error) => void}>} */
    this.waiting = new Map();
    /** @type {(() => void)[] | null} what is said once all have loaded a module */
    this.held = null;
    this.count = 0;
    this.loaded = false;
    /** @type {DeviceError | null} */
    this.error = null;
    this.threads.forEach((thread) => {
      thread.worker.onmessage = ({ data }) => this.#hear(thread, data);
      thread.worker.onerror = (event) => {
        event.preventDefault();
        this.#fail(event.message || "a worker stopped");
      };
    });
  }

  /**
   * Start `count` workers over `memory`, or one with a memory of its own.
   * @param {number} count @param {WebAssembly.Memory | null} memory @param {string | URL} [assets]
   *   the folder of wasm-worker.js, where it isn't beside this file @returns {Promise<Threads>}
   */
  static async start(count, memory, assets) {
    const starting = Array.from({ length: count }, () => startWorker(assets));
    const ended = await Promise.allSettled(starting);
    const started = ended.flatMap((e) => (e.status === "fulfilled" ? [e.value] : []));
    const workers = started.map(({ worker }) => worker);
    const refused = ended.find((e) => e.status === "rejected");
    if (refused) {
      workers.forEach((worker) => worker.terminate());
      throw /** @type {PromiseRejectedResult} */ (refused).reason;
    }
    const threads = new Threads(workers);
    for (const { life } of started) threads.#watch(life);
    await threads.#ask((worker) => ({ type: "start", worker, workers: count, memory }));
    return threads;
  }

  /** A worker that is gone says nothing: but the lock that it held is free. @param {string | null} life */
  #watch(life) {
    if (life === null) return;
    navigator.locks.request(life, () => this.#fail("one of them is gone")).catch(() => {});
  }

  /** Instantiate a module everywhere; gives the number of its kernels, or why it was refused.
   * @param {WebAssembly.Module} module @returns {Promise<Done>} */
  async load(module) {
    if (this.loaded && this.threads.length > 1) this.run(1, [{ kind: "park" }], []).catch(() => {});
    this.held = [];
    try {
      const answers = await this.#ask(() => ({ type: "load", module }));
      const refused = answers.find((answer) => answer.refused !== undefined);
      this.loaded ||= !refused;
      return refused ?? answers[0];
    } finally {
      const { held } = this;
      this.held = null;
      for (const say of held) say();
    }
  }

  /** Tell every worker something, and wait until each has done it.
   * @param {(worker: number) => Message} message @returns {Promise<Done[]>} */
  #ask(message) {
    return Promise.all(this.threads.map((thread, j) => new Promise((resolve, reject) => {
      if (this.error) return reject(this.error);
      thread.done = resolve;
      this.waiting.set(-1 - j, { resolve, reject });
      thread.worker.postMessage(message(j));
      return undefined;
    })));
  }

  /**
   * Have worker 0 do operations over a memory of at least `pages`; gives what they result in.
   * @param {number} pages @param {Operation[]} operations @param {Transferable[]} transfer
   * @returns {Promise<Results>}
   */
  run(pages, operations, transfer) {
    return new Promise((resolve, reject) => {
      const say = () => {
        if (this.error) return reject(this.error);
        const id = this.count++;
        this.waiting.set(id, { resolve, reject });
        this.threads[0].worker.postMessage({ type: "run", id, pages, operations }, transfer);
        return undefined;
      };
      if (this.held) this.held.push(say);
      else say();
    });
  }

  /** @param {Thread} thread @param {any} message */
  #hear(thread, message) {
    if (message.type === "done") {
      this.waiting.delete(-1 - this.threads.indexOf(thread));
      thread.done?.(message);
    } else if (message.type === "answer") {
      const waiting = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if (message.refused) {
        waiting?.reject(new DeviceError(`the browser refuses a memory of ${message.refused} bytes; `
          + "try smaller inputs, or close other tabs"));
      } else {
        waiting?.resolve(message.results);
      }
    } else if (message.type === "failed") {
      this.#fail(message.message);
    }
  }

  /** A worker that fell leaves the others waiting for it: none can be used any more.
   * @param {string} reason */
  #fail(reason) {
    if (this.error) return;
    this.end(new DeviceLostError(`the wasm workers stopped: ${reason}; create the session again`));
  }

  /** Stop all workers; what they were doing ends in `error`. @param {DeviceError} error */
  end(error) {
    this.error ??= error;
    this.threads.forEach(({ worker }) => worker.terminate());
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of waiting) reject(this.error);
  }
}

/** A worker and the name of the lock that it holds, if it does.
 * @param {string | URL} [assets] @returns {Promise<{worker: Worker, life: string | null}>} */
async function startWorker(assets) {
  const ways = assets ? [() => assetWorker("wasm-worker.js", assets)] : [ownWorker,
    () => wrappedWorker(new URL("./wasm-worker.js", import.meta.url))];
  try {
    let life = null;
    const worker = await firstReady(ways, (message) => { ({ life } = message); });
    return { worker, life };
  } catch (error) {
    const reason = messageOf(error);
    throw new DeviceError(`a wasm worker can't start${reason && `: ${reason}`}; the page's `
      + "Content-Security-Policy must allow it (worker-src 'self'), and a page with "
      + "Cross-Origin-Embedder-Policy must send that header with wasm-worker.js too");
  }
}

function ownWorker() {
  checkOrigin(import.meta.url);
  // Bundlers know this very expression.
  return new Worker(new URL("./wasm-worker.js", import.meta.url), { type: "module" });
}

/** A worker of the player from a folder that the page names. @param {string} file
 * @param {string | URL} assets */
export function assetWorker(file, assets) {
  const folder = new URL(assets, globalThis.document?.baseURI ?? globalThis.location?.href);
  if (!folder.pathname.endsWith("/")) folder.pathname += "/";
  return new Worker(new URL(file, folder), { type: "module" });
}

/** A worker may come from the page's own origin only. @param {string} url */
export function checkOrigin(url) {
  if (new URL(url).origin !== globalThis.location?.origin) throw new Error("it lies on another origin");
}

/** A worker may import from other origins. It also takes the page's embedder policy over, which a
 * file served without that header has not. @param {URL} file */
export function wrappedWorker(file) {
  const source = `import ${JSON.stringify(file.href)};`;
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module" });
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return worker;
}

/** The first worker that says that it is there. @param {readonly (() => Worker)[]} ways
 * @param {(message: any) => void} [hear] what it says @returns {Promise<Worker>} */
export async function firstReady(ways, hear) {
  let reason = "";
  for (const way of ways) {
    try {
      return await ready(way(), hear);
    } catch (error) {
      reason ||= messageOf(error);
    }
  }
  throw new Error(reason);
}

/** @param {Worker} worker @param {(message: any) => void} [hear] @returns {Promise<Worker>} */
function ready(worker, hear) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      hear?.(data);
      resolve(worker);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      worker.terminate();
      reject(new Error(event.message || ""));
    };
  });
}
