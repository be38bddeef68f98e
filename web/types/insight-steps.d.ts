export type Pack = import("./manifest.js").Pack;
export type Device = import("./protocol.js").Device;
export type Buffer = import("./protocol.js").Buffer;
export type Dispatch = import("./protocol.js").Dispatch;
export type Bindings = import("./dims.js").Bindings;
export type AnyShapes = import("./load.js").Loaded["shapes"];
export type Turn = {
    step: number;
    dispatch: Dispatch;
    bindings: Bindings;
    uniform: Buffer;
};
export type Observe = (turn: Turn) => Promise<void>;
export type Subject = {
    pack: Pack;
    device: Device;
    shapes: AnyShapes;
    float16: "native" | "widened" | null;
    deviceInfo: import("./protocol.js").DeviceInfo & {
        recovered: number;
    };
    origin: import("./recover.js").Origin | null;
};
/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./protocol.js").Buffer} Buffer */
/** @typedef {import("./protocol.js").Dispatch} Dispatch */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** @typedef {import("./load.js").Loaded["shapes"]} AnyShapes */
/** A step that is to run now. `bindings` are the symbols' values there, `uniform` holds them.
 * @typedef {{step: number, dispatch: Dispatch, bindings: Bindings, uniform: Buffer}} Turn */
/** Runs a step, at least once: a second time changes nothing, since no step writes what it reads.
 * @typedef {(turn: Turn) => Promise<void>} Observe */
/** What a session lets its insight see.
 * @typedef {{pack: Pack, device: Device, shapes: AnyShapes, float16: "native" | "widened" | null,
 *   deviceInfo: import("./protocol.js").DeviceInfo & {recovered: number},
 *   origin: import("./recover.js").Origin | null}} Subject */
/** Run a pack once, each step by `observe`. @param {AnyShapes} shapes @param {Bindings} bindings
 * @param {(Uint8Array<ArrayBuffer> | null)[]} data of the inputs, in their order
 * @param {Observe} observe @returns {Promise<void>} */
export declare function walk(shapes: AnyShapes, bindings: Bindings, data: (Uint8Array<ArrayBuffer> | null)[], observe: Observe): Promise<void>;
/** Queue a dispatch, by itself. @param {Device} device @param {Turn} turn */
export declare function runOnce(device: Device, { dispatch, uniform }: Turn): void;
/** Symbols by the model's own names. @param {Pack} pack @param {Bindings} bindings
 * @returns {Record<string, number>} */
export declare const namedDims: ({ symbols }: Pack, bindings: Bindings) => Record<string, number>;
/** Whether tuning put the kernel there that serves a problem. @param {AnyShapes} shapes
 * @param {number} problem @param {Bindings} bindings */
export declare const isTuned: (shapes: AnyShapes, problem: number, bindings: Bindings) => boolean;
