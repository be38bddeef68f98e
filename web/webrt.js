// webrt's player: run a pack in a page, on the GPU or the CPU, with nothing else to load.
//
//   import {InferenceSession, Tensor} from "./webrt.js";
//   const session = await InferenceSession.create("./pack");
//   const outputs = await session.run({name: new Tensor("int64", new BigInt64Array(3), [1, 3])});

import { clearCache } from "./cache.js";
import { env } from "./env.js";
import { InferenceSession, ways } from "./session.js";
import { Tensor } from "./tensor.js";

export * from "./errors.js";
export { InferenceSession, Tensor, clearCache, env };
/** @typedef {import("./ort-types.js").Env} Env */
/** @typedef {import("./tensor.js").Type} Type */
/** @typedef {import("./progress-info.js").ProgressInfo} ProgressInfo */
/** @template {Type} T @typedef {Tensor<T>} TypedTensor */
/** For `import ort from "webrt"`. */
export default { InferenceSession, Tensor, clearCache, env };

ways.remote = () => import("./remote.js");
