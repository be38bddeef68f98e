// Read a pack's manifest and trust nothing in it: all is checked before it is allocated or
// compiled. The same checks in the same words as webrt/pack/read.py (webrt/pack/format.py
// describes the format); tests/vectors/pack/ holds both to them.

import { scaled } from "./bind.js";
import { MAX_SYMBOL, elements } from "./dims.js";
import { Field } from "./field.js";
import { elementBytes } from "./memory.js";
import {
  checkFile, checkHash, readChecksFile, readName, readRecordsFile, readSha256, readWasm,
} from "./modules.js";
import { sha256 } from "./sha256.js";
import { TYPES } from "./tensor.js";

/** @typedef {import("./dims.js").Dim} Dim */
/** @typedef {import("./tensor.js").Type} Type */
/** @typedef {import("./tensor.js").Storage} Storage */
/** @typedef {"input" | "output" | "arena" | "constant" | "window"} Home */
/** Where a constant's bytes stand, and how many it has on a device (widen.js).
 * @typedef {{shard: number, offset: number, bytes: number, held: number}} Place */
/** Slot (shift + the turn of the loop) modulo the slots of a ring.
 * @typedef {{ring: number, shift: Dim, loop: number | null}} Window */
/** @typedef {{storage: Storage, dtype: "bool" | Storage, shape: Dim[], home: Home,
 *   place: Place | null, window: Window | null}} PlanTensor */
/** What an int64 output's elements are places among, and what a matrix's columns belong to.
 * @typedef {{texts?: string[], columns?: (string | number)[]}} Labels */
/** @typedef {{name: string, type: Type, shape: Dim[], tensor: number, low: number | null,
 *   high: number | null, labels: Labels}} Port */
/** Operations and bytes of a dispatch; `wide` are its bytes where f16 is widened.
 * @typedef {{operations: Dim, bytes: Dim, wide: Dim}} Cost */
/** @typedef {{name: string, grid: Dim[], workgroup: number[], work: Dim, wgsl: string,
 *   bindings: {dtype: Storage, writable: boolean}[], schedule: Record<string, unknown>,
 *   cost: Cost | null}} Kernel */
/** @typedef {{problem: number, inputs: number[], outputs: number[], node: string}} Step */
/** @typedef {import("./modules.js").File} Shard */
/** @typedef {{symbols: {id: string, name: string, most: number, empty: boolean,
 *   multiple: number}[], inputs: Port[], outputs: Port[],
 *   tensors: PlanTensor[], kernels: Kernel[], steps: Step[], flow: import("./flow-read.js").Item[],
 *   shards: Shard[],
 *   generator: string, wasm: import("./modules.js").WasmPart, problems: string[], wideProblems: string[],
 *   sha256: string, records: import("./modules.js").File | null,
 *   checks: import("./modules.js").File | null}} Pack */

export const MANIFEST = "manifest.json";
const VERSION = 2;
const MIB = 2 ** 20;
const MAX_SHARD_BYTES = 64 * MIB;
const MAX_CONSTANT_BYTES = MAX_SHARD_BYTES - 64 * 1024;
export const MAX_MANIFEST_BYTES = 64 * MIB;
const MAX_WGSL_BYTES = MIB;
const MAX_NAME_LENGTH = 1000;
const MAX_LABELS = 2 ** 16;
const MAX_LABEL_LENGTH = 2 ** 16;
const MAX_RANK = 16;
const MAX_BINDINGS = 8;
const MAX_SYMBOLS = 1024;
const MAX_PORTS = 1024;
const STORED = /** @type {const} */ (["f32", "f16", "i32", "u32"]);
const HOMES = /** @type {const} */ (["input", "output", "arena", "constant", "window"]);
const TYPE_NAMES = /** @type {Type[]} */ (Object.keys(TYPES));
const SEAL_LENGTH = '"sha256":""}\n'.length + 64;

/**
 * The pack that a manifest's bytes describe; `file` names it in messages.
 * @param {Uint8Array<ArrayBuffer>} data @param {string} [file] @returns {Promise<Pack>}
 */
