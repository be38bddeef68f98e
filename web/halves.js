// float16 in JavaScript: elements of 16 bits as float32 and back, to the last bit.
// tests/vectors/halves.json holds this and webrt/runtime/arrays.py to the same numbers.

/** @type {Float32Array<ArrayBuffer> | undefined} every float16 as a float32, by its bits */
let table;

/** @returns {Float32Array<ArrayBuffer>} */
function everyHalf() {
  const words = new Uint32Array(1 << 16);
  const floats = new Float32Array(words.buffer);
  for (let half = 0; half < words.length; half++) {
    const exponent = (half >> 10) & 31, fraction = half & 1023;
    if (exponent) {
      words[half] = ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13);
    } else {
      floats[half] = fraction * 2 ** -24; // subnormal, or zero
    }
    words[half] |= (half >> 15) << 31;
  }
  return floats;
}

/** float16s, by their bits, as float32: the very same numbers.
 * @param {Uint16Array<ArrayBuffer>} halves @param {Float32Array<ArrayBuffer>} [out]
 * @returns {Float32Array<ArrayBuffer>} */
export function widened(halves, out = new Float32Array(halves.length)) {
  const floats = (table ??= everyHalf());
  for (let j = 0; j < halves.length; j++) out[j] = floats[halves[j]];
  return out;
}

const SUM = new Float32Array(1);
const SUM_BITS = new Uint32Array(SUM.buffer);
const HALF_BITS = 0x3f000000; // 0.5: the step between float32s there is the least float16

/** float32s as float16, by their bits: the nearest ones, of two the even one.
 * @param {Float32Array<ArrayBuffer>} floats @returns {Uint16Array<ArrayBuffer>} */
export function narrowed(floats) {
  const words = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  const out = new Uint16Array(floats.length);
  for (let j = 0; j < out.length; j++) {
    const sign = (words[j] >>> 16) & 0x8000, size = words[j] & 0x7fffffff;
    let half;
    if (size >= 0x47800000) { // 65536 and above
      half = size > 0x7f800000 ? 0x7e00 : 0x7c00;
    } else if (size >= 0x38800000) { // rounding may carry into the exponent, up to infinity
      half = (size - 0x37fff001 + ((size >>> 13) & 1)) >>> 13;
    } else { // below 2^-14: the sum rounds as a subnormal does
      SUM[0] = Math.abs(floats[j]) + 0.5;
      half = SUM_BITS[0] - HALF_BITS;
    }
    out[j] = sign | half;
  }
  return out;
}
