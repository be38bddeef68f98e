// Which addresses of a wasm memory are taken. It knows numbers only: the memory itself is the
// workers', who make it as large as `top` asks.

import { FIRST_ADDRESS, MAX_PAGES, PAGE, SLACK } from "./abi.js";

/** Buffers begin at multiples of this: no two share a cache line, or a vector's halves. */
const ALIGNMENT = 256;

/** Bytes that all buffers together can take. */
export const MAX_TOTAL = MAX_PAGES * PAGE - SLACK - FIRST_ADDRESS;

/** Blocks of a memory of up to `most` bytes, the best fitting gap first. */
export class Heap {
  /** @param {number} [most] */
  constructor(most = MAX_TOTAL) {
    this.end = FIRST_ADDRESS + most;
    /** @type {{address: number, end: number, label: string}[]} by address */
    this.blocks = [];
    /** Memory from here on was never used, so it is zero. */
    this.fresh = FIRST_ADDRESS;
  }

  /** The end of the last block. */
  get top() {
    return this.blocks.at(-1)?.end ?? FIRST_ADDRESS;
  }

  /** Bytes of memory that the blocks need, in whole pages. */
  get pages() {
    return Math.ceil((this.top + SLACK) / PAGE);
  }

  /** Where `size` bytes were put, and how many of them may not be zero; null where they don't fit.
   * @param {number} size @param {string} [label] @returns {{address: number, used: number} | null} */
  allocate(size, label = "") {
    const bytes = Math.ceil(size / ALIGNMENT) * ALIGNMENT;
    let at = FIRST_ADDRESS, best = -1, smallest = Infinity, index = this.blocks.length;
    this.blocks.forEach(({ address, end }, j) => {
      const gap = address - at;
      if (gap >= bytes && gap < smallest) [best, smallest, index] = [at, gap, j];
      at = end;
    });
    const address = best < 0 ? at : best;
    if (address + bytes > this.end) return null;
    this.blocks.splice(index, 0, { address, end: address + bytes, label });
    const used = Math.max(0, Math.min(bytes, this.fresh - address));
    this.fresh = Math.max(this.fresh, address + bytes);
    return { address, used };
  }

  /** @param {number} address of a block */
  free(address) {
    const index = this.blocks.findIndex((b) => b.address === address);
    if (index >= 0) this.blocks.splice(index, 1);
  }

  /** Bytes that are taken. */
  get taken() {
    return this.blocks.reduce((sum, { address, end }) => sum + end - address, 0);
  }
}
