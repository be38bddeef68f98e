// SHA-256 in JavaScript, for pages without crypto.subtle (plain http, not localhost).

/** The first 32 bits of the fractional part of `root` of the first `count` primes.
 * @param {(p: number) => number} root @param {number} count */
function fractions(root, count) {
  const found = [];
  for (let n = 2; found.length < count; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) prime &&= n % d !== 0;
    if (prime) found.push(((root(n) % 1) * 2 ** 32) | 0);
  }
  return Int32Array.from(found);
}

/**
 * FIPS 180-4, 6.2.
 * @param {Uint8Array} bytes @returns {Uint8Array}
 */
export function digest(bytes) {
  const k = fractions(Math.cbrt, 64);
  const h = fractions(Math.sqrt, 8);
  const padded = new Uint8Array(((bytes.length + 8) >> 6) * 64 + 64);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, (bytes.length << 3) >>> 0);
  const w = new Int32Array(64);
  for (let block = 0; block < padded.length; block += 64) mix(view, block, w, k, h);
  const out = new DataView(new ArrayBuffer(32));
  h.forEach((word, j) => out.setInt32(4 * j, word));
  return new Uint8Array(out.buffer);
}

/** @param {DataView} view @param {number} block @param {Int32Array} w @param {Int32Array} k
 * @param {Int32Array} h */
function mix(view, block, w, k, h) {
  /** @param {number} x @param {number} n */
  const turn = (x, n) => (x >>> n) | (x << (32 - n));
  for (let t = 0; t < 16; t++) w[t] = view.getInt32(block + 4 * t);
  for (let t = 16; t < 64; t++) {
    const x = w[t - 15], y = w[t - 2];
    const s0 = turn(x, 7) ^ turn(x, 18) ^ (x >>> 3);
    const s1 = turn(y, 17) ^ turn(y, 19) ^ (y >>> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  let [a, b, c, d, e, f, g, last] = h;
  for (let t = 0; t < 64; t++) {
    const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
    const one = (last + s1 + ((e & f) ^ (~e & g)) + k[t] + w[t]) | 0;
    const s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
    const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    last = g; g = f; f = e; e = (d + one) | 0;
    d = c; c = b; b = a; a = (one + two) | 0;
  }
  [a, b, c, d, e, f, g, last].forEach((word, j) => (h[j] += word));
}
