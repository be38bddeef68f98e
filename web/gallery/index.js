// The gallery's first page: what this browser has for models.

import { element, find } from "./elements.js";

/** A GPU's name, if the browser has one to give. */
async function gpuHere() {
  const adapter = await globalThis.navigator?.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return navigator.gpu ? "none for this page" : "no WebGPU";
  const { vendor, architecture, description } = adapter.info;
  return [description || [vendor, architecture].filter(Boolean).join(" ") || "yes"].join();
}

const cores = navigator.hardwareConcurrency ?? 1;
const facts = {
  GPU: await gpuHere(),
  CPU: globalThis.crossOriginIsolated ? `${cores} ${cores === 1 ? "core" : "cores"}`
    : "one thread: this site isn’t cross-origin isolated",
};
find("#badges").replaceChildren(...Object.entries(facts).map(([name, value]) => (
  element("li", {}, element("b", {}, name), ` ${value}`))));
/** @type {HTMLElement} */ (find("#badges")).hidden = false;
