// Records of tuning in a page: the keys that Python has too, what is taken and what is refused.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import {
  CODEGEN, Records, bestOf, deviceKey, fileOf, idOf, problemKey, readRecords, symbolsOf,
} from "../../web/records.js";

const vectors = JSON.parse(readFileSync(new URL("../../tests/vectors/records.json", import.meta.url), "utf8"));

test("keys are those of webrt/tune/records.py", async () => {
  assert.equal(CODEGEN, vectors.codegen);
  for (const { info, key } of vectors.devices) {
    const limits = {
      maxComputeInvocationsPerWorkgroup: info.lanes, maxComputeWorkgroupStorageSize: info.bytes };
    assert.equal(await deviceKey({ ...info, limits }), key);
  }
  for (const { text, symbols, key } of vectors.problems) {
    assert.equal(await problemKey(text), key);
    assert.deepEqual(symbolsOf(text), symbols);
  }
});

const gpu = { wgsl: "fn main() {}", grid: [1, 2, 3] };
const cpu = { module: "AGFzbQEAAAA=", units: 4, scratch: 0, panels: [[1, 0]],
  packers: [{ name: "packer_0", units: 1, scratch: 0, reads: 160, bytes: 160 }] };
const schedule = (lanes) => ({ family: "map", lanes });
const record = (...trials) => (
  { device: "d", codegen: "0.1.0", problem: "map:1", dims: { s1: 2, s0: 1 }, default: 2, trials });
const form = (...records) => ({ format: "webrt records", version: 1, records });

test("records come back as they were", () => {
  const good = [record({ schedule: schedule(1), ms: 1, code: gpu }, { schedule: schedule(2), failed: "no" }),
    record({ schedule: schedule(1), ms: 1, code: cpu })];
  assert.deepEqual(readRecords(form(...good), "x"), good);
});

const bad = [null, [], {}, { ...form(), version: 2 }, { ...form(), format: "x" }, form(1),
  ...[{ device: 1 }, { device: "" }, { dims: [] }, { dims: { s0: 0 } }, { default: 0 }, { default: "1" },
    { default: Infinity }, { trials: {} }, { problem: "x".repeat(1001) },
  ].map((change) => form({ ...record(), ...change })),
  ...[1, {}, { ...gpu, grid: [1, 1] }, { ...gpu, grid: [1, 1, -1] }, { ...gpu, wgsl: "" },
    { ...cpu, module: "?" }, { ...cpu, units: 1.5 }, { ...cpu, panels: [[0, 1]] }, { ...cpu, packers: [1] },
    { ...cpu, packers: undefined }, { ...cpu, panels: [[9, 0]] },
  ].map((code) => form(record({ schedule: schedule(1), ms: 1, code }))),
  form(record({ schedule: schedule(1) })), form(record({ schedule: 1, ms: 1 })),
  form(record({ schedule: schedule(1), ms: -1 }))];
bad.forEach((data, j) => test(`anything else is refused: ${j}`, () => {
  assert.throws(() => readRecords(data, "file"), ({ name, code, message }) => (
    name === "RecordsError" && code === "ERR_WEBRT_RECORDS" && message.startsWith("file: ")));
}));

test("later trials replace earlier ones, and only the best keeps its code", () => {
  const known = new Records();
  known.add(record({ schedule: schedule(1), ms: 2, code: gpu }));
  known.add(record({ schedule: schedule(2), ms: 1, code: gpu }));
  const merged = known.add(record({ schedule: schedule(1), ms: 3 }));
  assert.deepEqual(merged.trials, [{ schedule: schedule(2), ms: 1, code: gpu }, { schedule: schedule(1), ms: 3 }]);
  assert.equal(bestOf(merged), merged.trials[0]);
  assert.equal(known.get({ ...record(), dims: { s0: 1, s1: 2 } }), merged);
  assert.deepEqual(known.toJson(false).records[0].trials.map((t) => t.code), [undefined, undefined]);
  assert.equal(bestOf(record({ schedule: schedule(1), failed: "no" })), null);
});

test("an id is the same in whatever order dims stand", async () => {
  assert.equal(idOf(record()), idOf({ ...record(), dims: { s0: 1, s1: 2 } }));
  assert.match(await fileOf("wasm///CPU/00000000"), /^[0-9a-f]{16}\.json$/);
});