export async function parseManifest(data, file = MANIFEST) {
  const root = new Field(await sealedJson(data, file), "", file);
  root.member("format").choice("webrt");
  const version = root.member("version").integer();
  if (version !== VERSION) {
    root.fail(`is of format version ${version}, this webrt reads version ${VERSION}; pack again`);
  }
  const generator = root.member("generator").text(MAX_NAME_LENGTH);
  const symbols = readSymbols(root.member("symbols"));
  const known = new Set(symbols.map((s) => s.id));
  const shards = root.member("shards").items().map(readShard);
  const tensors = readTensors(root.member("tensors"), shards, known);
  const problems = root.member("problems").items();
  const texts = problems.map((problem) => problem.member("text").text(MAX_WGSL_BYTES));
  const wideTexts = problems.map((problem, j) => (
    problem.has("wide") ? problem.member("wide").text(MAX_WGSL_BYTES) : texts[j]));
  const kernels = root.member("kernels").items(problems.length, problems.length)
    .map((field) => readKernel(field, known));
  const steps = readSteps(root.member("steps"), tensors, kernels);
  const inputs = readPorts(root.member("inputs"), tensors, known, true);
  const outputs = readPorts(root.member("outputs"), tensors, known, false);
  checkInputs(root.member("inputs"), tensors, inputs);
  /** @type {(field: Field, step: Step) => void} */
  const check = (field, { problem, inputs: reads, outputs: writes }) => (
    checkBindings(field, [...reads, ...writes], tensors, kernels[problem]));
  const given = new Set(inputs.flatMap((p) => p.shape.flatMap((d) => scaled(d)?.[0] ?? [])));
  const windows = tensors.some(({ window }) => window);
  const flow = root.has("flow") || windows
    ? (await import("./flow-read.js")).readFlow(root, steps, tensors, known, given, check)
    : checkOrder(root.member("steps"), steps, tensors, check);
  const records = root.has("records") ? readRecordsFile(root.member("records")) : null;
  const checks = root.has("checks") ? readChecksFile(root.member("checks")) : null;
  const wasm = readWasm(root.member("wasm"), { kernels, steps, tensors }, known);
  const sha256 = root.member("sha256").text(64);
  return { symbols, inputs, outputs, tensors, kernels, steps, flow, shards, generator, wasm,
    problems: texts, wideProblems: wideTexts, sha256, records, checks };
}

/** The JSON of a manifest whose seal (its own sha256) holds.
 * @param {Uint8Array<ArrayBuffer>} data @param {string} file @returns {Promise<unknown>} */
async function sealedJson(data, file) {
  const field = new Field(null, "", file);
  if (data.length > MAX_MANIFEST_BYTES) field.fail(`is larger than ${MAX_MANIFEST_BYTES} bytes`);
  const tail = String.fromCharCode(...data.subarray(Math.max(0, data.length - SEAL_LENGTH)));
  const seal = /^"sha256":"([0-9a-f]{64})"\}\n$/.exec(tail);
  if (!seal) return field.fail("doesn't end in its sha256; it is cut short or no manifest");
  const zeroed = data.slice();
  zeroed.fill(0x30, data.length - 67, data.length - 3);
  checkHash(field, await sha256(zeroed), seal[1]);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
  } catch (error) {
    return field.fail(`is not JSON: ${/** @type {Error} */ (error).message}`);
  }
}

/** @param {Field} field */
function readSymbols(field) {
  const names = new Set();
  return field.items(0, MAX_SYMBOLS).map((item, index) => {
    const id = item.member("id").choice(`s${index}`);
    const name = item.member("name").text(MAX_NAME_LENGTH, 1);
    if (names.has(name)) item.member("name").fail(`'${name}' names two symbols`);
    names.add(name);
    const most = item.has("most") ? item.member("most").integer(1, MAX_SYMBOL) : MAX_SYMBOL;
    const empty = item.has("empty") && item.member("empty").boolean();
    const multiple = item.has("multiple") ? item.member("multiple").integer(1, MAX_SYMBOL) : 1;
    return { id, name, most, empty, multiple };
  });
}

