export type Pack = import("./manifest.js").Pack;
export type Constant = import("./weights.js").Constant;
/** How a device of these features runs a pack with float16 in it: as it is, or `widened` to float32.
 * @param {readonly string[]} features @returns {"native" | "widened"} */
export declare const float16Mode: (features: readonly string[]) => "native" | "widened";
/** The pack with f32 in the place of f16. @param {Pack} pack @returns {Pack} */
export declare function widenedPack(pack: Pack): Pack;
/**
 * Constants as the device stores them: those of a shard with f16 in it are copied, and widened.
 * @param {Uint8Array<ArrayBuffer>} data @param {Constant[]} constants
 * @returns {Promise<{data: Uint8Array<ArrayBuffer>, constants: Constant[]}>}
 */
export declare function heldBytes(data: Uint8Array<ArrayBuffer>, constants: Constant[]): Promise<{
    data: Uint8Array<ArrayBuffer>;
    constants: Constant[];
}>;
