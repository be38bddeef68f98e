/** @param {URL} base @returns {Promise<import("./manifest.js").Pack>} */
export declare function loadPack(base: URL): Promise<import("./manifest.js").Pack>;
/** A module's bytes, verified. @param {URL} base @param {import("./modules.js").WasmModule} module */
export declare function loadModule(base: URL, module: import("./modules.js").WasmModule): Promise<Uint8Array<ArrayBuffer>>;
/**
 * A file's bytes, at most `most` of them and one more: a longer file is found out, not loaded.
 * @param {URL} url @param {number} most @param {(bytes: number) => void} [progress]
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export declare function fetchFile(url: URL, most: number, progress?: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>>;
