// Files of packs in the browser's Cache Storage, under their sha256: a second visit downloads none.

/** A name of ours in every origin's storage; its number changes when what is in it does. */
const NAME = "webrt-1";

/** Keys must be http URLs; nothing is ever requested from this one. */
const ROOT = "https://webrt.invalid/";
const INDEX = `${ROOT}index`;

/** What is kept at most, where the browser would give more. */
const MOST_BYTES = 8 * 2 ** 30;

/** When each file was last used, in milliseconds of the clock.
 * @typedef {Record<string, {bytes: number, used: number}>} Index */

/** The files of this origin's packs. What storage refuses is left out: a cache is no promise. */
export class FileCache {
  /** @param {Cache} cache @param {number} most bytes in all */
  constructor(cache, most) {
    this.cache = cache;
    this.most = most;
    /** Files of this pack: never given up for one another. @type {Set<string>} */
    this.mine = new Set();
    /** The last change of the index. @type {Promise<void>} */
    this.turn = Promise.resolve();
  }

  /** Null where there is none: in some private windows, on pages without https.
   * @param {number} [most] bytes in all @returns {Promise<FileCache | null>} */
  static async open(most) {
    try {
      const cache = await caches.open(NAME);
      const { quota = MOST_BYTES } = await navigator.storage.estimate();
      return new FileCache(cache, most ?? Math.min(MOST_BYTES, quota / 4));
    } catch {
      return null;
    }
  }

  /** A file's bytes, as they were put. @param {string} sha256
   * @returns {Promise<Uint8Array<ArrayBuffer> | null>} */
  async get(sha256) {
    this.mine.add(sha256);
    return this.#read(`${ROOT}${sha256}`);
  }

  /** Whether there is a file of this name. @param {string} sha256 @returns {Promise<boolean>} */
  async has(sha256) {
    return this.cache.match(`${ROOT}${sha256}`).then(Boolean, () => false);
  }

  /** The manifest that was last seen at a URL. @param {URL} url */
  manifest(url) {
    return this.#read(`${ROOT}manifest?${encodeURIComponent(url.href)}`);
  }

  /** What was noted under a key. @param {string} key */
  note(key) {
    return this.#read(`${ROOT}note?${encodeURIComponent(key)}`);
  }

  /** @param {string} key @param {Uint8Array<ArrayBuffer>} data */
  keepNote(key, data) {
    return this.#write(`${ROOT}note?${encodeURIComponent(key)}`, data);
  }

  /** @param {URL} url @param {Uint8Array<ArrayBuffer>} data */
  async keepManifest(url, data) {
    await this.#write(`${ROOT}manifest?${encodeURIComponent(url.href)}`, data);
  }

  /** Keep a file that was verified; others that weren't used for longest make room for it.
   * @param {string} sha256 @param {Uint8Array<ArrayBuffer>} data */
  put(sha256, data) {
    const { length } = data;
    const body = new Response(data); // a copy: what the caller does with `data` is their affair
    return this.#change(async (index) => {
      await this.#makeRoom(index, length);
      if (await this.#store(`${ROOT}${sha256}`, body)) {
        index[sha256] = { bytes: length, used: Date.now() };
      }
    });
  }

  /** Forget a file that isn't what its name says. @param {string} sha256 */
  async remove(sha256) {
    await this.cache.delete(`${ROOT}${sha256}`).catch(() => false);
  }

  /** Note that this pack's files were used now. */
  touch() {
    return this.#change((index) => {
      for (const sha256 of this.mine) if (index[sha256]) index[sha256].used = Date.now();
    });
  }

  /** Give up files of other packs until `bytes` more fit. @param {Index} index @param {number} bytes */
  async #makeRoom(index, bytes) {
    const rest = Object.entries(index).filter(([sha256]) => !this.mine.has(sha256));
    rest.sort(([, a], [, b]) => a.used - b.used);
    let total = Object.values(index).reduce((sum, entry) => sum + entry.bytes, bytes);
    for (const [sha256, entry] of rest) {
      if (total <= this.most) break;
      await this.remove(sha256);
      delete index[sha256];
      total -= entry.bytes;
    }
  }

  /** Change the index, one change after the other. @param {(index: Index) => void | Promise<void>} change */
  #change(change) {
    this.turn = this.turn.then(() => alone(async () => {
      const index = await this.#index();
      await change(index);
      await this.#write(INDEX, new TextEncoder().encode(JSON.stringify(index)));
    })).catch(() => {}); // no lock, no change: the next one may have it
    return this.turn;
  }

  /** @returns {Promise<Index>} */
  async #index() {
    try {
      const data = await this.#read(INDEX);
      const found = data && JSON.parse(new TextDecoder().decode(data));
      return found && typeof found === "object" ? found : {};
    } catch {
      return {};
    }
  }

  /** @param {string} key @returns {Promise<Uint8Array<ArrayBuffer> | null>} */
  async #read(key) {
    try {
      const found = await this.cache.match(key);
      return found ? new Uint8Array(await found.arrayBuffer()) : null;
    } catch {
      return null;
    }
  }

  /** @param {string} key @param {Uint8Array<ArrayBuffer>} data */
  #write(key, data) {
    return this.#store(key, new Response(data));
  }

  /** @param {string} key @param {Response} response */
  async #store(key, response) {
    try {
      await this.cache.put(key, response);
      return true;
    } catch {
      return false; // storage is full, or refused
    }
  }
}

/** Do something while no other tab does. @param {() => Promise<void>} work @returns {Promise<void>} */
async function alone(work) {
  const { locks } = globalThis.navigator;
  await (locks ? locks.request(NAME, work) : work());
}

/** Forget every file of every pack that pages of this origin have kept.
 * @returns {Promise<void>} */
export async function clearCache() {
  await globalThis.caches?.delete(NAME).catch(() => false);
}
