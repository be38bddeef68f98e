// Options for outputs in GPU buffers, looked at before a session is made.

import { UsageError } from "./errors.js";
import { asksForGpu } from "./fetches.js";

/** Throws a UsageError for outputs in GPU buffers where there is no GPU.
 * @param {import("./session.js").Options} options @param {import("./protocol.js").Device} device */
export function checkDevice({ preferredOutputLocation }, { info }) {
  if (!asksForGpu(preferredOutputLocation) || info.kind === "webgpu") return;
  throw new UsageError(
    `preferredOutputLocation: GPU buffers need WebGPU, and the session would run on ${info.kind}`);
}

/** Throws a UsageError for locations that there aren't, or not in a worker.
 * @param {import("./session.js").Options} options */
export function checkOutputs({ preferredOutputLocation: location = "cpu", worker }) {
  for (const place of typeof location === "object" ? Object.values(location) : [location]) {
    if (!["cpu", "cpu-pinned", "gpu-buffer"].includes(place)) {
      throw new UsageError(`preferredOutputLocation: expected cpu or gpu-buffer, found '${place}'`);
    }
  }
  if (worker && asksForGpu(location)) {
    throw new UsageError("preferredOutputLocation: a GPU buffer can't leave a worker; leave out `worker`");
  }
}
