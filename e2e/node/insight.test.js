// Check vectors in the player: what is malformed is refused in the words of webrt/pack/checks.py, and
// digests are those of webrt/runtime/digest.py (tests/vectors/digests.json).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { readChecks } from "../../web/insight-checks.js";
import { differs, digest, distance } from "../../web/insight-digest.js";
import { toChromeTrace } from "../../web/insight-profile.js";

const PACK = {
  symbols: [{ id: "s0", name: "n", most: 9 }],
  inputs: [{ name: "x", type: "float32", shape: ["s0", 2] }],
  outputs: [{ name: "y", type: "int64", shape: ["s0"] }],
  steps: [{ outputs: [1] }],
};
const HEADER = {
  format: "webrt checks", version: 1,
  vectors: [{ dims: { s0: 3 }, inputs: [[3, 2]], outputs: [{ shape: [3], stride: 2 }],
    steps: [[0, 3]] }],
};

/** @param {object} header @param {number} bytes */
function file(header, bytes = 24 + 16 + 8 * 80) {
  let text = JSON.stringify(header);
  text += " ".repeat((8 - (text.length % 8)) % 8);
  const data = new Uint8Array(8 + text.length + bytes);
  new DataView(data.buffer).setBigUint64(0, BigInt(text.length), true);
  data.set(new TextEncoder().encode(text), 8);
  return data;
}

test("check vectors that are well formed", () => {
  const [vector] = readChecks(file(HEADER), PACK, "checks.bin");
  assert.deepEqual(vector.dims, { s0: 3 });
  assert.deepEqual(vector.inputs[0].data, new Float32Array(6));
  assert.deepEqual(vector.outputs[0].data, new BigInt64Array(2));
  assert.equal(vector.steps.get(0)[0].count, 3);
});

const vector = (change) => ({ ...HEADER, vectors: [{ ...HEADER.vectors[0], ...change }] });
for (const [header, message, bytes] of [
  [{ ...HEADER, format: "x" }, "format: expected one of webrt checks, found 'x'"],
  [{ ...HEADER, version: 2 }, "version: expected 1, found 2"],
  [{ ...HEADER, vectors: [] }, "vectors: expected 1 to 64 items, found 0"],
  [vector({ dims: {} }), "vectors[0].dims.s0: is missing"],
  [vector({ dims: { s0: 10 } }), "vectors[0].dims.s0: expected an integer from 1 to 9, found 10"],
  [vector({ inputs: [] }), "vectors[0].inputs: expected 1 items, found 0"],
  [vector({ inputs: [[3]] }), "vectors[0].inputs[0]: expected 2 dims, found 1"],
  [vector({ inputs: [[2 ** 40, 2 ** 40]] }), "vectors[0].inputs[0]: "],
  [vector({ outputs: [{ shape: [3], stride: 0 }] }),
    "vectors[0].outputs[0].stride: expected an integer from 1 to 9007199254740991, found 0"],
  [vector({ steps: [[1, 3]] }), "vectors[0].steps[0][0]: expected an integer from 0 to 0, found 1"],
  [vector({ steps: [[0, 3, 3]] }), "vectors[0].steps[0]: step 0 has 1 outputs"],
  [HEADER, "vectors[0].steps[0][1]: 640 bytes from 40 pass the end of the file", 48],
  [HEADER, "holds 688 bytes of data, not 680", 688],
]) {
  test(`malformed check vectors: ${message}`, () => {
    assert.throws(() => readChecks(file(header, bytes), PACK, "checks.bin"), (error) => (
      error.name === "PackError" && error.message.startsWith(`checks.bin: ${message}`)));
  });
}

test("a file of check vectors that is cut", () => {
  for (const size of [0, 7]) {
    assert.throws(() => readChecks(new Uint8Array(size), PACK, "checks.bin"),
      { name: "PackError", message: "checks.bin: is cut short" });
  }
  assert.throws(() => readChecks(file(HEADER).slice(0, 40), PACK, "checks.bin"),
    { name: "PackError", message: /a header of \d+ bytes doesn't fit the file/ });
});

const KINDS = { f32: Float32Array, i32: Int32Array, u32: Uint32Array };
const named = { Infinity, "-Infinity": -Infinity, NaN };
const { cases } = JSON.parse(readFileSync(
  new URL("../../tests/vectors/digests.json", import.meta.url), "utf8"));
for (const { name, storage, values, expected } of cases) {
  test(`digest of ${name}`, () => {
    const tensor = KINDS[storage].from(values, (x) => named[x] ?? x);
    const found = digest(tensor);
    assert.equal(found.length, expected.length);
    expected.forEach((x, j) => {
      const wanted = named[x] ?? x;
      const close = Math.abs(found[j] - wanted) <= 1e-9 * Math.max(1, Math.abs(wanted));
      assert.ok(Object.is(found[j], wanted) || close, `${j}: ${found[j]} for ${wanted}`);
    });
    assert.equal(differs(found, Float64Array.from(expected, (x) => named[x] ?? x), tensor.length,
      storage === "f32", false), null);
  });
}

test("one wrong element moves a digest", () => {
  const right = Float32Array.from({ length: 5000 }, (_, j) => Math.sin(j));
  for (const at of [0, 1234, 4999]) {
    const wrong = right.slice();
    wrong[at] += 2;
    assert.ok(differs(digest(wrong), digest(right), right.length, true, false), `element ${at}`);
  }
});

test("distances", () => {
  const right = Float64Array.of(1, -2, Infinity, NaN);
  assert.deepEqual(distance(right, right, true, false),
    { max_abs: 0, max_rel: 0, cosine: 1, ok: true, worst: 0 });
  const wrong = distance(Float64Array.of(1, -2.5, Infinity, NaN), right, true, false);
  assert.equal(wrong.ok, false);
  assert.deepEqual([wrong.max_abs, wrong.max_rel, wrong.worst], [0.5, 0.25, 1]);
  assert.equal(distance(Float64Array.of(1, -2, 3, NaN), right, true, false).max_abs, Infinity);
  assert.equal(distance(Float64Array.of(3), Float64Array.of(4), false, false).ok, false);
});

test("a trace's steps follow one another", () => {
  const kernel = { name: "k", family: "Map", ms: 0.5, problem: "Map", schedule: {}, tuned: false,
    operations: 1, bytes: 2, gflops: 3, gbs: 4 };
  const steps = [{ kernel: 0, node: "a" }, { kernel: 0, node: "b" }];
  const { traceEvents } = toChromeTrace({ kernels: [kernel], steps, adapter: "CPU", dims: {} });
  const timed = traceEvents.filter(({ ph }) => ph === "X");
  assert.deepEqual(timed.map(({ ts, dur, args }) => [ts, dur, args.node]),
    [[0, 500, "a"], [500, 500, "b"]]);
});