/** @param {Field} field @param {number} index @returns {Shard} */
function readShard(field, index) {
  const file = `weights-${String(index).padStart(5, "0")}.safetensors`;
  if (field.member("file").text(40) !== file) field.member("file").expected(`'${file}'`);
  const bytes = field.member("bytes").integer(8, MAX_SHARD_BYTES);
  return { file, bytes, sha256: readSha256(field.member("sha256")) };
}

/** @param {Field} field @param {Shard[]} shards @param {ReadonlySet<string>} known
 * @returns {PlanTensor[]} */
function readTensors(field, shards, known) {
  const tensors = field.items().map((item) => {
    const dtype = item.member("dtype").choice("bool", ...STORED);
    const home = item.member("home").choice(...HOMES);
    const shape = readShape(item.member("shape"), home === "constant" ? new Set() : known);
    const storage = storageOf(dtype);
    const place = home === "constant" ? readPlace(item, shape, storage, shards) : null;
    const window = home === "window" ? readWindow(item.member("window"), known) : null;
    return { dtype, storage, shape, home, place, window };
  });
  checkOverlap(field, tensors);
  return tensors;
}

/** @param {Field} field @param {ReadonlySet<string>} known @returns {Window} */
function readWindow(field, known) {
  const loop = field.member("loop");
  return { ring: field.member("ring").integer(), shift: field.member("shift").dim(known),
    loop: loop.value === null ? null : loop.integer() };
}

/** @param {"bool" | Storage} dtype @returns {Storage} */
const storageOf = (dtype) => (dtype === "bool" ? "u32" : dtype);

/** What kernels compute a storage type in: f16 is for storage alone. @param {Storage} storage */
const computed = (storage) => (storage === "f16" ? "f32" : storage);

/** @param {Field} field @param {ReadonlySet<string>} known @returns {Dim[]} */
function readShape(field, known) {
  return field.items(0, MAX_RANK).map((item) => {
    const dim = item.dim(known);
    return typeof dim === "number" ? item.integer(0, 2 ** 40) : dim;
  });
}

/** @param {Field} field @param {Dim[]} shape @param {Storage} storage @param {Shard[]} shards
 * @returns {Place} */
function readPlace(field, shape, storage, shards) {
  const shard = field.member("shard").integer(0, shards.length - 1);
  const bytes = field.member("bytes").integer(0, MAX_CONSTANT_BYTES);
  const unit = elementBytes(storage);
  let needed = NaN;
  try {
    needed = elements(shape, {}) * unit;
  } catch {
    // Too large a shape to be exact is too large a constant.
  }
  if (bytes !== needed) {
    field.member("bytes").fail(`expected ${needed} for its shape, found ${bytes}`);
  }
  const offset = field.member("offset").integer(8, shards[shard].bytes);
  if (offset + bytes > shards[shard].bytes) {
    field.member("offset").fail(`${offset} + ${bytes} bytes pass the end of the shard`);
  }
  if (offset % unit) field.member("offset").fail(`${offset} is not aligned to the dtype`);
  return { shard, offset, bytes, held: bytes };
}

/** @param {Field} field @param {PlanTensor[]} tensors */
function checkOverlap(field, tensors) {
  /** @type {{index: number, place: Place}[]} */
  const order = tensors.flatMap(({ place }, index) => (place ? [{ index, place }] : []));
  order.sort((a, b) => a.place.shard - b.place.shard || a.place.offset - b.place.offset
    || a.place.bytes - b.place.bytes);
  for (let j = 1; j < order.length; j++) {
    const [before, after] = [order[j - 1].place, order[j].place];
    if (before.shard === after.shard && before.offset + before.bytes > after.offset) {
      new Field(null, `${field.path}[${order[j].index}].offset`, field.file)
        .fail("overlaps another tensor's bytes");
    }
  }
}

