// A pack's files: from the browser's storage or the network, whole and verified.

import { FileCache } from "./cache.js";
import { PackError, messageOf } from "./errors.js";
import { Keeper } from "./keeper.js";
import { MANIFEST, MAX_MANIFEST_BYTES, parseManifest } from "./manifest.js";
import { checkFile } from "./modules.js";
import { Progress } from "./progress.js";
import { FileHash } from "./sha256.js";

/** @typedef {import("./modules.js").WasmModule} WasmModule */
/** `cache: false` keeps nothing in the browser's storage, `cacheBytes` is what all packs of the
 * origin may take there. `fetch` stands in for the browser's own: to send headers, say, or to have
 * files from elsewhere.
 * @typedef {{signal?: AbortSignal, cache?: boolean, cacheBytes?: number,
 *   fetch?: (url: URL, options: RequestInit) => Promise<Response>}} FileOptions */
/** @typedef {{onProgress?: import("./progress.js").OnProgress}} Told */
/** What the manifest says of a file. @typedef {{file: string, bytes: number, sha256: string}} Entry */
/** Throws a PackError for a file that isn't what the manifest says; `name` is for messages.
 * @typedef {(data: Uint8Array<ArrayBuffer>, name: string, hash: FileHash) => Promise<unknown>} Verify */

/** A download that broke off goes on where it stopped, so many times. */
const RETRIES = 4;
const FIRST_PAUSE_MS = 250;

/** The files under one URL. */
export class Files {
  /** @param {URL} base @param {FileOptions} [options] @param {Progress} [progress] who is told */
  constructor(base, { signal, cache = true, cacheBytes, fetch } = {}, progress = new Progress(base.href)) {
    this.base = base;
    this.fetch = fetch ?? ((/** @type {URL} */ url, /** @type {RequestInit} */ init) => (
      globalThis.fetch(url, init)));
    this.kept = { cache, cacheBytes, fetch };
    this.progress = progress;
    this.stopping = new AbortController();
    this.signal = signal ? AbortSignal.any([signal, this.stopping.signal]) : this.stopping.signal;
    /** Files that were begun before anything asks for them.
     * @type {Map<string, Promise<Uint8Array<ArrayBuffer>>>} */
    this.begun = new Map();
    /** Files that came over the network, until they are handed to `keep`. @type {Set<string>} */
    this.fresh = new Set();
    /** What is to go into storage. */
    this.keeper = new Keeper();
    /** @type {Promise<FileCache | null>} */
    this.cache = cache ? FileCache.open(cacheBytes) : Promise.resolve(null);
  }

  /** The same files to read once more: whatever stopped these doesn't stop them, and nobody is told.
   * @returns {Files} */
  again() {
    const files = new Files(this.base, this.kept);
    files.keeper = this.keeper;
    return files;
  }

  /** Whether reading it all once more downloads nothing. @returns {Promise<boolean>} */
  async rereadable() {
    return await this.cache !== null;
  }

  /** End what is being downloaded: nobody wants it any more. */
  stop() {
    this.progress.over = true;
    this.stopping.abort();
    this.keeper.begin();
  }

  /** The pack is loaded: its files are the last that others may push out. What there is to keep is
   * kept after the first answer, or in a while. */
  used() {
    this.keeper.later(async () => (await this.cache)?.touch());
    this.keeper.idle();
  }

  /** The manifest: as it is on the network now, or, without a network, as it was last.
   * @returns {Promise<import("./manifest.js").Pack>} */
  async manifest() {
    const url = new URL(MANIFEST, this.base);
    this.progress.initiate([{ file: MANIFEST, bytes: 0 }]);
    const told = this.progress.file(MANIFEST, 0);
    let data;
    try {
      data = await this.#download(url, null, (bytes) => told.add(bytes));
    } catch (error) {
      data = error instanceof OfflineError ? await (await this.cache)?.manifest(url) : null;
      if (!data) throw error;
      told.done(data.length, true);
      return parseManifest(data, url.href);
    }
    const pack = await parseManifest(data, url.href);
    told.done(data.length, false);
    this.keeper.later(async () => (await this.cache)?.keepManifest(url, data));
    return pack;
  }

  /** A module's bytes, verified. @param {WasmModule} module */
  module(module) {
    return this.file(module, (...found) => checkFile(module, ...found));
  }

  /** `ahead` of a module. @param {WasmModule} module */
  moduleAhead(module) {
    this.progress.initiate([module]);
    this.ahead(module, (...found) => checkFile(module, ...found));
  }

