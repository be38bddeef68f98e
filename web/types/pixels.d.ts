export type Tensor = import("./tensor.js").Tensor;
export type ImageOptions = import("./ort-types.js").ImageOptions;
/** How the numbers of an image lie in a tensor: `place(pixel, colour)`, and for each colour what
 * divides a number and what is added to it before.
 * @param {string} what for messages @param {string} format @param {string} layout
 * @param {number} pixels @param {ImageOptions["norm"]} norm @param {number} whole the default mean */
export declare function planOf(what: string, format: string, layout: string, pixels: number, norm: ImageOptions["norm"], whole: number): {
    count: number;
    mean: number[];
    bias: number[];
    /** @param {number} pixel @param {number} colour */
    place: (pixel: number, colour: number) => number;
};
/** The first image of [N, C, H, W], or [N, H, W, C]: (number - bias) · mean a colour.
 * @param {Tensor} tensor @param {ImageOptions} options @returns {ImageData} */
export declare function toImageData(tensor: Tensor, { format, tensorLayout, norm }?: ImageOptions): ImageData;
/** The same as a PNG in a URL. @param {Tensor} tensor @param {ImageOptions} [options] */
export declare function toDataURL(tensor: Tensor, options?: ImageOptions): string;
