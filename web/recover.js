// A session's device again, after it was lost: another one, with the kernels and the weights of before.

import { deviceNames, openDevice } from "./devices.js";
import { DeviceError, DeviceLostError, messageOf } from "./errors.js";
import { load } from "./load.js";

/** @typedef {import("./protocol.js").DeviceInfo} DeviceInfo */
/** @typedef {import("./load.js").Loaded} Loaded */
/** @typedef {import("./fetch.js").Files} Files */
/** What a session is loaded from.
 * @typedef {{pack: import("./manifest.js").Pack, files: Files,
 *   tuning: import("./tune.js").Tuning | null, options: import("./session.js").Options}} Origin */
/** The device was lost; the session is on `device` now; or no device could be had. `recovered` counts.
 * @typedef {{status: "recover", state: "lost" | "recovered" | "failed", name: string,
 *   device: string, recovered: number, reason: string}} RecoverProgress */

/** A browser that has just lost its GPU needs a moment until there is one again: milliseconds before
 * each attempt. */
const PAUSES_MS = [0, 200, 800];

/** Loading a pack once more. */
export class Recovery {
  /** @param {Origin} origin @param {Files} [files] to read; others are those of the session, which a
   *   signal of the page may have stopped */
  constructor(origin, files = origin.files.again()) {
    this.origin = origin;
    this.files = files;
    this.stopped = false;
  }

  /** Nobody wants it any more. */
  stop() {
    this.stopped = true;
    this.files.stop();
  }

  /**
   * The pack on a device of the lost one's kind, or on the next one that the page's options allow.
   * @param {DeviceLostError} lost @param {DeviceInfo & {recovered: number}} info of the lost device
   * @returns {Promise<Loaded>}
   */
  async run(lost, info) {
    this.#say("lost", info.kind, info.recovered, lost.message);
    const failures = [];
    for (const kind of kindsAfter(info, this.origin)) {
      for (const pause of kind === info.kind ? PAUSES_MS : [0]) {
        if (pause) await new Promise((resolve) => { setTimeout(resolve, pause); });
        if (this.stopped) throw lost;
        try {
          const loaded = await this.#load(kind, info);
          this.#say("recovered", kind, info.recovered + 1, lost.message);
          return loaded;
        } catch (error) {
          failures.push(error);
        }
        if (!(failures.at(-1) instanceof DeviceError)) break; // no device would help
      }
    }
    const error = this.stopped ? lost : errorOf(lost, failures.at(-1));
    this.#say("failed", info.kind, info.recovered, error.message);
    throw error;
  }

  /** @param {string} kind @param {DeviceInfo} before @returns {Promise<Loaded>} */
  async #load(kind, before) {
    const { pack, tuning, options } = this.origin;
    const opening = openDevice({ ...options, device: kind }).then((device) => {
      if (!isWorse(device.info, before) || !deviceNames(options).includes("auto")) return device;
      device.close();
      throw new DeviceError(`there is only a GPU in software now, ${device.info.adapter}`);
    });
    try {
      return await load(pack, this.files, opening, tuning);
    } catch (error) {
      opening.then((device) => device.close(), () => {});
      throw error;
    }
  }

  /** @param {RecoverProgress["state"]} state @param {string} device @param {number} recovered
   * @param {string} reason */
  #say(state, device, recovered, reason) {
    const { progress } = this.origin.files;
    progress.say({ status: "recover", state, name: progress.name, device, recovered, reason });
  }
}

/** Kinds of devices to try, in order.
 * @param {DeviceInfo} info of the lost one @param {Origin} origin @returns {Iterable<string>} */
function kindsAfter({ kind }, { tuning, options }) {
  if (tuning?.gpuGone) return ["wasm"];
  if (tuning?.tried()) return new Set([kind, "wasm"]); // it is tuning's fault: any device will do
  const names = deviceNames(options).flatMap((n) => (n === "auto" ? ["webgpu", "wasm"] : [n]));
  return new Set([kind, ...names]);
}

/** @param {DeviceInfo} info @param {DeviceInfo} before */
const isWorse = (info, before) => (
  info.kind === "webgpu" && info.adapterClass === "cpu" && before.adapterClass !== "cpu");

/** @param {DeviceLostError} lost @param {unknown} last why there is no other device */
function errorOf(lost, last) {
  if (last instanceof DeviceLostError) return last;
  const what = lost.message.replace(/; create the session again$/, "");
  return new DeviceLostError(`${what}; it can't be had again: ${messageOf(last)}`, { cause: last });
}
