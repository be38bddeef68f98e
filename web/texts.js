// Outputs that are strings: a run makes places, the pack has the strings.

import { PackError, UsageError } from "./errors.js";
import { Tensor } from "./tensor.js";

/** A tensor of strings: `data` is an array of them. */
class StringTensor extends Tensor {
  /** @type {string[] | null} */
  #strings;

  /** @param {string[]} strings @param {readonly number[]} dims */
  constructor(strings, dims) {
    super("uint8", new Uint8Array(strings.length), dims);
    this.#strings = strings;
    /** @type {any} */ (this).type = "string";
  }

  /** @returns {any} */
  get data() {
    if (this.#strings) return this.#strings;
    throw new UsageError("the tensor was disposed of");
  }

  /** @returns {Promise<any>} */
  async getData() {
    return this.data;
  }

  dispose() {
    super.dispose();
    this.#strings = null;
  }

  /** @param {readonly number[]} dims @returns {any} */
  reshape(dims) {
    return new StringTensor(this.data, dims);
  }
}

/** A tensor over strings. @param {string[]} strings @param {readonly number[]} dims
 * @returns {Tensor<any>} */
export const stringTensor = (strings, dims) => new StringTensor(strings, dims);

/** The strings at the places that a run made. @param {Tensor} places
 * @param {readonly string[]} texts @returns {Tensor<any>} */
export function named(places, texts) {
  const strings = Array.from(/** @type {BigInt64Array} */ (places.data), (place) => {
    const text = texts[Number(place)];
    if (text === undefined) {
      throw new PackError(`a label is number ${place} of ${texts.length}; pack again`);
    }
    return text;
  });
  return new StringTensor(strings, places.dims);
}
