export type Pack = import("./manifest.js").Pack;
export type Constant = import("./weights.js").Constant;
/** How a device of these features runs a pack with float16 in it: `native`, or `widened` to float32;
 * null for one without.
 * @param {Pack} pack @param {readonly string[]} features @returns {"native" | "widened" | null} */
export declare function float16Mode({ tensors }: Pack, features: readonly string[]): "native" | "widened" | null;
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
