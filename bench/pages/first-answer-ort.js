// onnxruntime-web's side of bench/first_answer.py: the same page, with its import and its file.

// @ts-ignore: the package is not part of this repository
import * as ort from "onnxruntime-web";
import { bertFeeds } from "./feeds.js";

const query = new URLSearchParams(location.search);
const length = Number(query.get("length"));
const begun = performance.now();
const session = await ort.InferenceSession.create("/model.onnx",
  { executionProviders: [query.get("device") ?? "wasm"] });
const loaded = performance.now();
const feeds = Object.fromEntries(Object.entries(bertFeeds(1, length))
  .filter(([name]) => session.inputNames.includes(name))
  .map(([name, data]) => [name, new ort.Tensor("int64", data, [1, length])]));
const outputs = await session.run(feeds);
const data = await outputs[session.outputNames[0]].getData();
Object.assign(globalThis, { answer: { script: begun, loaded, ms: performance.now(),
  runsOn: `${ort.env.wasm.numThreads ?? "default"} threads`,
  values: Array.from(data, Number).slice(0, 64) } });
