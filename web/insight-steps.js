// Runs a pack step by step, for whoever wants to see what each step writes or how long it takes.

import { Shapes, send } from "./bound.js";
import { scaled } from "./bind.js";
import { UsageError } from "./errors.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./protocol.js").Buffer} Buffer */
/** @typedef {import("./protocol.js").Dispatch} Dispatch */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** @typedef {import("./load.js").Loaded["shapes"]} AnyShapes */
/** A step that is to run now. `bindings` are the symbols' values there, `uniform` holds them.
 * @typedef {{step: number, dispatch: Dispatch, bindings: Bindings, uniform: Buffer}} Turn */
/** Runs a step, at least once: a second time changes nothing, since no step writes what it reads.
 * @typedef {(turn: Turn) => Promise<void>} Observe */
/** What a session lets its insight see.
 * @typedef {{pack: Pack, device: Device, shapes: AnyShapes, float16: "native" | "widened" | null,
 *   deviceInfo: import("./protocol.js").DeviceInfo & {recovered: number},
 *   origin: import("./recover.js").Origin | null}} Subject */

/** Run a pack once, each step by `observe`. @param {AnyShapes} shapes @param {Bindings} bindings
 * @param {(Uint8Array<ArrayBuffer> | null)[]} data of the inputs, in their order
 * @param {Observe} observe @returns {Promise<void>} */
export async function walk(shapes, bindings, data, observe) {
  if (!(shapes instanceof Shapes)) {
    await shapes.run(bindings, data, [], null, observe);
    return;
  }
  try {
    const { slices, dispatches, uniform } = shapes.get(bindings);
    send(shapes, data, ({ tensor }) => slices[tensor].buffer);
    for (const [step, dispatch] of dispatches.entries()) {
      if (!dispatch.grid.includes(0)) await observe({ step, dispatch, bindings, uniform });
    }
  } catch (error) {
    shapes.clear();
    throw error;
  }
}

/** Queue a dispatch, by itself. @param {Device} device @param {Turn} turn */
export function runOnce(device, { dispatch, uniform }) {
  const recording = device.record([dispatch], uniform);
  device.replay(recording);
  device.discard(recording);
}

/** Values for the symbols that inputs give, by id: those given by the model's names, else a batch of
 * 1 and dims of 128 (webrt/plan/example.py). Throws a UsageError for what the model doesn't have.
 * @param {Pack} pack @param {Record<string, number>} [given] @returns {Bindings} */
export function exampleBindings({ symbols, inputs }, given = {}) {
  for (const [name, value] of Object.entries(given)) {
    const symbol = symbols.find((s) => s.name === name);
    if (!symbol) {
      const known = symbols.map((s) => s.name).join(", ") || "none";
      throw new UsageError(`dims: unknown '${name}': this model's are ${known}`);
    }
    if (!(Number.isInteger(value) && value >= 1 && value <= symbol.most)) {
      throw new UsageError(`dims: expected ${name} from 1 to ${symbol.most}, found ${value}`);
    }
  }
  const first = new Set(inputs.map(({ shape }) => shape[0]));
  const factors = Object.fromEntries(inputs.flatMap(({ shape }) => (
    shape.map(scaled).filter((pair) => pair !== null))));
  const shown = symbols.filter(({ id }) => factors[id] !== undefined);
  return Object.fromEntries(shown.map(({ id, name, most }) => {
    const long = !first.has(id) || /seq|len|time|token/i.test(name);
    const length = Math.min(Math.max(1, Math.floor(128 / factors[id])), most);
    return [id, given[name] ?? (long ? length : 1)];
  }));
}

/** Symbols by the model's own names. @param {Pack} pack @param {Bindings} bindings
 * @returns {Record<string, number>} */
export const namedDims = ({ symbols }, bindings) => Object.fromEntries(
  symbols.filter(({ id }) => bindings[id] !== undefined).map(({ id, name }) => [name, bindings[id]]));

/** Whether tuning put the kernel there that serves a problem. @param {AnyShapes} shapes
 * @param {number} problem @param {Bindings} bindings */
export const isTuned = (shapes, problem, bindings) => (
  shapes.kernel(problem, bindings) !== shapes.kernels.problems[problem]);
