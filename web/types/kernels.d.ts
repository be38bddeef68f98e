export type Pack = import("./manifest.js").Pack;
export type Device = import("./protocol.js").Device;
export type DeviceInfo = import("./protocol.js").DeviceInfo;
export type KernelCode = import("./protocol.js").KernelCode;
export type Kernel = {
    name: string;
    pipeline: object;
    grid: import("./dims.js").Dim[];
    work: import("./dims.js").Dim;
    panels: Map<number, number | string>;
};
export type Kernels = {
    problems: Kernel[];
    packers: object[];
    compiled: number;
};
/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./protocol.js").DeviceInfo} DeviceInfo */
/** @typedef {import("./protocol.js").KernelCode} KernelCode */
/** A problem's kernel, compiled. `panels` maps operands to packers: by their numbers in the pack, or by
 * the names of those that came with a tuned kernel.
 * @typedef {{name: string, pipeline: object, grid: import("./dims.js").Dim[],
 *   work: import("./dims.js").Dim, panels: Map<number, number | string>}} Kernel */
/** One kernel a problem; `packers` lay constants out while the weights are loaded.
 * @typedef {{problems: Kernel[], packers: object[], compiled: number}} Kernels */
/** The feature of an engine that runs modules with relaxed SIMD. */
export declare const RELAXED_SIMD = "relaxed-simd";
/** The module of the pack that a wasm device runs. @param {Pack} pack @param {DeviceInfo} info */
export declare const moduleFor: ({ wasm }: Pack, info: DeviceInfo) => import("./modules.js").WasmModule;
/**
 * Compile what the device's kind needs of the pack; `module` is the wasm module's bytes.
 * @param {Pack} pack @param {Device} device @param {Uint8Array<ArrayBuffer> | null} module
 * @param {(done: number, total: number) => void} progress @returns {Promise<Kernels>}
 */
export declare function compileKernels(pack: Pack, device: Device, module: Uint8Array<ArrayBuffer> | null, progress: (done: number, total: number) => void): Promise<Kernels>;
