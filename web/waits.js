// Which steps of a program must wait for the steps before them. webrt/runtime/waits.py is the same;
// tests/vectors/waits.json holds both to the same answers.

/** The first byte of memory and the end. @typedef {readonly [number, number]} Range */

/** @param {readonly Range[]} some @param {readonly Range[]} others */
const overlap = (some, others) =>
  some.some((a) => others.some((b) => a[0] < b[1] && b[0] < a[1]));

/**
 * For each step, given as what it reads and what it writes, whether it waits for all before: where
 * it reads what a step since the last wait writes, or writes what one since then reads or writes.
 * @param {readonly (readonly [readonly Range[], readonly Range[]])[]} steps @returns {boolean[]}
 */
export function waits(steps) {
  /** @type {Range[]} */
  let read = [];
  /** @type {Range[]} */
  let written = [];
  return steps.map(([reads, writes]) => {
    const must = overlap(reads, written) || overlap(writes, written) || overlap(writes, read);
    if (must) [read, written] = [[], []];
    read.push(...reads);
    written.push(...writes);
    return must;
  });
}
