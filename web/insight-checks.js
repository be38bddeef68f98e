// Reads the check vectors that a pack ships: webrt/pack/checks.py in JavaScript, which describes the
// file. The same checks in the same words.

import { scaled } from "./bind.js";
import { Field } from "./field.js";
import { TYPES } from "./tensor.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** Every `stride`th element of a tensor, in the model's type. @typedef {{shape: number[],
 *   stride: number, data: import("./tensor.js").TypedArray}} Values */
/** Of each output of a step, how many elements it has and their digest.
 * @typedef {{count: number, digest: Float64Array}[]} StepDigests */
/** `steps` in the order in which they run first. @typedef {{dims: import("./dims.js").Bindings,
 *   inputs: Values[], outputs: Values[], steps: Map<number, StepDigests>}} Vector */

export const SAMPLES = 32, BLOCKS = 8, FIGURES = 6;
const DIGEST = SAMPLES + BLOCKS * FIGURES;
const MAX_VECTORS = 64, MAX_RANK = 16, MAX_STEPS = 2 ** 20;
const UNIT = 8;

/** The vectors of a file for a pack; throws a PackError.
 * @param {Uint8Array<ArrayBuffer>} data @param {Pack} pack @param {string} file @returns {Vector[]} */
export function readChecks(data, pack, file) {
  const { root, start } = readHeader(data, file);
  root.member("format").choice("webrt checks");
  if (root.member("version").integer() !== 1) root.member("version").expected("1");
  const reader = new Reader(data.slice(start), pack);
  const vectors = root.member("vectors").items(1, MAX_VECTORS).map((f) => reader.vector(f));
  const size = data.length - start;
  if (reader.at !== size) root.fail(`holds ${size} bytes of data, not ${reader.at}`);
  return vectors;
}

/** @param {Uint8Array<ArrayBuffer>} data @param {string} file */
function readHeader(data, file) {
  const field = new Field(null, "", file);
  if (data.length < UNIT) field.fail("is cut short");
  const length = Number(new DataView(data.buffer, data.byteOffset).getBigUint64(0, true));
  if (length > data.length - UNIT || length % UNIT) {
    field.fail(`a header of ${length} bytes doesn't fit the file`);
  }
  const text = data.subarray(UNIT, UNIT + length);
  let header;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch {
    field.fail("its header is not JSON");
  }
  return { root: new Field(header, "", file), start: UNIT + length };
}

/** Takes the parts of the data one after the other. */
class Reader {
  /** @param {Uint8Array<ArrayBuffer>} data @param {Pack} pack */
  constructor(data, pack) {
    this.data = data;
    this.pack = pack;
    this.at = 0;
  }

  /** @param {Field} field @returns {Vector} */
  vector(field) {
    const { inputs, outputs, symbols } = this.pack;
    const shown = new Set(inputs.flatMap(({ shape }) => shape.map((dim) => scaled(dim)?.[0])));
    const named = field.member("dims");
    const dims = Object.fromEntries(symbols.filter(({ id }) => shown.has(id)).map(({ id, most }) => (
      [id, named.member(id).integer(1, most)])));
    const given = field.member("inputs").items(inputs.length, inputs.length);
    const wanted = field.member("outputs").items(outputs.length, outputs.length);
    return {
      dims,
      inputs: given.map((f, j) => this.#values(f, inputs[j], 1)),
      outputs: wanted.map((f, j) => (
        this.#values(f.member("shape"), outputs[j], f.member("stride").integer(1)))),
      steps: new Map(field.member("steps").items(0, MAX_STEPS).map((f) => this.#step(f))),
    };
  }

  /** @param {Field} field @param {Port} port @param {number} stride @returns {Values} */
  #values(field, port, stride) {
    const shape = field.items(0, MAX_RANK).map((f) => f.integer(0, 2 ** 40));
    if (shape.length !== port.shape.length) {
      field.fail(`expected ${port.shape.length} dims, found ${shape.length}`);
    }
    const { array: Kind } = TYPES[port.type];
    const count = Math.ceil(shape.reduce((a, b) => a * b, 1) / stride);
    const place = this.#take(field, count * Kind.BYTES_PER_ELEMENT);
    return { shape, stride, data: new Kind(this.data.buffer, place, count) };
  }

  /** @param {Field} field @returns {[number, StepDigests]} */
  #step(field) {
    const [number, ...counts] = field.items(1);
    const step = number.integer(0, this.pack.steps.length - 1);
    const { outputs } = this.pack.steps[step];
    if (counts.length !== outputs.length) field.fail(`step ${step} has ${outputs.length} outputs`);
    return [step, counts.map((f) => ({
      count: f.integer(),
      digest: new Float64Array(this.data.buffer, this.#take(f, 8 * DIGEST), DIGEST),
    }))];
  }

  /** Where a part of so many bytes begins. @param {Field} field @param {number} size */
  #take(field, size) {
    const start = this.at;
    if (!(size <= this.data.length - start)) {
      field.fail(`${size} bytes from ${start} pass the end of the file`);
    }
    this.at += Math.ceil(size / UNIT) * UNIT;
    return start;
  }
}
