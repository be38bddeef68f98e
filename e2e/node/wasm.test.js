// The CPU's device in Node, as far as it needs no worker: addresses, programs, which steps wait.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import * as abi from "../../web/abi.js";
import { deviceNames } from "../../web/devices.js";
import { Heap, MAX_TOTAL } from "../../web/heap.js";
import { waits } from "../../web/waits.js";

const read = (name) => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");

test("the constants are those of abi.py", () => {
  const source = read("webrt/codegen/abi.py");
  const value = (name) => {
    const [, text] = new RegExp(`^${name} = (.+)$`, "m").exec(source);
    const [base, shift = "0"] = text.split(" << ");
    return Number(base) * 2 ** Number(shift);
  };
  for (const name of ["FIRST_ADDRESS", "SLACK", "PAGE", "MEMORY_FLAGS_OFFSET", "HEADER_WORDS",
    "STEP_WORDS"]) {
    assert.equal(abi[name], value(name), name);
  }
  const [, unshared, shared] = /^UNSHARED, SHARED = (\w+), (\w+)$/m.exec(source);
  assert.deepEqual([abi.UNSHARED, abi.SHARED], [Number(unshared), Number(shared)]);
});

for (const { name, steps, waits: expected } of JSON.parse(read("tests/vectors/waits.json"))) {
  test(`waits: ${name}`, () => assert.deepEqual(waits(steps), expected));
}

test("a program and its arguments, far up in memory", () => {
  const at = 3 * 2 ** 30;
  const [a, b, c] = [[at, at + 16], [at + 256, at + 272], [at + 512, at + 528]];
  const steps = [
    { entry: 4, ranges: [a, b], outputs: 1, units: 7 },
    { entry: 5, ranges: [b, a, c], outputs: 1, units: 1 },
  ];
  const words = abi.program(steps, at + 1024, at + 768);
  assert.equal(words.length, abi.programWords(steps));
  const args = at + 1024 + 4 * (4 + 2 * 6);
  assert.deepEqual([...words], [
    2, 0, 0, 0,
    4, args, 7, 0, 0, 0,
    5, args + 12, 1, 1, 0, 0,
    at, at + 256, at + 768,
    at + 256, at, at + 512, at + 768,
  ]);
  assert.equal(abi.argumentsOf(words, 1), args + 12);
});

test("a heap fills its gaps, and knows which memory was used before", () => {
  const heap = new Heap(2 ** 20);
  const first = abi.FIRST_ADDRESS;
  assert.deepEqual(heap.allocate(1), { address: first, used: 0 });
  assert.deepEqual(heap.allocate(1000), { address: first + 256, used: 0 });
  assert.deepEqual(heap.allocate(16), { address: first + 1280, used: 0 });
  assert.equal(heap.pages, 3); // the page before the first address, the blocks, the slack
  heap.free(first + 256);
  assert.deepEqual(heap.allocate(2000), { address: first + 1536, used: 0 });
  assert.deepEqual(heap.allocate(512), { address: first + 256, used: 512 });
  assert.equal(heap.taken, 256 + 512 + 256 + 2048);
  assert.equal(heap.allocate(2 ** 20), null);
  for (const address of [first, first + 256, first + 1280, first + 1536]) heap.free(address);
  assert.equal(heap.top, first);
  assert.deepEqual(heap.allocate(4096), { address: first, used: 3584 });
});

test("a heap ends before 4 GiB", () => {
  const heap = new Heap();
  assert.equal(heap.allocate(MAX_TOTAL + 1), null);
  assert.ok(heap.allocate(MAX_TOTAL));
  assert.equal(heap.pages, abi.MAX_PAGES);
});

test("which devices options ask for", () => {
  const names = (options) => deviceNames(options);
  assert.deepEqual(names({}), ["auto"]);
  assert.deepEqual(names({ executionProviders: ["webgpu", { name: "wasm" }] }), ["webgpu", "wasm"]);
  assert.deepEqual(names({ device: "wasm", executionProviders: ["webgpu"] }), ["wasm"]);
  assert.throws(() => names({ executionProviders: ["webnn"] }), {
    name: "DeviceError", message: "unknown device 'webnn': expected auto, webgpu or wasm" });
});
