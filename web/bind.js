// Check the feeds of a run against the model's inputs, and read its symbols' values off them.
// The same checks in the same words as webrt/runtime/bind.py.

import { evaluate, show } from "./dims.js";
import { PackError, ShapeError } from "./errors.js";
import { Tensor, isType, toStorage } from "./tensor.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** @typedef {import("./dims.js").Dim} Dim */
/** A tensor, or anything with its members (onnxruntime-web's own Tensor, say); `data` may be on the
 * GPU, in `gpuBuffer`.
 * @typedef {{type: string, data: any, dims: readonly number[], location?: string,
 *   gpuBuffer?: any}} TensorLike */
/** @typedef {Readonly<Record<string, TensorLike>>} Feeds */

/** A port's shape as users see it, `s0` by the model's own name.
 * @param {Pack} pack @param {Port} port @returns {(number | string)[]} */
export function shapeOf(pack, port) {
  return port.shape.map((dim) => (typeof dim === "number" ? dim : shown(pack, dim)));
}

/** A dim by the model's own names: of one that may be 0 or is a multiple, not its symbol.
 * @param {Pack} pack @param {Dim} dim */
function shown({ symbols }, dim) {
  const names = Object.fromEntries(symbols.flatMap(({ id, name, empty, multiple }) => {
    if (empty) return [[id, `(${name} + 1)`], [`-${id}`, name]];
    return multiple > 1 ? [[id, `${name}/${multiple}`], [`${multiple}*${id}`, name]] : [[id, name]];
  }));
  /** @param {Dim} part @returns {Dim} */
  const named = (part) => {
    if (!Array.isArray(part)) return part;
    const [id, factor, less] = scaled(part) ?? [];
    const whole = less ? `-${id}` : `${factor}*${id}`;
    if (names[whole]) return whole;
    return [part[0], ...part.slice(1).map((p) => named(/** @type {Dim} */ (p)))];
  };
  return show(named(dim), names);
}

/** A symbol, how many times it makes a dim and how much less the dim is; null for another dim.
 * @param {Dim} dim @returns {[string, number, number] | null} */
export function scaled(dim) {
  if (typeof dim === "string") return [dim, 1, 0];
  if (!Array.isArray(dim) || dim.length !== 3) return null;
  const id = dim.find((part, j) => j > 0 && typeof part === "string");
  const number = Number(dim.find((part) => typeof part === "number"));
  if (typeof id !== "string") return null;
  if (dim[0] === "+") return number === -1 ? [id, 1, 1] : null;
  return dim[0] === "*" && number >= 1 ? [id, number, 0] : null;
}

/** The input of models that draw numbers: listed nowhere, and drawn where feeds lack it. */
const SEED = "webrt.seed";

/** The inputs that users see. @param {Pack} pack */
export const listedInputs = ({ inputs }) => inputs.filter(({ name }) => name !== SEED);

/** Every symbol is a dim of an input or gets its value in the flow. @param {Pack} pack */
export function checkSymbols(pack) {
  const bound = new Set(boundBy(pack.flow));
  for (const { id, name } of pack.symbols) {
    if (!bound.has(id) && !pack.inputs.some((p) => p.shape.some((dim) => scaled(dim)?.[0] === id))) {
      throw new PackError(`the symbol '${name}' is no dim of any input; pack again`);
    }
  }
}

/** The symbols that get values while a flow runs.
 * @param {import("./flow-read.js").Item[]} flow @returns {string[]} */
const boundBy = (flow) => flow.flatMap((item) => {
  if (item.kind === "host") return item.symbols;
  if (item.kind === "if") {
    return [...boundBy(item.then), ...boundBy(item.other), ...item.bound.map(([name]) => name)];
  }
  if (item.kind !== "loop") return [];
  return item.symbol === null ? boundBy(item.body) : [...boundBy(item.body), item.symbol];
});

/**
 * The values of the pack's symbols that inputs give, and the feeds in the order of the
 * inputs: storage bytes, or the tensor itself where it is in a GPU buffer.
 * @param {Pack} pack @param {Feeds} feeds
 * @returns {{bindings: Bindings, data: (Uint8Array<ArrayBuffer> | Tensor)[]}}
 */