  /** The manifest for a worker: where it is, or its bytes.
   * @returns {Promise<string | Uint8Array<ArrayBuffer>>} */
  async manifestOf() {
    const url = new URL(MANIFEST, this.base);
    if (!this.kept.fetch) return url.href;
    const response = await this.fetch(url, { signal: this.signal });
    return new Uint8Array(await response.arrayBuffer());
  }

  /** A file's name in messages. @param {{file: string}} entry @returns {string} */
  nameOf({ file }) {
    return new URL(file, this.base).href;
  }

  /** Begin with a file that will be needed: `take` takes it up. @param {Entry} entry
   * @param {Verify} verify */
  ahead(entry, verify) {
    const data = this.take(entry, verify);
    data.catch(() => {}); // whoever takes it up will hear of it
    this.begun.set(entry.file, data);
    return data;
  }

  /**
   * A file's bytes after `verify` has passed them; they are kept, so leave them as they are.
   * @param {Entry} entry @param {Verify} verify @returns {Promise<Uint8Array<ArrayBuffer>>}
   */
  async file(entry, verify) {
    const data = await this.take(entry, verify);
    await this.keep(entry, data);
    return data;
  }

  /** Have a file kept for the next visit, if it isn't yet: `data`, which nobody else needs any more.
   * Settles when another one may come. @param {Entry} entry @param {Uint8Array<ArrayBuffer>} data */
  async keep({ sha256 }, data) {
    if (!this.fresh.delete(sha256)) return;
    const cache = await this.cache;
    if (cache) await this.keeper.later(() => cache.put(sha256, data), data.length, sha256);
  }

  /** `file` for those who hand the bytes to `keep` when they are done with them.
   * @param {Entry} entry @param {Verify} verify @returns {Promise<Uint8Array<ArrayBuffer>>} */
  take(entry, verify) {
    const begun = this.begun.get(entry.file);
    this.begun.delete(entry.file);
    return begun ?? this.#file(entry, verify);
  }

  /** @param {Entry} entry @param {Verify} verify */
  async #file(entry, verify) {
    const told = this.progress.file(entry.file, entry.bytes);
    const cache = await this.cache;
    await this.keeper.stored(entry.sha256);
    const kept = await cache?.get(entry.sha256);
    if (kept) {
      try {
        await verify(kept, this.nameOf(entry), new FileHash());
        told.done(kept.length, true);
        return kept;
      } catch {
        await cache?.remove(entry.sha256);
      }
    }
    const data = await this.#verified(entry, verify, (bytes) => told.add(bytes));
    told.done(data.length, false);
    this.fresh.add(entry.sha256);
    return data;
  }

  /** Had once more, past every cache, where the first answer isn't what it should be.
   * @param {Entry} entry @param {Verify} verify @param {(bytes: number) => void} progress */
  async #verified(entry, verify, progress) {
    const hash = new FileHash();
    const first = await this.bytes(entry, progress, false, hash);
    try {
      await verify(first, this.nameOf(entry), hash);
      return first;
    } catch (error) {
      if (!(error instanceof PackError)) throw error;
      progress(-first.length);
    }
    const data = await this.bytes(entry, progress, true);
    await verify(data, this.nameOf(entry), new FileHash());
    return data;
  }

  /** A file's bytes, not verified; `progress` gets how many more of them are there, a negative number
   * where they must be had again. What goes into our own cache isn't put into the browser's too.
   * @param {Entry} entry @param {(bytes: number) => void} progress
   * @param {boolean} anew past every cache @param {FileHash} [hash] may hash them as they arrive
   * @returns {Promise<Uint8Array<ArrayBuffer>>} */
  async bytes(entry, progress, anew, hash) {
    const url = new URL(entry.file, this.base);
    const cache = anew ? "reload" : await this.cache ? "no-store" : "default";
    return this.#download(url, entry.bytes, progress, cache, hash);
  }

  /** The bytes of a file that should have `bytes` of them (null: at most a manifest's).
   * @param {URL} url @param {number | null} bytes @param {(bytes: number) => void} progress
   * @param {RequestCache} [cache] @param {FileHash} [hash] */
  async #download(url, bytes, progress, cache = "default", hash = undefined) {
    const received = new Received(bytes ?? MAX_MANIFEST_BYTES, bytes !== null, progress, hash);
    await download(this.fetch, url, received, this.signal, cache);
    return received.bytes();
  }
}

