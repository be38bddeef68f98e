// Tensor.fromImage: pixels of whatever a browser can draw, as numbers. Loaded when it is called.

import { UsageError } from "./errors.js";
import { planOf } from "./pixels.js";
import { Tensor } from "./tensor.js";

/** @typedef {import("./ort-types.js").ImageSource} ImageSource */
/** @typedef {import("./ort-types.js").FromImageOptions} FromImageOptions */

/** (number + bias) / mean of each colour of each pixel, in [1, C, H, W] or [1, H, W, C].
 * @param {ImageSource} image @param {FromImageOptions} [options]
 * @returns {Promise<Tensor<"float32"> | Tensor<"uint8">>} */
export async function fromImage(image, options = {}) {
  const { tensorFormat = "RGB", tensorLayout = "NCHW", dataType = "float32", norm } = options;
  const what = "Tensor.fromImage";
  if (dataType !== "float32" && dataType !== "uint8") {
    throw new UsageError(`${what}: expected a dataType float32 or uint8, found '${dataType}'`);
  }
  const { data, width, height } = await pixelsOf(image, options);
  const pixels = width * height;
  const plan = planOf(what, tensorFormat, tensorLayout, pixels, norm, dataType === "uint8" ? 1 : 255);
  const Kind = dataType === "uint8" ? Uint8ClampedArray : Float32Array;
  const out = new Kind(pixels * plan.count);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let colour = 0; colour < plan.count; colour++) {
      const number = (data[4 * pixel + colour] + plan.bias[colour]) / plan.mean[colour];
      out[plan.place(pixel, colour)] = number;
    }
  }
  const size = [height, width];
  const dims = tensorLayout === "NHWC" ? [1, ...size, plan.count] : [1, plan.count, ...size];
  return /** @type {Tensor<"float32"> | Tensor<"uint8">} */ (new Tensor(dataType, out, dims));
}

/** @param {ImageSource} image @param {FromImageOptions} options @returns {Promise<ImageData>} */
async function pixelsOf(image, { resizedWidth, resizedHeight }) {
  const source = /** @type {any} */ (typeof image === "string" ? await loaded(image) : image);
  const own = [source?.naturalWidth ?? source?.videoWidth ?? source?.displayWidth ?? source?.width,
    source?.naturalHeight ?? source?.videoHeight ?? source?.displayHeight ?? source?.height];
  if (!own.every((size) => Number.isInteger(size) && size > 0)) {
    throw new UsageError("Tensor.fromImage: expected an image that is loaded, its URL, ImageData, an"
      + " ImageBitmap, a video or a canvas");
  }
  const [width, height] = [resizedWidth ?? own[0], resizedHeight ?? own[1]];
  const isPlain = globalThis.ImageData && source instanceof ImageData;
  if (isPlain && width === own[0] && height === own[1]) return source;
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (
    canvas.getContext("2d", { willReadFrequently: true }));
  context.drawImage(isPlain ? await createImageBitmap(source) : source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** @param {string} url */
async function loaded(url) {
  try {
    if (globalThis.Image) {
      const image = Object.assign(new Image(), { crossOrigin: "anonymous", src: url });
      await image.decode();
      return image;
    }
    return await createImageBitmap(await (await fetch(url)).blob());
  } catch (cause) {
    throw new UsageError(`Tensor.fromImage: ${url.slice(0, 80)} can't be loaded as an image`, { cause });
  }
}
