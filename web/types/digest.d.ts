/**
 * FIPS 180-4, 6.2.
 * @param {Uint8Array} bytes @returns {Uint8Array}
 */
export declare function digest(bytes: Uint8Array): Uint8Array;
