// webrt's player: run a pack in a page, on the GPU or the CPU, with nothing else to load.
//
//   import {InferenceSession, Tensor} from "./webrt.js";
//   const session = await InferenceSession.create("./pack");
//   const outputs = await session.run({name: new Tensor("int64", new BigInt64Array(3), [1, 3])});

import { ways } from "./session.js";

export { clearCache } from "./cache.js";
export { InferenceSession } from "./session.js";
export { Tensor } from "./tensor.js";
export * from "./errors.js";

ways.remote = () => import("./remote.js");
