// The vectors that the Python and the JavaScript readers share, in Node: no browser needed.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";

import { evaluate } from "../../web/dims.js";
import { PackError } from "../../web/errors.js";
import { Outline } from "../../web/flow.js";
import { compute } from "../../web/host.js";
import { narrowed, widened } from "../../web/halves.js";
import { checkShard, parseManifest } from "../../web/manifest.js";
import { place, placeLives } from "../../web/memory.js";

const load = (name) => readFileSync(new URL(`../../tests/vectors/${name}`, import.meta.url), "utf8");
const base = JSON.parse(load("pack/base.json"));
const flowBase = JSON.parse(load("pack/flow-base.json"));
const flowCases = JSON.parse(load("pack/flow.json"));
const sha256 = (data) => createHash("sha256").update(data).digest("hex");

/** A manifest's bytes with its seal. */
function sealed(body) {
  const head = `${(typeof body === "string" ? body : JSON.stringify(body)).slice(0, -1)},`;
  return Buffer.from(`${head}"sha256":"${sha256(`${head}"sha256":"${"0".repeat(64)}"}\n`)}"}\n`);
}

const refused = (message) => ({ name: "PackError", code: "ERR_WEBRT_PACK", message });

test("the base manifest is well formed", async () => {
  const pack = await parseManifest(sealed(base));
  assert.deepEqual(pack.symbols.map((s) => s.name), ["batch", "length"]);
  assert.equal(pack.steps.length, base.steps.length);
});

// Python's reader parses the problems' texts too; the player has no use for them.
const cases = [...JSON.parse(load("pack/malformed.json")), ...JSON.parse(load("pack/wasm.json")),
  ...flowCases].filter(
  ({ path, value }) => !(path[0] === "problems" && typeof value === "string"));
for (const { name, path, value, remove, error } of cases) {
  test(`malformed manifest: ${name}`, async () => {
    const body = structuredClone(flowCases.some((c) => c.name === name) ? flowBase : base);
    const last = path.at(-1);
    const holder = path.slice(0, -1).reduce((at, key) => at[key], body);
    if (!remove) holder[last] = value;
    else if (Array.isArray(holder)) holder.splice(last, 1);
    else delete holder[last];
    await assert.rejects(parseManifest(sealed(body)), refused(`manifest.json: ${error}`));
  });
}

test("a manifest that is cut, altered or no JSON", async () => {
  const cut = "manifest.json: doesn't end in its sha256; it is cut short or no manifest";
  const good = sealed(base);
  await assert.rejects(parseManifest(new Uint8Array()), refused(cut));
  await assert.rejects(parseManifest(good.subarray(0, -1)), refused(cut));
  for (let at = 0; at < good.length; at += 37) {
    const altered = Uint8Array.from(good);
    altered[at] ^= 1 << at % 8;
    await assert.rejects(parseManifest(altered), PackError);
  }
  for (const text of ["{}", '{"a":NaN,"b":0}', "[".repeat(100000)]) {
    await assert.rejects(parseManifest(sealed(text)), /^PackError: manifest.json: is not JSON: /);
  }
});

test("a shard is held against the manifest", async () => {
  const header = JSON.stringify({
    t2: { dtype: "F32", shape: [10, 4], data_offsets: [0, 160] },
    t7: { dtype: "I32", shape: [3], data_offsets: [160, 172] },
  });
  const make = (text) => {
    const bytes = Buffer.alloc(base.shards[0].bytes);
    bytes.writeBigUInt64LE(120n);
    bytes.write(text.padEnd(120), 8);
    return bytes;
  };
  const check = async (bytes) => {
    const body = structuredClone(base);
    body.shards[0].sha256 = sha256(bytes);
    await checkShard(await parseManifest(sealed(body)), 0, bytes);
  };
  await check(make(header));
  const file = "weights-00000.safetensors";
  await assert.rejects(check(make(header.replace("t2", "t3"))), refused(`${file}: t2: is missing`));
  await assert.rejects(check(make(header.replace("F32", "I32"))),
    refused(`${file}: t2.dtype: expected one of F32, found 'I32'`));
  for (const [from, to] of [["[10,4]", "[4,10]"], ["[0,160]", "[4,164]"]]) {
    await assert.rejects(check(make(header.replace(from, to))),
      refused(`${file}: t2: its shape or place differs from the manifest's`));
  }
  await assert.rejects(check(make(header.replace("{", "["))), refused(`${file}: its header is not JSON`));
  const pack = await parseManifest(sealed(base));
  await assert.rejects(checkShard(pack, 0, make(header)), /PackError: .* was altered: sha256 /);
  await assert.rejects(checkShard(pack, 0, make(header).subarray(1)),
    refused(`${file}: expected 300 bytes, found 299; copy the pack again`));
});

