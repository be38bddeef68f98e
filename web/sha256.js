// SHA-256 in hex: the browser's own where there is one (secure contexts), else in JavaScript.

/** @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<string>} */
export async function sha256(bytes) {
  const digest = new Uint8Array(await hash(bytes));
  return Array.from(digest, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<ArrayBuffer>} */
async function hash(bytes) {
  const subtle = globalThis.crypto?.subtle;
  if (subtle) return subtle.digest("SHA-256", bytes);
  const digest = (await import("./digest.js")).digest(bytes);
  return /** @type {ArrayBuffer} */ (digest.buffer);
}

/** What of a file is hashed by itself (webrt/pack/digest.py). */
const BLOCK = 1 << 19;

/** Blocks that are being hashed at one time: each is copied for it. */
const MOST_COPIES = 8;

/** The sha256 of a pack's file, whose blocks are hashed as they arrive: of a file of one block its own,
 * of a larger one that of its blocks' digests. */
export class FileHash {
  constructor() {
    /** @type {Promise<ArrayBuffer>[]} */
    this.blocks = [];
  }

  /** Hash the blocks that are complete. @param {Uint8Array<ArrayBuffer>} data
   * @param {number} length how much of it is there */
  advance(data, length) {
    for (let at = this.blocks.length * BLOCK; at + BLOCK <= length; at += BLOCK) this.#add(data, at);
  }

  /** Begin again. */
  restart() {
    this.blocks = [];
  }

  /** @param {Uint8Array<ArrayBuffer>} data all of it @returns {Promise<string>} in hex */
  async hex(data) {
    if (data.length <= BLOCK) return sha256(data);
    for (let at; (at = this.blocks.length * BLOCK) < data.length;) {
      await this.blocks.at(-MOST_COPIES);
      this.#add(data, at);
    }
    const digests = (await Promise.all(this.blocks)).map((digest) => new Uint8Array(digest));
    return sha256(new Uint8Array(digests.flatMap((digest) => [...digest])));
  }

  /** @param {Uint8Array<ArrayBuffer>} data @param {number} at */
  #add(data, at) {
    const digest = hash(data.subarray(at, at + BLOCK));
    digest.catch(() => {}); // `hex` will hear of it
    this.blocks.push(digest);
  }
}
