// How the page and the wasm module of a plan talk: the constants and the program in memory of
// webrt/codegen/abi.py, which says what they mean; e2e/node/wasm.test.js holds both to it.

import { waits } from "./waits.js";

export const FIRST_ADDRESS = 2 ** 16;
export const SLACK = 2 ** 16;
export const PAGE = 2 ** 16;
export const MAX_PAGES = 2 ** 16;
export const MEMORY_FLAGS_OFFSET = 0x2c;
export const UNSHARED = 0x01;
export const SHARED = 0x03;
export const HEADER_WORDS = 4;
export const STEP_WORDS = 6;

/** A step of a program: its entry of the table, its bindings' byte ranges, of which the last
 * `outputs` are written, and its units of work.
 * @typedef {{entry: number, ranges: readonly [number, number][], outputs: number,
 *   units: number}} ProgramStep */

/** How many words `program` takes. @param {readonly ProgramStep[]} steps */
export const programWords = (steps) => steps.reduce(
  (sum, { ranges }) => sum + STEP_WORDS + ranges.length + 1, HEADER_WORDS);

/**
 * A program that lies at `address`, its steps' arguments behind it.
 * @param {readonly ProgramStep[]} steps @param {number} address @param {number} symbols the
 *   address of the symbols' values @returns {Uint32Array<ArrayBuffer>}
 */
export function program(steps, address, symbols) {
  const words = new Uint32Array(programWords(steps));
  words[0] = steps.length;
  const marks = waits(steps.map(({ ranges, outputs }) => {
    const inputs = ranges.length - outputs;
    return [ranges.slice(0, inputs), ranges.slice(inputs)];
  }));
  let at = HEADER_WORDS, args = HEADER_WORDS + STEP_WORDS * steps.length;
  steps.forEach(({ entry, ranges, units }, j) => {
    words.set([entry, address + 4 * args, units, Number(marks[j])], at);
    words.set([...ranges.map(([start]) => start), symbols], args);
    at += STEP_WORDS;
    args += ranges.length + 1;
  });
  return words;
}

/** Where a program's words say that the arguments of a step are.
 * @param {Uint32Array} words @param {number} step */
export const argumentsOf = (words, step) => words[HEADER_WORDS + STEP_WORDS * step + 1];

/** A module's bytes for a memory that threads share. @param {Uint8Array<ArrayBuffer>} bytes */
export function withSharedMemory(bytes) {
  const copy = bytes.slice();
  copy[MEMORY_FLAGS_OFFSET] = SHARED;
  return copy;
}
