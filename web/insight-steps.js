// Runs a pack step by step, for whoever wants to see what each step writes or how long it takes.

import { Shapes, send } from "./bound.js";

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

/** Symbols by the model's own names. @param {Pack} pack @param {Bindings} bindings
 * @returns {Record<string, number>} */
export const namedDims = ({ symbols }, bindings) => Object.fromEntries(
  symbols.filter(({ id }) => bindings[id] !== undefined)
    .map(({ id, name, empty, multiple }) => [name, multiple * bindings[id] - +empty]));

/** Whether tuning put the kernel there that serves a problem. @param {AnyShapes} shapes
 * @param {number} problem @param {Bindings} bindings */
export const isTuned = (shapes, problem, bindings) => (
  shapes.kernel(problem, bindings) !== shapes.kernels.problems[problem]);
