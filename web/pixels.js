// Tensors as images, and what images and tensors say of each other, in onnxruntime-web's terms.

import { UsageError } from "./errors.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./ort-types.js").ImageOptions} ImageOptions */

/** Where a pixel's red, green, blue and alpha stand among a tensor's channels. */
const ORDERS = { RGB: [0, 1, 2], RGBA: [0, 1, 2, 3], BGR: [2, 1, 0], RBG: [0, 2, 1] };

/** How the numbers of an image lie in a tensor: `place(pixel, colour)`, and for each colour what
 * divides a number and what is added to it before.
 * @param {string} what for messages @param {string} format @param {string} layout
 * @param {number} pixels @param {ImageOptions["norm"]} norm @param {number} whole the default mean */
export function planOf(what, format, layout, pixels, norm, whole) {
  if (!Object.hasOwn(ORDERS, format)) {
    throw new UsageError(`${what}: expected a format of ${Object.keys(ORDERS)}, found '${format}'`);
  }
  if (layout !== "NCHW" && layout !== "NHWC") {
    throw new UsageError(`${what}: expected a tensorLayout NCHW or NHWC, found '${layout}'`);
  }
  const order = ORDERS[/** @type {keyof typeof ORDERS} */ (format)];
  const count = order.length;
  /** @param {number | readonly number[] | undefined} given @param {number} missing */
  const each = (given, missing) =>
    order.map((_, j) => (typeof given === "object" ? given[j] : given) ?? missing);
  return {
    count, mean: each(norm?.mean, whole), bias: each(norm?.bias, 0),
    /** @param {number} pixel @param {number} colour */
    place: (pixel, colour) =>
      layout === "NHWC" ? pixel * count + order[colour] : order[colour] * pixels + pixel,
  };
}

/** The first image of [N, C, H, W], or [N, H, W, C]: (number - bias) · mean a colour.
 * @param {Tensor} tensor @param {ImageOptions} options @returns {ImageData} */
export function toImageData(tensor, { format = "RGB", tensorLayout = "NCHW", norm } = {}) {
  const what = "tensor.toImageData";
  const { data, dims } = tensor;
  const whole = tensor.type === "uint8" ? 1 : 255;
  const [channels, height, width] = tensorLayout === "NHWC" ? [dims[3], dims[1], dims[2]] : dims.slice(1);
  const pixels = height * width;
  const plan = planOf(what, format, tensorLayout, pixels, norm, whole);
  if (dims.length !== 4 || channels !== plan.count || !dims[0]) {
    throw new UsageError(`${what}: expected ${tensorLayout} with ${plan.count} channels for ${format},`
      + ` found [${dims}]`);
  }
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < pixels; pixel++) {
    image.data[4 * pixel + 3] = 255;
    for (let colour = 0; colour < channels; colour++) {
      const number = Number(data[plan.place(pixel, colour)]);
      image.data[4 * pixel + colour] = (number - plan.bias[colour]) * plan.mean[colour];
    }
  }
  return image;
}

/** The same as a PNG in a URL. @param {Tensor} tensor @param {ImageOptions} [options] */
export function toDataURL(tensor, options) {
  const image = toImageData(tensor, options);
  if (!globalThis.document) throw new UsageError("tensor.toDataURL: only pages have data URLs of images");
  const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(image, 0, 0);
  return canvas.toDataURL();
}
