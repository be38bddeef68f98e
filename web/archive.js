// A pack in one file, a ZIP archive of stored entries (zip.js): read from the page's memory, or off the
// network as it arrives. What the manifest says of each file decides.

import { PackError, UsageError } from "./errors.js";
import { Files, OfflineError, download } from "./fetch.js";
import { MANIFEST, MAX_MANIFEST_BYTES, parseManifest } from "./manifest.js";
import { Progress } from "./progress.js";
import { CUT, entriesOf, noPack } from "./zip.js";

/** @typedef {import("./fetch.js").Entry} Entry */
/** @typedef {import("./fetch.js").FileOptions} FileOptions */
/** @typedef {import("./zip.js").Reader} Reader */
/** @typedef {import("./zip.js").Stored} Stored */
/** @typedef {{resolve: (data: Uint8Array<ArrayBuffer>) => void, reject: (error: unknown) => void,
 *   progress: (bytes: number) => void}} Waiting */

/** Bytes that wait to be read, and shards that wait to be asked for. */
const MOST_QUEUED = 8 * 2 ** 20, MOST_SHARDS = 3;

/** Milliseconds after which a download that nobody asks more of ends: the next one to ask begins another. */
const IDLE_MS = 10_000;

/** Files of an archive that a page has. */
export class HeldFiles extends Files {
  /** @param {Uint8Array | Blob} source @param {FileOptions} options
   * @param {Progress} progress */
  constructor(source, options, progress) {
    super(new URL("blob:webrt"), { ...options, cache: false }, progress);
    this.source = source;
    /** @type {Map<string, Stored>} */
    this.stored = new Map();
  }

  again() {
    const files = new HeldFiles(this.source, this.kept, new Progress(this.progress.name));
    files.stored = this.stored;
    return files;
  }

  async rereadable() {
    return true;
  }

  /** @param {number} start @param {number} end @returns {Promise<Uint8Array<ArrayBuffer>>} a copy */
  async #slice(start, end) {
    const { source } = this;
    if (source instanceof Blob) return new Uint8Array(await source.slice(start, end).arrayBuffer());
    return new Uint8Array(source.subarray(start, end));
  }

  async manifest() {
    this.progress.initiate([{ file: MANIFEST, bytes: 0 }]);
    /** @type {Reader} */
    const reader = {
      at: 0,
      read: async (count) => {
        const part = await this.#slice(reader.at, reader.at + count);
        reader.at += part.length;
        return part;
      },
      skip: async (count) => {
        const { source } = this;
        reader.at += count;
        if (reader.at > (source instanceof Blob ? source.size : source.byteLength)) {
          throw new PackError(`${this.progress.name}: ${CUT}`);
        }
      },
    };
    for await (const entry of entriesOf(reader, this.progress.name)) this.stored.set(entry.name, entry);
    const data = await this.#manifest();
    const pack = await parseManifest(data, this.nameOf({ file: MANIFEST }));
    const known = entriesIn(pack);
    for (const name of this.stored.keys()) {
      if (name !== MANIFEST && !known.has(name)) throw strange(this.progress.name, name);
    }
    this.progress.file(MANIFEST, 0).done(data.length, true);
    return pack;
  }

  /** @returns {Promise<string | Uint8Array<ArrayBuffer>>} */
  async manifestOf() {
    return this.#manifest();
  }

  async #manifest() {
    const { start, size } = /** @type {Stored} */ (this.stored.get(MANIFEST));
    if (size > MAX_MANIFEST_BYTES) {
      throw new PackError(`${this.nameOf({ file: MANIFEST })}: is larger than ${MAX_MANIFEST_BYTES} bytes`);
    }
    return this.#slice(start, start + size);
  }

  /** @param {{file: string}} entry */
  nameOf({ file }) {
    return `${this.progress.name}/${file}`;
  }

  /** @param {Entry} entry @param {(bytes: number) => void} progress */
  async bytes(entry, progress) {
    this.signal.throwIfAborted();
    const stored = this.stored.get(entry.file);
    if (!stored) throw missing(this.progress.name, entry.file);
    const data = await this.#slice(stored.start, stored.start + stored.size);
    progress(data.length);
    return data;
  }
}