/** @param {Field} field @param {ReadonlySet<string>} known @returns {Kernel} */
function readKernel(field, known) {
  const name = readName(field.member("name"));
  const grid = field.member("grid").items(3, 3).map((f) => f.dim(known));
  const workgroup = field.member("workgroup").items(3, 3).map((f) => f.integer(1, 1024));
  const bindings = field.member("bindings").items(1, MAX_BINDINGS).map(readBinding);
  const schedule = field.member("schedule").object();
  const wgsl = field.member("wgsl").text(MAX_WGSL_BYTES, 1);
  const work = field.member("work").dim(known);
  const cost = field.has("cost") ? readCost(field.member("cost"), known) : null;
  return { name, grid, workgroup, work, wgsl, bindings, schedule, cost };
}

/** @param {Field} field @param {ReadonlySet<string>} known @returns {Cost} */
function readCost(field, known) {
  const bytes = field.member("bytes").dim(known);
  return { operations: field.member("operations").dim(known), bytes,
    wide: field.has("wide") ? field.member("wide").dim(known) : bytes };
}

/** @param {Field} field */
function readBinding(field) {
  const name = field.member("name").text(64, 1);
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) field.member("name").expected("an identifier");
  const dtype = field.member("dtype").choice(...STORED);
  const lanes = field.member("lanes").integer(1, 4);
  if (lanes !== 1 && lanes !== 4) field.member("lanes").expected("1 or 4");
  return { dtype, writable: field.member("writable").boolean() };
}

/** @param {Field} field @param {PlanTensor[]} tensors @param {Kernel[]} kernels @returns {Step[]} */
function readSteps(field, tensors, kernels) {
  return field.items().map((item) => {
    const problem = item.member("problem").integer(0, kernels.length - 1);
    const inputs = readStepTensors(item.member("inputs"), tensors.length);
    const outputs = readStepTensors(item.member("outputs"), tensors.length);
    return { problem, inputs, outputs, node: item.member("node").text(65536) };
  });
}

/** Steps that run one after the other: what each reads is written before, and written once.
 * @param {Field} field @param {Step[]} steps @param {PlanTensor[]} tensors
 * @param {(field: Field, step: Step) => void} check @returns {import("./flow-read.js").Item[]} */
function checkOrder(field, steps, tensors, check) {
  const free = tensors.map(({ home }) => home === "input" || home === "constant");
  const written = new Set([...tensors.keys()].filter((j) => free[j]));
  field.items().forEach((item, j) => {
    steps[j].inputs.forEach((read, position) => {
      if (written.has(read)) return;
      item.member("inputs").items()[position].fail(`tensor ${read} is read before a step writes it`);
    });
    steps[j].outputs.forEach((write, position) => {
      if (written.has(write)) {
        item.member("outputs").items()[position].fail(`tensor ${write} can't be written here`);
      }
      written.add(write);
    });
    check(item, steps[j]);
  });
  tensors.forEach(({ home }, index) => {
    if (home === "output" && !written.has(index)) field.fail(`no step writes tensor ${index}, an output`);
  });
  return [];
}

/** @param {Field} field @param {number} count */
const readStepTensors = (field, count) =>
  field.items(0, MAX_BINDINGS).map((f) => f.integer(0, count - 1));

/** @param {Field} field @param {number[]} used @param {PlanTensor[]} tensors
 * @param {Kernel} kernel */
function checkBindings(field, used, tensors, kernel) {
  const { name, bindings } = kernel;
  if (used.length !== bindings.length) {
    field.fail(`expected ${bindings.length} tensors for kernel ${name}, found ${used.length}`);
  }
  used.forEach((index, position) => {
    const { storage, home } = tensors[index];
    const { dtype, writable } = bindings[position];
    if (storage !== dtype) {
      field.fail(`tensor ${index} is ${storage}, binding ${position} of kernel ${name} is ${dtype}`);
    }
    if (writable === (home === "constant")) {
      const kind = writable ? "writable" : "read-only";
      field.fail(`tensor ${index} is ${home}, binding ${position} of kernel ${name} is ${kind}`);
    }
    if (home !== "constant" && used.indexOf(index) < position) {
      field.fail(`tensor ${index} stands twice in one step`);
    }
  });
}

