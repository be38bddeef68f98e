// webrt's side of bench/first_answer.py: a page that answers as soon as it can.

import { InferenceSession, Tensor } from "../../web/webrt.js";
import { bertFeeds } from "./feeds.js";

const query = new URLSearchParams(location.search);
const length = Number(query.get("length"));
const begun = performance.now();
const session = await InferenceSession.create("/pack", { device: query.get("device") ?? "auto" });
const loaded = performance.now();
const feeds = Object.fromEntries(Object.entries(bertFeeds(1, length))
  .filter(([name]) => session.inputNames.includes(name))
  .map(([name, data]) => [name, new Tensor("int64", data, [1, length])]));
const outputs = await session.run(feeds);
const data = await outputs[session.outputNames[0]].getData();
Object.assign(globalThis, { answer: { script: begun, loaded, ms: performance.now(),
  runsOn: session.deviceInfo.adapter, values: Array.from(data, Number).slice(0, 64) } });