for (const { name, shapes, steps, bindings, offsets, peak } of JSON.parse(load("memory.json"))) {
  test(`arena: ${name}`, () => {
    const tensors = shapes.map((shape) => ({ dtype: "f32", shape: [shape], home: "arena" }));
    const listed = steps.map(([inputs, outputs]) => ({ inputs, outputs }));
    const placed = place({ tensors, steps: listed }, bindings);
    assert.deepEqual(Object.fromEntries(placed.offsets), Object.fromEntries(
      Object.entries(offsets).map(([tensor, offset]) => [tensor, offset])));
    assert.equal(placed.peak, peak);
  });
}

test("dims round as Python's do, and are exact or refused", () => {
  const bindings = { s0: 7, s1: 2 ** 20 };
  assert.equal(evaluate(["//", ["+", "s0", -9], 4], bindings), -1);
  assert.equal(evaluate(["%", ["+", "s0", -9], 4], bindings), 2);
  assert.equal(evaluate(["min", ["*", 2, "s0"], ["max", "s0", 9]], bindings), 9);
  assert.equal(evaluate(["//", 9007199254740991, 3], {}), 3002399751580330);
  assert.throws(() => evaluate(["*", "s1", "s1", "s1"], bindings), /no exact value/);
  assert.throws(() => evaluate(["//", 1, ["+", "s0", -7]], bindings), /no exact value/);
});

test("float16 becomes float32 and back to the last bit", () => {
  const { narrowed: down, widened: up } = JSON.parse(load("halves.json"));
  const bits = (pairs, side) => pairs.map((pair) => Number.parseInt(pair[side], 16));
  const floats = new Float32Array(Uint32Array.from(bits(down, 0)).buffer);
  assert.deepEqual([...narrowed(floats)], bits(down, 1));
  const wide = widened(Uint16Array.from(bits(up, 0)));
  assert.deepEqual([...new Uint32Array(wide.buffer)], bits(up, 1));
  const nan = narrowed(Float32Array.of(NaN, -NaN));
  assert.ok(nan.every((half) => (half & 0x7fff) > 0x7c00));
  assert.ok(widened(nan).every(Number.isNaN));
});

for (const { name, op, options, inputs, arrays, sizes, error } of JSON.parse(load("host.json"))) {
  test(`on the host: ${name}`, () => {
    const given = inputs.map(({ shape, values }) => ({ shape, elements: values }));
    if (error) {
      assert.throws(() => compute(op, options, given, "node"), { name: error });
      return;
    }
    const found = compute(op, options, given, "node");
    assert.deepEqual(found.sizes, sizes);
    assert.deepEqual(found.arrays.map(({ shape, data }) => ({ shape, values: [...data] })), arrays);
  });
}

test("the arenas of a flow", async () => {
  const pack = await parseManifest(sealed(flowBase));
  const outline = new Outline(pack);
  const lives = outline.lives();
  const { bindings, epochs } = JSON.parse(load("flow.json"));
  assert.equal(outline.epoch + 1, epochs.length);
  epochs.forEach(({ offsets, peak }, epoch) => {
    const own = new Map([...lives].filter(([tensor, [first]]) => (
      pack.tensors[tensor].home === "arena" && outline.epochs[first] === epoch)));
    const placed = placeLives(pack, own, bindings);
    assert.deepEqual(Object.fromEntries(placed.offsets), offsets);
    assert.equal(placed.peak, peak);
  });
});