/** @param {Field} field @param {PlanTensor[]} tensors @param {ReadonlySet<string>} known
 * @param {boolean} areInputs @returns {Port[]} */
function readPorts(field, tensors, known, areInputs) {
  const names = new Set();
  return field.items(0, MAX_PORTS).map((item) => {
    const name = item.member("name").text(MAX_NAME_LENGTH);
    if (names.has(name)) item.member("name").fail(`'${name}' names two ports`);
    names.add(name);
    const type = item.member("dtype").choice(...TYPE_NAMES);
    const tensor = item.member("tensor").integer(0, tensors.length - 1);
    const { home, dtype, storage } = tensors[tensor];
    if (home === "arena" || home === "window" || (areInputs && home !== "input")) {
      item.member("tensor").fail(`tensor ${tensor} is ${home}`);
    }
    if (computed(TYPES[type].storage) !== computed(storage)) {
      item.member("dtype").fail(`${type} doesn't fit tensor ${tensor}, ${dtype}`);
    }
    const shape = readShape(item.member("shape"), known);
    /** @param {string} key */
    const bound = (key) =>
      item.has(key) ? item.member(key).integer(-Number.MAX_SAFE_INTEGER) : null;
    const labels = readLabels(item, type, areInputs);
    return { name, type, shape, tensor, low: bound("low"), high: bound("high"), labels };
  });
}

/** What the places or columns of an output are called. @param {Field} field @param {Type} type
 * @param {boolean} isInput @returns {Labels} */
function readLabels(field, type, isInput) {
  /** @type {Labels} */
  const labels = {};
  if (field.has("texts")) {
    const texts = field.member("texts");
    if (type !== "int64" || isInput) texts.fail("only an output of int64 has texts");
    labels.texts = texts.items(1, MAX_LABELS).map((f) => f.text(MAX_LABEL_LENGTH));
  }
  if (field.has("columns")) {
    labels.columns = field.member("columns").items(1, MAX_LABELS).map((f) => (
      typeof f.value === "string" ? f.text(MAX_LABEL_LENGTH)
        : f.integer(-Number.MAX_SAFE_INTEGER)));
  }
  return labels;
}

/** @param {Field} field @param {PlanTensor[]} tensors @param {Port[]} inputs */
function checkInputs(field, tensors, inputs) {
  tensors.forEach(({ home }, index) => {
    const count = inputs.filter((p) => p.tensor === index).length;
    if (home === "input" && count !== 1) {
      field.fail(`tensor ${index} is an input of ${count} ports, not 1`);
    }
  });
}

/**
 * Hold a shard's bytes against the manifest: length, sha256, header; throws PackError.
 * @param {Pack} pack @param {number} index @param {Uint8Array<ArrayBuffer>} data @param {string} [file]
 * @param {import("./sha256.js").FileHash} [hash]
 */
export async function checkShard(pack, index, data, file = pack.shards[index].file, hash) {
  const shard = pack.shards[index];
  const field = await checkFile(shard, data, file, hash);
  const length = Number(new DataView(data.buffer, data.byteOffset).getBigUint64(0, true));
  if (length > shard.bytes - 8) field.fail(`a header of ${length} bytes doesn't fit the file`);
  let header;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data.subarray(8, 8 + length)));
  } catch {
    field.fail("its header is not JSON");
  }
  checkHeader(new Field(header, "", file), pack, index, 8 + length);
}

/** @param {Field} root @param {Pack} pack @param {number} shard @param {number} base */
function checkHeader(root, pack, shard, base) {
  pack.tensors.forEach(({ place, storage, shape }, index) => {
    if (place?.shard !== shard) return;
    const entry = root.member(`t${index}`);
    entry.member("dtype").choice(place.held > place.bytes ? "F16" : storage.toUpperCase());
    const found = entry.member("shape").items(0, MAX_RANK).map((f) => f.integer());
    const [start, end] = entry.member("data_offsets").items(2, 2).map((f) => f.integer());
    const differs = String(found) !== String(shape)
      || base + start !== place.offset || end - start !== place.bytes;
    if (differs) entry.fail("its shape or place differs from the manifest's");
  });
}
