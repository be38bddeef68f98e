import { Tensor } from "./tensor.js";
export type ImageSource = import("./ort-types.js").ImageSource;
export type FromImageOptions = import("./ort-types.js").FromImageOptions;
/** @typedef {import("./ort-types.js").ImageSource} ImageSource */
/** @typedef {import("./ort-types.js").FromImageOptions} FromImageOptions */
/** (number + bias) / mean of each colour of each pixel, in [1, C, H, W] or [1, H, W, C].
 * @param {ImageSource} image @param {FromImageOptions} [options]
 * @returns {Promise<Tensor<"float32"> | Tensor<"uint8">>} */
export declare function fromImage(image: ImageSource, options?: FromImageOptions): Promise<Tensor<"float32"> | Tensor<"uint8">>;
