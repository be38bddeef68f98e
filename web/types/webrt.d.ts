export { clearCache } from "./cache.js";
export { InferenceSession } from "./session.js";
export { Tensor } from "./tensor.js";
export * from "./errors.js";
