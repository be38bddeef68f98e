// A thread of the wasm device (wasm.js). Worker 0 owns the memory: it does what the page asks for,
// in order. The others sleep on a word of the shared memory and run each plan together with it.

/** Words of the memory's first page, which no buffer lies in: see `helper`. A cache line each. */
const TURN = 16, PROGRAM = 32, SCRATCH = 48, STRIDE = 64, CONTROL_WORDS = 80;

/** @typedef {{entry: number, args: number, units: number}} Call */
/** What worker 0 is asked to do; numbers are addresses and counts of bytes.
 * @typedef {{kind: "write", address: number, data: Uint8Array}
 *   | {kind: "scatter", data: Uint8Array<ArrayBuffer>, parts: {address: number, from: number, bytes: number}[]}
 *   | {kind: "zero", address: number, bytes: number}
 *   | {kind: "read", address: number, bytes: number}
 *   | {kind: "replay", program: number, scratch: number, stride: number}
 *   | {kind: "exercise", calls: Call[], scratch: number, ms: number, left: number}
 *   | {kind: "park"}} Operation */
/** @typedef {{type: "start", worker: number, workers: number, memory: WebAssembly.Memory | null}
 *   | {type: "load", module: WebAssembly.Module}
 *   | {type: "run", id: number, pages: number, operations: Operation[]}} Message */

/** @type {{postMessage: (message: unknown, transfer?: Transferable[]) => void,
 *   onmessage: ((event: {data: Message}) => void) | null}} */
const page = /** @type {any} */ (globalThis);

let worker = 0, workers = 1;
/** @type {WebAssembly.Memory} */
let memory;
/** @type {WebAssembly.Table} */
let table;
/** @type {(program: number, worker: number, workers: number, scratch: number) => void} */
let replay;

page.onmessage = ({ data }) => {
  try {
    if (data.type === "start") start(data);
    else if (data.type === "load") load(data.module);
    else run(data);
  } catch (error) {
    page.postMessage({ type: "failed", message: String(/** @type {any} */ (error)?.message ?? error) });
  }
};
live();

/** Say that this worker is there, and hold a lock for as long as it is: where pages have locks, that is
 * how they learn that a worker is gone. */
function live() {
  const { locks } = globalThis.navigator;
  const life = locks ? `webrt ${crypto.randomUUID()}` : null;
  /** @param {string | null} held */
  const say = (held) => page.postMessage({ type: "ready", life: held });
  if (!life) say(null);
  else locks.request(life, () => new Promise(() => say(life))).catch(() => say(null));
}

/** @param {Message & {type: "start"}} message */
function start(message) {
  ({ worker, workers } = message);
  memory = message.memory ?? new WebAssembly.Memory({ initial: 2, maximum: 65536 });
  page.postMessage({ type: "done" });
}

/** The first module's table is the one that programs name; later ones' entries are added to it.
 * @param {WebAssembly.Module} module */
function load(module) {
  let exports;
  try {
    ({ exports } = new WebAssembly.Instance(module, { env: { memory } }));
  } catch (error) {
    page.postMessage({ type: "done", refused: /** @type {Error} */ (error).message });
    return;
  }
  if (!(exports.table instanceof WebAssembly.Table) || typeof exports.replay !== "function") {
    const refused = "the module lacks the table or the function that webrt's export";
    page.postMessage({ type: "done", refused });
    return;
  }
  const added = exports.table;
  if (!table) {
    table = added;
    replay = /** @type {typeof replay} */ (exports.replay);
  } else {
    const base = table.grow(added.length);
    for (let j = 0; j < added.length; j++) table.set(base + j, added.get(j));
  }
  const turn = worker ? Atomics.load(control(), TURN) : 0; // nothing runs until all have loaded
  page.postMessage({ type: "done", entries: added.length });
  if (worker) helper(turn);
}

const control = () => new Int32Array(memory.buffer, 0, CONTROL_WORDS);

/** Run every program that worker 0 announces, until it announces none: then the page has something
 * to say. @param {number} turn */
function helper(turn) {
  const words = control();
  for (;;) {
    Atomics.wait(words, TURN, turn);
    const now = Atomics.load(words, TURN);
    if (now === turn) continue;
    turn = now;
    if (!words[PROGRAM]) return;
    replay(words[PROGRAM], worker, workers, words[SCRATCH] + worker * words[STRIDE]);
  }
}

/** @param {number} program @param {number} scratch @param {number} stride */
function announce(program, scratch, stride) {
  if (workers === 1) return;
  const words = control();
  words[PROGRAM] = program;
  words[SCRATCH] = scratch;
  words[STRIDE] = stride;
  Atomics.add(words, TURN, 1);
  Atomics.notify(words, TURN);
}

/** @param {Message & {type: "run"}} message */
function run({ id, pages, operations }) {
  const missing = pages - memory.buffer.byteLength / 65536;
  if (missing > 0) {
    try {
      memory.grow(missing);
    } catch {
      page.postMessage({ type: "answer", id, refused: pages * 65536 });
      return;
    }
  }
  const results = operations.map(perform).filter((r) => r !== undefined);
  const transfer = results.flatMap((r) => (r instanceof ArrayBuffer ? [r] : []));
  page.postMessage({ type: "answer", id, results }, transfer);
}

/** @param {Operation} operation @returns {ArrayBuffer | number[] | undefined} */
function perform(operation) {
  const bytes = new Uint8Array(memory.buffer);
  switch (operation.kind) {
    case "write":
      bytes.set(operation.data, operation.address);
      return undefined;
    case "scatter":
      for (const { address, from, bytes: count } of operation.parts) {
        bytes.set(operation.data.subarray(from, from + count), address);
      }
      return operation.data.buffer;
    case "zero":
      bytes.fill(0, operation.address, operation.address + operation.bytes);
      return undefined;
    case "read":
      return bytes.slice(operation.address, operation.address + operation.bytes).buffer;
    case "replay":
      announce(operation.program, operation.scratch, operation.stride);
      replay(operation.program, 0, workers, operation.scratch);
      return undefined;
    case "exercise":
      return exercise(operation);
    case "park":
      announce(0, 0, 0);
      return undefined;
  }
}

/** Call each kernel for `ms` milliseconds, none after `left`; gives how long each was at work, then
 * how often each was called.
 * @param {Operation & {kind: "exercise"}} operation */
function exercise({ calls, scratch, ms, left }) {
  const end = performance.now() + left;
  const counts = calls.map(() => 0);
  const times = calls.map(({ entry, args, units }, j) => {
    const begin = performance.now();
    let now = begin;
    for (; now - begin < ms && now < end; counts[j]++) {
      table.get(entry)(args, 0, units, scratch);
      now = performance.now();
    }
    return now - begin;
  });
  return [...times, ...counts];
}

export {};
