/** @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<string>} */
export declare function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string>;
/**
 * FIPS 180-4, 6.2, for pages without crypto.subtle (plain http, not localhost).
 * @param {Uint8Array} bytes @returns {Uint8Array}
 */
export declare function digest(bytes: Uint8Array): Uint8Array;
