export type Pack = import("./manifest.js").Pack;
export type Device = import("./device.js").Device;
export type Slice = import("./device.js").Slice;
/** @param {URL} base @returns {Promise<Pack>} */
export declare function loadPack(base: URL): Promise<Pack>;
/**
 * Upload every shard into one buffer, its tensors 256-aligned; returns the constants' slices.
 * @param {URL} base @param {Pack} pack @param {Device} device
 * @param {(done: number, total: number) => void} progress @returns {Promise<Map<number, Slice>>}
 */
export declare function loadWeights(base: URL, pack: Pack, device: Device, progress: (done: number, total: number) => void): Promise<Map<number, Slice>>;
