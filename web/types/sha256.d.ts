/** @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<string>} */
export declare function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string>;
