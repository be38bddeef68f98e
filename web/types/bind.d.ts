import { Tensor } from "./tensor.js";
export type Pack = import("./manifest.js").Pack;
export type Port = import("./manifest.js").Port;
export type Bindings = import("./dims.js").Bindings;
export type Dim = import("./dims.js").Dim;
export type TensorLike = {
    type: string;
    data: any;
    dims: readonly number[];
    location?: string;
    gpuBuffer?: any;
};
export type Feeds = Readonly<Record<string, TensorLike>>;
/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** @typedef {import("./dims.js").Bindings} Bindings */
/** @typedef {import("./dims.js").Dim} Dim */
/** A tensor, or anything with its members (onnxruntime-web's own Tensor, say); `data` may be on the
 * GPU, in `gpuBuffer`.
 * @typedef {{type: string, data: any, dims: readonly number[], location?: string,
 *   gpuBuffer?: any}} TensorLike */
/** @typedef {Readonly<Record<string, TensorLike>>} Feeds */
/** A port's shape as users see it, `s0` by the model's own name.
 * @param {Pack} pack @param {Port} port @returns {(number | string)[]} */
export declare function shapeOf(pack: Pack, port: Port): (number | string)[];
/** A symbol, how many times it makes a dim and how much less the dim is; null for another dim.
 * @param {Dim} dim @returns {[string, number, number] | null} */
export declare function scaled(dim: Dim): [string, number, number] | null;
/** The inputs that users see. @param {Pack} pack */
export declare const listedInputs: ({ inputs }: Pack) => import("./manifest.js").Port[];
/** Every symbol is a dim of an input or gets its value in the flow. @param {Pack} pack */
export declare function checkSymbols(pack: Pack): void;
/**
 * The values of the pack's symbols that inputs give, and the feeds in the order of the
 * inputs: storage bytes, or the tensor itself where it is in a GPU buffer.
 * @param {Pack} pack @param {Feeds} feeds
 * @returns {{bindings: Bindings, data: (Uint8Array<ArrayBuffer> | Tensor)[]}}
 */
export declare function bind(pack: Pack, feeds: Feeds): {
    bindings: Bindings;
    data: (Uint8Array<ArrayBuffer> | Tensor)[];
};