export function bind(pack, feeds) {
  for (const name of Object.keys(feeds ?? {})) {
    if (pack.inputs.some((p) => p.name === name)) continue;
    const known = listedInputs(pack).map((p) => p.name).join(", ") || "none";
    throw new ShapeError(`unknown input '${name}': this model's inputs are ${known}`);
  }
  const given = pack.inputs.map((port) => tensorOf(pack, port, feeds));
  const { bindings, origins } = readSymbols(pack, given);
  const data = pack.inputs.map((port, j) => {
    checkShape(pack, port, given[j], bindings, origins);
    if (given[j].location === "gpu-buffer") return given[j];
    return toStorage(port.name, given[j], port.low, port.high, pack.tensors[port.tensor].storage);
  });
  return { bindings, data };
}

/** @param {Pack} pack @param {Port} port @param {Feeds} feeds @returns {Tensor} */
function tensorOf(pack, port, feeds) {
  const { name, type, shape } = port;
  const expected = `expected ${type} [${shapeOf(pack, port).join(", ")}]`;
  const feed = feeds && Object.hasOwn(feeds, name) ? feeds[name] : undefined;
  if (feed === undefined || feed === null) {
    if (name === SEED) return new Tensor("uint32", crypto.getRandomValues(new Uint32Array(1)), []);
    throw new ShapeError(`input '${name}' is missing: ${expected}`);
  }
  if (!isType(feed.type) || !feed.dims) {
    throw new ShapeError(`input '${name}': ${expected}, found no Tensor`);
  }
  const tensor = feed instanceof Tensor ? feed : made(feed, feed.type);
  if (tensor.type !== type || tensor.dims.length !== shape.length) {
    throw new ShapeError(
      `input '${name}': ${expected}, found ${tensor.type} [${tensor.dims.join(", ")}]`);
  }
  return tensor;
}

/** A tensor of another library, or of another copy of this one: what it doesn't hold may throw.
 * @param {TensorLike} feed @param {import("./tensor.js").Type} type */
const made = (feed, type) => (feed.location === "gpu-buffer"
  ? Tensor.fromGpuBuffer(feed.gpuBuffer, { dataType: type, dims: [...feed.dims] })
  : new Tensor(type, feed.data, feed.dims));

/** Values of the symbols, and which input gave each; the first one that shows it decides.
 * @param {Pack} pack @param {Tensor[]} given */
function readSymbols(pack, given) {
  const symbols = Object.fromEntries(pack.symbols.map((s) => [s.id, s]));
  /** @type {Bindings} */
  const bindings = {};
  /** @type {Record<string, string>} */
  const origins = {};
  pack.inputs.forEach((port, j) => port.shape.forEach((dim, axis) => {
    const [id, factor, less] = scaled(dim) ?? ["", 1, 0];
    if (id === "" || bindings[id] !== undefined) return;
    const size = given[j].dims[axis];
    const [least, most] = [factor - less, factor * symbols[id].most - less];
    if (size < least || size > most) {
      throw new ShapeError(`input '${port.name}': ${shown(pack, dim)} at axis ${axis} is ${size}, `
        + `expected ${least} to ${most}`);
    }
    if ((size + less) % factor) {
      throw new ShapeError(`input '${port.name}': ${shown(pack, dim)} at axis ${axis} is ${size}, `
        + `expected a multiple of ${factor}`);
    }
    bindings[id] = Math.floor((size + less) / factor);
    origins[id] = port.name;
  }));
  return { bindings, origins };
}

/** @param {Pack} pack @param {Port} port @param {Tensor} tensor @param {Bindings} bindings
 * @param {Record<string, string>} origins */
function checkShape(pack, port, tensor, bindings, origins) {
  port.shape.forEach((dim, axis) => {
    const wanted = evaluate(dim, bindings);
    const size = tensor.dims[axis];
    if (wanted === size) return;
    const origin = typeof dim === "string" ? origins[dim] : port.name;
    const source = origin === port.name ? "" : ` (from input '${origin}')`;
    const name = typeof dim === "number" ? "" : `${shapeOf(pack, port)[axis]} = `;
    throw new ShapeError(`input '${port.name}': expected ${name}${wanted}${source} at axis ${axis}, `
      + `found ${size} in [${tensor.dims.join(", ")}]`);
  });
}
