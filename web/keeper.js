// What a visit leaves in the browser's storage waits here for the first answer: to store a big file
// keeps the page's own thread busy for longer than to run a small model.

/** Bytes that wait at most: more would be too much for a phone. */
const MOST_WAITING = 128 * 2 ** 20;

/** Milliseconds after which storage is written where nobody asks for an answer. */
const PATIENCE_MS = 1000;

/** Something to be stored: of `bytes`, a file of that `sha256`.
 * @typedef {{bytes: number, sha256: string | null, store: () => Promise<unknown>}} Waiting */

/** Writes to storage, one after another, when there is time for it. */
export class Keeper {
  constructor() {
    /** @type {Set<Waiting>} oldest first, the one that is being written among them */
    this.waiting = new Set();
    this.begun = false;
    /** Settles when all that was asked for so far is stored. @type {Promise<void>} */
    this.done = Promise.resolve();
  }

  /** Store something, later. Settles when there is room for more.
   * @param {() => Promise<unknown>} store @param {number} [bytes] @param {string | null} [sha256]
   * @returns {Promise<void>} */
  async later(store, bytes = 0, sha256 = null) {
    this.waiting.add({ bytes, sha256, store });
    const total = [...this.waiting].reduce((sum, entry) => sum + entry.bytes, 0);
    if (total > MOST_WAITING) await this.#write();
    else if (this.begun) this.#write();
  }

  /** There is an answer: once the page has it, what waits need not wait any longer. */
  answered() {
    if (!this.begun) setTimeout(() => this.begin());
  }

  /** What waits need not wait any longer. Settles when it is stored. @returns {Promise<void>} */
  begin() {
    this.begun = true;
    return this.#write();
  }

  /** `begin`, in a while. */
  idle() {
    if (!this.begun) setTimeout(() => this.begin(), PATIENCE_MS);
  }

  /** Somebody wants to read a file: it must be there, if it is to be. @param {string} sha256 */
  async stored(sha256) {
    if ([...this.waiting].some((entry) => entry.sha256 === sha256)) await this.#write();
  }

  /** Never rejects: what storage refuses is left out (cache.js). */
  #write() {
    this.done = this.done.then(async () => {
      for (const entry of this.waiting) {
        await entry.store().catch(() => {});
        this.waiting.delete(entry);
      }
    });
    return this.done;
  }
}