/** The files besides the manifest, by name. @param {import("./manifest.js").Pack} pack
 * @returns {Map<string, Entry>} */
function entriesIn({ wasm, records, checks, shards }) {
  const files = [...wasm.modules, records, checks, ...shards].filter((file) => file !== null);
  return new Map(files.map((file) => [file.file, file]));
}

/** @param {string} where @param {string} file */
const strange = (where, file) => (
  new PackError(`${where}: ${file} is no file of this pack; pack the model again`));

/** @param {string} where @param {string} file */
const missing = (where, file) => new PackError(`${where}: holds no ${file}; the pack is incomplete`);

/** Files of an archive on the network, which is read from its beginning to where nobody needs more of
 * it: what storage has, a visit downloads no further than the manifest for. */
export class StreamedFiles extends Files {
  /** @param {URL} url @param {FileOptions} options @param {Progress} [progress] */
  constructor(url, options, progress) {
    super(url, options, progress);
    /** @type {Map<string, Waiting>} files that are asked for */
    this.waiting = new Map();
    /** @type {Map<string, Uint8Array<ArrayBuffer>>} files that came before they were asked for */
    this.held = new Map();
    /** Files that the download under way is past. @type {Set<string>} */
    this.passed = new Set();
    /** @type {Map<string, Entry> | null} what the manifest names */
    this.entries = null;
    /** @type {Uint8Array<ArrayBuffer> | null} */
    this.manifestData = null;
    this.running = false;
    /** Whether what came wasn't what it should be: past every cache, then. */
    this.anew = false;
    /** Whether all is loaded: what is asked for later is fetched for itself. */
    this.loaded = false;
    /** @type {() => void} goes on where nobody needed more */
    this.wake = () => {};
    this.signal.addEventListener("abort", () => this.wake(), { once: true });
  }

  again() {
    const files = new StreamedFiles(this.base, this.kept);
    files.keeper = this.keeper;
    files.entries = this.entries;
    files.manifestData = this.manifestData;
    return files;
  }

  /** @param {{file: string}} entry */
  nameOf({ file }) {
    return `${this.base.href}/${file}`;
  }

  used() {
    super.used();
    this.loaded = true;
    this.held.clear();
    this.wake();
  }

  async manifest() {
    const cache = await this.cache;
    this.progress.initiate([{ file: MANIFEST, bytes: 0 }]);
    const told = this.progress.file(MANIFEST, 0);
    const name = this.nameOf({ file: MANIFEST });
    const entry = { file: MANIFEST, bytes: 0, sha256: "" };
    let data, offline = false;
    try {
      data = await this.bytes(entry, (bytes) => told.add(bytes), false);
    } catch (error) {
      offline = true;
      data = error instanceof OfflineError ? await cache?.manifest(this.base) : null;
      if (!data) throw error;
    }
    this.manifestData = data;
    const pack = await parseManifest(data, name);
    told.done(data.length, offline);
    if (!offline) this.keeper.later(async () => cache?.keepManifest(this.base, data));
    this.entries = entriesIn(pack);
    this.wake();
    return pack;
  }

  /** @returns {Promise<string | Uint8Array<ArrayBuffer>>} */
  async manifestOf() {
    return /** @type {Uint8Array<ArrayBuffer>} */ (this.manifestData);
  }

  /** @param {Entry} entry @param {(bytes: number) => void} progress @param {boolean} anew */
  bytes({ file }, progress, anew) {
    const held = this.held.get(file);
    this.held.delete(file);
    if (held && !anew) {
      progress(held.length);
      return Promise.resolve(held);
    }
    return new Promise((resolve, reject) => {
      this.waiting.set(file, { resolve, reject, progress });
      this.anew ||= anew;
      if (!this.running) this.#run();
      this.wake();
    });
  }