/** The files of a pack: at the URL of a folder, of one file (`.webrt`, a blob), or in memory.
 * @param {unknown} source @param {FileOptions & Told} options
 * @returns {Promise<Files>} */
export async function filesOf(source, options) {
  const isUrl = typeof source === "string" || source instanceof URL;
  const url = isUrl && new URL(source, globalThis.document?.baseURI ?? globalThis.location?.href);
  if (!url || /\.(webrt|onnx)$/i.test(url.pathname) || /^(blob|data):$/.test(url.protocol)) {
    return (await import("./archive.js")).archiveFiles(source, url || null, options);
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return new Files(url, options, new Progress(String(source), options.onProgress));
}

/** What a download goes into. `add` says whether that is all that may come, `length` counts bytes of
 * the file, `restart` begins it again; `offline` is true until a server answers.
 * @typedef {{length: number, offline: boolean, restart: () => void,
 *   add: (chunk: Uint8Array) => boolean | Promise<boolean>,
 *   failure: (url: URL, reason: Error) => Error}} Sink */

/** Download a file, going on where it breaks off.
 * @param {Files["fetch"]} fetch @param {URL} url @param {Sink} received @param {AbortSignal} signal
 * @param {RequestCache} cache */
export async function download(fetch, url, received, signal, cache) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await receive(fetch, url, received, { signal, cache });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof BrokenError)) throw error;
      if (attempt === RETRIES || received.offline) throw received.failure(url, error);
    }
    await pause(FIRST_PAUSE_MS * 2 ** attempt, signal);
  }
}

/** A download that may be tried again. */
class BrokenError extends Error {}

/** Nothing answered: a file that was kept may do. */
export class OfflineError extends PackError {}

/** What there is of a file, in one array of its size. */
class Received {
  /** @param {number} most @param {boolean} known @param {(bytes: number) => void} progress
   * @param {FileHash} [hash] */
  constructor(most, known, progress, hash) {
    this.most = most;
    this.data = new Uint8Array(known ? most : 1 << 16);
    this.length = 0;
    this.progress = progress;
    this.hash = hash;
    /** Whether no server has answered yet. */
    this.offline = true;
  }

  /** @param {Uint8Array} chunk @returns {boolean} whether that is all that may be */
  add(chunk) {
    const part = chunk.subarray(0, this.most + 1 - this.length);
    if (this.length + part.length > this.data.length) {
      const data = new Uint8Array(Math.max(2 * this.data.length, this.length + part.length));
      data.set(this.data.subarray(0, this.length));
      this.data = data;
    }
    this.data.set(part, this.length);
    this.length += part.length;
    this.hash?.advance(this.data, this.length);
    this.progress(part.length);
    return this.length > this.most;
  }

  restart() {
    this.progress(-this.length);
    this.hash?.restart();
    this.length = 0;
  }

  bytes() {
    return this.length === this.data.length ? this.data : this.data.slice(0, this.length);
  }

  /** @param {URL} url @param {Error} reason */
  failure(url, reason) {
    const Kind = this.offline ? OfflineError : PackError;
    const what = this.offline ? "can't be fetched" : "the download broke off";
    return new Kind(`${url.href}: ${what}: ${reason.message}`);
  }
}

/** One request for what is missing; throws a BrokenError where another one may bring the rest.
 * @param {(url: URL, options: RequestInit) => Promise<Response>} fetch @param {URL} url
 * @param {Sink} received @param {RequestInit} options */
async function receive(fetch, url, received, options) {
  const from = received.length;
  const headers = from ? { Range: `bytes=${from}-` } : undefined;
  const response = await fetch(url, { ...options, headers }).catch((error) => {
    throw new BrokenError(messageOf(error));
  });
  received.offline = false;
  const { status, body } = response;
  if (status >= 500 || status === 429) throw new BrokenError(`HTTP status ${status}`);
  if (!response.ok || !body) {
    throw new PackError(`${url.href}: HTTP status ${status}; the pack is not there or incomplete`);
  }
  if (from && (status !== 206 || !continues(response, from))) received.restart();
  const reader = body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (!(await received.add(part.value))) continue;
      reader.cancel().catch(() => {});
      break;
    }
  } catch (error) {
    throw new BrokenError(messageOf(error));
  }
}

/** Whether an answer begins at byte `from`; where the header can't be seen, the hash will tell.
 * @param {Response} response @param {number} from */
function continues(response, from) {
  const range = response.headers.get("Content-Range");
  return range === null || range.startsWith(`bytes ${from}-`);
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
  });
}
