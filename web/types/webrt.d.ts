import { clearCache } from "./cache.js";
import { env } from "./env.js";
import { InferenceSession } from "./session.js";
import { Tensor } from "./tensor.js";
export * from "./errors.js";
export { InferenceSession, Tensor, clearCache, env };
/** For `import ort from "webrt"`. */
declare const _default: {
    InferenceSession: typeof InferenceSession;
    Tensor: typeof Tensor;
    clearCache: typeof clearCache;
    env: import("./ort-types.js").Env;
};
export default _default;
