export type Placement = {
    offsets: Map<number, number>;
    peak: number;
};
/** @typedef {{offsets: Map<number, number>, peak: number}} Placement */
/** Bytes of one element in device memory. @param {string} dtype */
export declare const elementBytes: (dtype: string) => 2 | 4;
/**
 * Byte offsets of the arena's tensors and the arena's size under the values of the symbols.
 * @param {import("./manifest.js").Pack} pack @param {import("./dims.js").Bindings} bindings
 * @returns {Placement}
 */
export declare function place(pack: import("./manifest.js").Pack, bindings: import("./dims.js").Bindings): Placement;
/**
 * The same for tensors that live as `lives` tells: those of one epoch (flow.js).
 * @param {import("./manifest.js").Pack} pack @param {Map<number, [number, number]>} lives
 * @param {import("./dims.js").Bindings} bindings @returns {Placement}
 */
export declare function placeLives(pack: import("./manifest.js").Pack, lives: Map<number, [number, number]>, bindings: import("./dims.js").Bindings): Placement;