  /** Go through the archive until nobody waits any more. */
  async #run() {
    this.running = true;
    try {
      while (this.waiting.size) await this.#pass(this.anew ? "reload" : "default");
    } catch (error) {
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
    }
    this.running = false;
  }

  /** One download, as far as it is needed. @param {RequestCache} cache */
  async #pass(cache) {
    this.passed.clear();
    const inflow = new Inflow();
    const ending = new AbortController();
    const signal = AbortSignal.any([this.signal, ending.signal]);
    download(this.fetch, this.base, inflow, signal, cache).then(
      () => inflow.end(null), (error) => inflow.end(error));
    try {
      for await (const stored of entriesOf(inflow, this.base.href)) {
        const wanted = await this.#wanted(stored);
        if (wanted === "nothing") return;
        this.passed.add(stored.name);
        if (wanted === "it") await this.#take(stored, inflow);
      }
      for (const [file, { reject }] of this.waiting) {
        if (this.passed.has(file)) continue; // it was asked for too late: the next download has it
        this.waiting.delete(file);
        reject(missing(this.base.href, file));
      }
    } finally {
      ending.abort();
      inflow.close();
    }
  }

  /** Whether a file is to be read, or skipped; or whether nobody needs what follows.
   * @param {Stored} stored @returns {Promise<"it" | "another" | "nothing">} */
  async #wanted({ name, size }) {
    if (name === MANIFEST) {
      if (size > MAX_MANIFEST_BYTES) {
        throw new PackError(`${this.nameOf({ file: name })}: is larger than ${MAX_MANIFEST_BYTES} bytes`);
      }
      return this.waiting.has(name) ? "it" : "another";
    }
    const entry = await this.#entry(name);
    if (entry.bytes !== size) {
      throw new PackError(`${this.nameOf(entry)}: expected ${entry.bytes} bytes, found ${size}; `
        + "copy the pack again");
    }
    for (;;) {
      this.signal.throwIfAborted();
      if (this.waiting.has(name)) return "it";
      const later = [...this.waiting.keys()].some((file) => !this.passed.has(file));
      if (later) return !this.loaded && await this.#hasRoom(entry) ? "it" : "another";
      if (this.waiting.size || this.loaded) return "nothing";
      if (!await this.#woken(IDLE_MS)) {
        this.held.clear();
        return "nothing";
      }
    }
  }

  /** What the manifest, which may be at its reader still, says of a file. @param {string} name */
  async #entry(name) {
    while (!this.entries) {
      this.signal.throwIfAborted();
      await this.#woken();
    }
    const entry = this.entries.get(name);
    if (!entry) throw strange(this.base.href, name);
    return entry;
  }

  /** @param {number} [most] milliseconds to wait @returns {Promise<boolean>} whether something happened */
  #woken(most) {
    return new Promise((resolve) => {
      const timer = most && setTimeout(resolve, most, false);
      this.wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  /** Whether a file that nobody has asked for yet may be kept until somebody does. @param {Entry} entry */
  async #hasRoom({ file, sha256 }) {
    const shards = [...this.held.keys()].filter((name) => name.startsWith("weights"));
    if (file.startsWith("weights") && shards.length >= MOST_SHARDS) return false;
    return !await (await this.cache)?.has(sha256);
  }

  /** @param {Stored} stored @param {Inflow} inflow */
  async #take({ name, size }, inflow) {
    const data = new Uint8Array(size);
    let told = 0;
    for (let at = 0; at < size;) {
      const part = await inflow.some(size - at);
      if (!part) throw new PackError(`${this.base.href}: ${CUT}`);
      data.set(part, at);
      at += part.length;
      const waiting = this.waiting.get(name);
      waiting?.progress(at - told);
      if (waiting) told = at;
    }
    const waiting = this.waiting.get(name);
    if (!waiting) {
      this.held.set(name, data);
      return;
    }
    this.waiting.delete(name);
    if (told < size) waiting.progress(size - told);
    waiting.resolve(data);
  }
}

