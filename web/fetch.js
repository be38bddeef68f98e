// Fetch a pack's files.

import { PackError, messageOf } from "./errors.js";
import { MANIFEST, MAX_MANIFEST_BYTES, parseManifest } from "./manifest.js";
import { checkFile } from "./modules.js";

/** @param {URL} base @returns {Promise<import("./manifest.js").Pack>} */
export async function loadPack(base) {
  const url = new URL(MANIFEST, base);
  return parseManifest(await fetchFile(url, MAX_MANIFEST_BYTES), url.href);
}

/** A module's bytes, verified. @param {URL} base @param {import("./modules.js").WasmModule} module */
export async function loadModule(base, module) {
  const url = new URL(module.file, base);
  const data = await fetchFile(url, module.bytes);
  await checkFile(module, data, url.href);
  return data;
}

/**
 * A file's bytes, at most `most` of them and one more: a longer file is found out, not loaded.
 * @param {URL} url @param {number} most @param {(bytes: number) => void} [progress]
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function fetchFile(url, most, progress) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new PackError(`${url.href}: can't be fetched: ${messageOf(error)}`);
  }
  if (!response.ok || !response.body) {
    throw new PackError(`${url.href}: HTTP status ${response.status}; the pack is not there or incomplete`);
  }
  /** @type {Uint8Array[]} */
  const chunks = [];
  let length = 0;
  const reader = response.body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      chunks.push(part.value);
      length += part.value.length;
      progress?.(part.value.length);
      if (length > most) {
        reader.cancel().catch(() => {});
        break;
      }
    }
  } catch (error) {
    throw new PackError(`${url.href}: the download broke off: ${messageOf(error)}`);
  }
  const data = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    data.set(chunk, at);
    at += chunk.length;
  }
  return data;
}
