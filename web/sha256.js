// SHA-256 in hex: the browser's own where there is one (secure contexts), else in JavaScript.

/** @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<string>} */
export async function sha256(bytes) {
  const subtle = globalThis.crypto?.subtle;
  const hash = subtle ? new Uint8Array(await subtle.digest("SHA-256", bytes))
    : (await import("./digest.js")).digest(bytes);
  return Array.from(hash, (b) => b.toString(16).padStart(2, "0")).join("");
}
