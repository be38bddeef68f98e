import { Tensor } from "./tensor.js";
/** A tensor over strings. @param {string[]} strings @param {readonly number[]} dims
 * @returns {Tensor<any>} */
export declare const stringTensor: (strings: string[], dims: readonly number[]) => Tensor<any>;
/** The strings at the places that a run made. @param {Tensor} places
 * @param {readonly string[]} texts @returns {Tensor<any>} */
export declare function named(places: Tensor, texts: readonly string[]): Tensor<any>;
