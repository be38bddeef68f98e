export { InferenceSession } from "./session.js";
export { Tensor } from "./tensor.js";
export * from "./errors.js";