/** Bytes between a download, which it holds back, and who reads them. */
class Inflow {
  constructor() {
    /** Bytes received by the request under way; those before `seen` were received before. */
    this.length = 0;
    this.seen = 0;
    this.offline = true;
    /** @type {Uint8Array[]} */
    this.queue = [];
    this.queued = 0;
    this.at = 0;
    this.over = false;
    this.closed = false;
    /** @type {unknown} */
    this.error = null;
    /** @type {() => void} */
    this.arrived = () => {};
    /** @type {() => void} */
    this.drained = () => {};
  }

  /** @param {Uint8Array} chunk @returns {Promise<boolean>} */
  async add(chunk) {
    const known = Math.min(Math.max(this.seen - this.length, 0), chunk.length);
    this.length += chunk.length;
    this.seen = Math.max(this.seen, this.length);
    if (known < chunk.length) this.queue.push(chunk.subarray(known));
    this.queued += chunk.length - known;
    this.arrived();
    if (this.queued > MOST_QUEUED && !this.closed) {
      await new Promise((resolve) => { this.drained = () => resolve(undefined); });
    }
    return this.closed;
  }

  /** Nobody reads any more. */
  close() {
    this.closed = true;
    this.drained();
  }

  restart() {
    this.length = 0;
  }

  /** @param {URL} url @param {Error} reason */
  failure(url, reason) {
    const Kind = this.offline ? OfflineError : PackError;
    const what = this.offline ? "can't be fetched" : "the download broke off";
    return new Kind(`${url.href}: ${what}: ${reason.message}`);
  }

  /** @param {unknown} error why no more comes; null where that is all */
  end(error) {
    this.over = true;
    this.error = error;
    this.arrived();
  }

  /** The next bytes, `most` at most; null at the end. @param {number} most
   * @returns {Promise<Uint8Array | null>} */
  async some(most) {
    while (!this.queue.length) {
      if (this.error) throw this.error;
      if (this.over) return null;
      await new Promise((resolve) => { this.arrived = () => resolve(undefined); });
    }
    const [first] = this.queue;
    const part = first.subarray(0, most);
    if (part.length === first.length) this.queue.shift();
    else this.queue[0] = first.subarray(part.length);
    this.queued -= part.length;
    this.at += part.length;
    if (this.queued <= MOST_QUEUED) this.drained();
    return part;
  }

  /** @param {number} count @returns {Promise<Uint8Array<ArrayBuffer>>} */
  async read(count) {
    const data = new Uint8Array(count);
    let at = 0;
    while (at < count) {
      const part = await this.some(count - at);
      if (!part) break;
      data.set(part, at);
      at += part.length;
    }
    return data.subarray(0, at);
  }

  /** @param {number} count */
  async skip(count) {
    for (let left = count; left > 0;) {
      const part = await this.some(left);
      if (!part) return;
      left -= part.length;
    }
  }
}

/** The bytes of a buffer, which may be one that threads share, or of a view of it; null where there are
 * none. @param {any} source @returns {Uint8Array | null} */
export function bytesOf(source) {
  if (ArrayBuffer.isView(source)) {
    return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  }
  return /^\[object (Shared)?ArrayBuffer\]$/.test(`${Object.prototype.toString.call(source)}`)
    ? new Uint8Array(source) : null;
}

/**
 * The files of a pack in one file: its bytes, or where it is. Throws a UsageError for anything else, a
 * PackError for the URL of a model.
 * @param {unknown} source as the page gave it @param {URL | null} url
 * @param {FileOptions & import("./fetch.js").Told} options @returns {Files}
 */
export function archiveFiles(source, url, options) {
  if (url) {
    if (/\.onnx$/i.test(url.pathname)) throw noPack(null, url.href);
    return new StreamedFiles(url, options, new Progress(String(source), options.onProgress));
  }
  const bytes = source instanceof Blob ? source : bytesOf(source);
  if (!bytes) {
    throw new UsageError("InferenceSession.create takes the URL of a pack, a folder or a .webrt file, "
      + "or such a file's bytes");
  }
  const { name = "bytes" } = /** @type {{name?: string}} */ (bytes);
  return new HeldFiles(bytes, options, new Progress(name, options.onProgress));
}
