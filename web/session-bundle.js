// session-worker.js with all that a session may load later: a bundler's worker is one file (in Vite,
// unless its configuration says otherwise), so whatever is imported dynamically stands here too.

import * as archive from "./archive.js";
import * as auto from "./auto.js";
import * as device from "./device.js";
import * as digest from "./digest.js";
import * as flowRead from "./flow-read.js";
import * as flow from "./flow.js";
import * as given from "./given.js";
import * as gpuOptions from "./gpu-options.js";
import * as gpuTensor from "./gpu-tensor.js";
import * as image from "./image.js";
import * as insight from "./insight.js";
import * as recover from "./recover.js";
import "./session-worker.js";
import * as texts from "./texts.js";
import * as tune from "./tune.js";
import * as warm from "./warm.js";
import * as wasm from "./wasm.js";
import * as widen from "./widen.js";

// Used, or bundlers would leave them out here, and cut them off as files of their own there.
/** @type {any} */ (globalThis).webrt = [archive, auto, device, digest, flowRead, flow, given, gpuOptions,
  gpuTensor, image, insight, recover, texts, tune, warm, wasm, widen];
