import { clearCache } from "./cache.js";
import { env } from "./env.js";
import { InferenceSession } from "./session.js";
import { Tensor } from "./tensor.js";
export * from "./errors.js";
export { InferenceSession, Tensor, clearCache, env };
export type Env = import("./ort-types.js").Env;
export type Type = import("./tensor.js").Type;
export type ProgressInfo = import("./progress-info.js").ProgressInfo;
export type TypedTensor<T extends Type> = Tensor<T>;
/** @typedef {import("./ort-types.js").Env} Env */
/** @typedef {import("./tensor.js").Type} Type */
/** @typedef {import("./progress-info.js").ProgressInfo} ProgressInfo */
/** @template {Type} T @typedef {Tensor<T>} TypedTensor */
/** For `import ort from "webrt"`. */
declare const _default: {
    InferenceSession: typeof InferenceSession;
    Tensor: typeof Tensor;
    clearCache: typeof clearCache;
    env: import("./ort-types.js").Env;
};
export default _default;
