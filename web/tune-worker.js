// The worker that tunes for a page: Pyodide, webrt's wheel, and a device of its own, on which
// webrt/tune/page.py tries schedules. The page (tune-trials.js) serves meanwhile.

import { Device } from "./device.js";
import { openDevice } from "./devices.js";
import { DeviceLostError, messageOf } from "./errors.js";
import { WasmDevice } from "./wasm.js";

/** Where things are, as absolute URLs. @typedef {{pyodide: string, wheel: string}} Places */
/** What the page says. `sha256` is the pack's that the page runs.
 * @typedef {{type: "open", places: Places, manifest: string | Uint8Array, sha256: string,
 *     device: import("./devices.js").DeviceOptions}
 *   | {type: "serve", request: string} | {type: "go"} | {type: "abandon"}} Order */
/** What the worker says: `lost` where the device went away, `failed` where nothing can go on.
 * @typedef {{type: "opened"} | {type: "want"} | {type: "said", message: string}
 *   | {type: "done", report: string} | {type: "lost" | "failed", message: string}} Answer */

const SERVE = `
from webrt.runtime.devices.browser import BrowserDevice
from webrt.tune.page import serve
await serve(request, manifest.to_bytes(), BrowserDevice(device), page)
`;

const scope = /** @type {any} */ (globalThis);
/** @param {Answer} answer */
const say = (answer) => scope.postMessage(answer);

/** @type {any} */
let python;
/** @type {import("./devices.js").DeviceOptions} */
let options;
/** @type {import("./protocol.js").Device | Device | null} */
let device = null;
/** @type {(() => void) | null} */
let go = null;

/** @param {{data: Order}} event */
scope.onmessage = ({ data }) => {
  if (data.type === "open") open(data).catch((error) => say({ type: "failed", message: messageOf(error) }));
  else if (data.type === "serve") serve(data.request);
  else if (data.type === "go") go?.();
  else giveUp();
};
scope.postMessage({ type: "ready" });

/** Take the device away from a trial that never ends: what waits for it learns that it is lost. */
function giveUp() {
  if (device instanceof WasmDevice) {
    device.threads.end(new DeviceLostError("the wasm workers stopped: a trial was given up"));
  } else if (device instanceof Device) {
    device.gpu.destroy();
  }
}

/** @param {Order & {type: "open"}} order */
async function open({ places, manifest, sha256, device: asked }) {
  options = asked;
  const [data, wheel, { loadPyodide }] = await Promise.all([
    typeof manifest === "string" ? bytes(manifest) : manifest, bytes(places.wheel), import(new URL("pyodide.mjs", places.pyodide).href)]);
  if (!new TextDecoder().decode(data.slice(-80)).includes(sha256)) {
    throw new Error("the pack is another one than the page runs; load the page again");
  }
  python = await loadPyodide({ indexURL: places.pyodide });
  python.unpackArchive(wheel.buffer, "wheel");
  python.globals.set("manifest", data);
  python.globals.set("page", {
    turn: () => new Promise((resolve) => {
      go = () => resolve(undefined);
      say({ type: "want" });
    }),
    say: (/** @type {string} */ message) => say({ type: "said", message }),
  });
  say({ type: "opened" });
}

/** @param {string} url */
async function bytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** @param {string} request */
async function serve(request) {
  try {
    device = await openDevice(options);
    python.globals.set("request", request);
    python.globals.set("device", device);
    say({ type: "done", report: await python.runPythonAsync(SERVE) });
  } catch (error) {
    const lost = /** @type {{type?: string}} */ (error).type === "DeviceLostError";
    say({ type: lost ? "lost" : "failed", message: lastLine(messageOf(error)) });
  } finally {
    device?.close();
    device = null;
  }
}

/** What a Python traceback ends with. @param {string} text */
const lastLine = (text) => text.trim().split("\n").at(-1) ?? text;
