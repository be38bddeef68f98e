// What a session needs of a device, as types: webrt/runtime/device.py in JavaScript. The two
// implementations are device.js (WebGPU) and wasm.js (the CPU).

/** @typedef {{readonly size: number}} Buffer */
/** An entry of a module's table; `scratch` is what a worker needs of memory of its own for it.
 * @typedef {{module: Uint8Array<ArrayBuffer>, entry: number, scratch: number}} WasmCode */
/** WGSL or wasm, as the device's kind asks.
 * @typedef {{name: string, source: string | WasmCode,
 *   bindings: readonly {writable: boolean}[]}} KernelCode */
/** `size` bytes of a buffer from `offset`. @typedef {{buffer: Buffer, offset: number,
 *   size: number}} Slice */
/** The last `outputs` slices are written; on wasm, `grid` is [units, 1, 1]. `cost` estimates
 * milliseconds on a slow device: long recordings are cut by it.
 * @typedef {{pipeline: object, slices: readonly Slice[], outputs: number,
 *   grid: readonly number[], cost: number}} Dispatch */
/** `bytes` of an upload's data from `from`, and where they go.
 * @typedef {{buffer: Buffer, offset: number, from: number, bytes: number}} Part */
/** `threads` and `note` tell how a wasm device runs, and why with no more threads than that; `reason`
 * why a session runs on this device.
 * @typedef {{kind: "webgpu" | "wasm", adapter: string, vendor: string, architecture: string,
 *   adapterClass: string, features: string[], limits: Record<string, number>, threads: number,
 *   note: string | null, reason?: string}} DeviceInfo */

/** What is queued takes effect in the order of the calls.
 * @typedef {object} Device
 * @property {DeviceInfo} info
 * @property {(size: number, label: string, zeroed?: boolean) => Buffer} allocate memory,
 *   zeroed where that matters
 * @property {(buffer: any, offset: number, data: Uint8Array<ArrayBuffer>) => void} upload
 * @property {(data: Uint8Array<ArrayBuffer>, parts: readonly any[]) => Promise<Uint8Array<ArrayBuffer>>} uploadParts
 *   `Part`s of data, whose memory it takes away until it gives the same bytes back, when there is
 *   room for more
 * @property {(kernels: readonly KernelCode[], progress?: (done: number, total: number) => void) =>
 *   Promise<object[]>} compile
 * @property {(dispatches: readonly any[], uniform: any) => any} record `Dispatch`es
 * @property {(recording: any) => void} replay
 * @property {(recording: any) => void} discard
 * @property {(recording: any, requests: readonly any[]) => Promise<ArrayBuffer[]>} replayAndRead
 * @property {(requests: readonly any[]) => Promise<ArrayBuffer[]>} readMany
 * @property {() => Promise<void>} settle waits for what was queued; throws what was refused of it, once
 * @property {(buffer: any) => void} free
 * @property {() => {label: string, bytes: number}[]} held what is allocated, for people
 * @property {() => void} close
 */

export {};
