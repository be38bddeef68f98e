import { Shapes } from "./bound.js";
export type Pack = import("./manifest.js").Pack;
export type Files = import("./fetch.js").Files;
export type Device = import("./protocol.js").Device;
export type Kernels = import("./kernels.js").Kernels;
export type Tuning = import("./tune.js").Tuning;
export type Options = import("./session.js").Options;
export type Loaded = {
    pack: Pack;
    device: Device;
    kernels: Kernels;
    shapes: Shapes | import("./flow.js").FlowShapes;
    float16: "native" | "widened" | null;
};
export type WasmDevice = import("./wasm.js").WasmDevice;
/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./fetch.js").Files} Files */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./kernels.js").Kernels} Kernels */
/** @typedef {import("./tune.js").Tuning} Tuning */
/** @typedef {import("./session.js").Options} Options */
/** A pack on a device, as that device runs it. @typedef {{pack: Pack, device: Device,
 *   kernels: Kernels, shapes: Shapes | import("./flow.js").FlowShapes,
 *   float16: "native" | "widened" | null}} Loaded */
/** @typedef {import("./wasm.js").WasmDevice} WasmDevice */
/** What tuning knows and may do, where the page asks for it: a page that doesn't loads nothing of it.
 * @param {Pack} pack @param {Files} files @param {Options} options @returns {Promise<Tuning | null>} */
export declare function tuningOf(pack: Pack, files: Files, options: Options): Promise<Tuning | null>;
/** Put a pack on a device. @param {Pack} given @param {Files} files @param {Promise<Device>} opening
 * @param {Tuning | null} tuning @returns {Promise<Loaded>} */
export declare function load(given: Pack, files: Files, opening: Promise<Device>, tuning: Tuning | null): Promise<Loaded>;
/** Run it once where the first run would be slow otherwise. @param {Loaded} loaded */
export declare function rehearsed({ pack, device, shapes }: Loaded): Promise<void>;
