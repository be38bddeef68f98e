// Fetch a pack: the manifest, then the weight shards, each verified before it reaches the device.

import { bindingSize } from "./bound.js";
import { PackError, messageOf } from "./errors.js";
import { MANIFEST, MAX_MANIFEST_BYTES, checkShard, parseManifest } from "./manifest.js";

/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./device.js").Device} Device */
/** @typedef {import("./device.js").Slice} Slice */

/** A binding's offset in a buffer of weights. */
const ALIGNMENT = 256;

/** Shards in memory at one time: each is at most 64 MiB. */
const MAX_FETCHES = 2;

/** @param {URL} base @returns {Promise<Pack>} */
export async function loadPack(base) {
  const url = new URL(MANIFEST, base);
  return parseManifest(await fetchBytes(url, MAX_MANIFEST_BYTES), url.href);
}

/**
 * Upload every shard into one buffer, its tensors 256-aligned; returns the constants' slices.
 * @param {URL} base @param {Pack} pack @param {Device} device
 * @param {(done: number, total: number) => void} progress @returns {Promise<Map<number, Slice>>}
 */
export async function loadWeights(base, pack, device, progress) {
  /** @type {Map<number, Slice>} */
  const slices = new Map();
  const total = pack.shards.reduce((sum, shard) => sum + shard.bytes, 0);
  const todo = pack.shards.keys();
  let done = 0;
  const worker = async () => {
    for (const index of todo) {
      const { file, bytes } = pack.shards[index];
      const url = new URL(file, base);
      const data = await fetchBytes(url, bytes, (n) => progress(done += n, total));
      await checkShard(pack, index, data, url.href);
      uploadShard(pack, device, index, data, slices);
    }
  };
  await Promise.all(Array.from({ length: MAX_FETCHES }, worker));
  return slices;
}

/** @param {Pack} pack @param {Device} device @param {number} shard
 * @param {Uint8Array<ArrayBuffer>} data @param {Map<number, Slice>} slices */
function uploadShard(pack, device, shard, data, slices) {
  /** @type {{index: number, at: number, from: number, bytes: number}[]} */
  const places = [];
  let end = 0;
  pack.tensors.forEach(({ place }, index) => {
    if (place?.shard !== shard) return;
    places.push({ index, at: end, from: place.offset, bytes: place.bytes });
    end += Math.max(ALIGNMENT, Math.ceil(place.bytes / ALIGNMENT) * ALIGNMENT);
  });
  const buffer = device.allocate(end, pack.shards[shard].file);
  for (const { index, at, from, bytes } of places) {
    device.upload(buffer, at, data.subarray(from, from + bytes));
    slices.set(index, { buffer, offset: at, size: bindingSize(bytes) });
  }
}

/**
 * A file's bytes, at most `most` of them and one more: a longer file is found out, not loaded.
 * @param {URL} url @param {number} most @param {(bytes: number) => void} [progress]
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
async function fetchBytes(url, most, progress) {
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
