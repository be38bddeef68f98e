// Tensors, feeds and hashes in Node: what the player does before it reaches the device.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";

import { bind, checkSymbols, shapeOf } from "../../web/bind.js";
import { digest } from "../../web/digest.js";
import * as errors from "../../web/errors.js";
import { checkDims, exampleBindings } from "../../web/example.js";
import { readFetches } from "../../web/fetches.js";
import { sha256 } from "../../web/sha256.js";
import { Tensor, fromStorage, toStorage } from "../../web/tensor.js";

const pack = {
  symbols: [{ id: "s0", name: "batch", most: 2 ** 20 }, { id: "s1", name: "length", most: 4096 }],
  inputs: [
    { name: "ids", type: "int64", shape: ["s0", "s1"], tensor: 0, low: 0, high: 9 },
    { name: "scale", type: "float32", shape: [["+", "s1", 1]], tensor: 1, low: null, high: null },
    { name: "mask", type: "bool", shape: ["s0", 2], tensor: 2, low: null, high: null },
  ],
  outputs: [], tensors: ["i32", "f32", "u32"].map((storage) => ({ storage })),
  kernels: [], steps: [], flow: [], shards: [], generator: "",
};
const zeros = (type, ...dims) => new Tensor(type, Array(dims.reduce((a, b) => a * b, 1)).fill(0), dims);
const good = () => ({
  ids: zeros("int64", 2, 3), scale: zeros("float32", 4), mask: zeros("bool", 2, 2),
});

test("the errors are one tree with names and codes", () => {
  const error = new errors.DeviceLostError("one\n  line");
  assert.ok(error instanceof errors.DeviceError);
  assert.ok(error instanceof errors.WebrtError);
  assert.deepEqual([error.name, error.code, error.message],
    ["DeviceLostError", "ERR_WEBRT_DEVICE_LOST", "one line"]);
  const names = Object.keys(errors).filter((name) => name.endsWith("Error"));
  for (const name of names) assert.equal(new errors[name]("").name, name);
});

test("dims of multiples go by the model's own names and sizes", () => {
  const pyramid = {
    ...pack, symbols: [{ id: "s0", name: "h", most: 64, empty: false, multiple: 32 }],
    inputs: [{ name: "x", type: "float32", shape: [2, ["*", 32, "s0"]], tensor: 1, low: null, high: null }],
  };
  assert.deepEqual(shapeOf(pyramid, pyramid.inputs[0]), [2, "h"]);
  assert.deepEqual(shapeOf(pyramid, { shape: [["*", 8, "s0"]] }), ["(8 * h/32)"]);
  assert.deepEqual(bind(pyramid, { x: zeros("float32", 2, 64) }).bindings, { s0: 2 });
  assert.throws(() => bind(pyramid, { x: zeros("float32", 2, 100) }),
    { name: "ShapeError", message: "input 'x': h at axis 1 is 100, expected a multiple of 32" });
  assert.deepEqual(exampleBindings(pyramid, { h: 96 }), { s0: 3 });
  assert.deepEqual(exampleBindings(pyramid), { s0: 4 });
  assert.throws(() => checkDims(pyramid, { h: 100 }),
    { message: "dims: expected a multiple of 32 for h, found 100" });
  assert.throws(() => checkDims(pyramid, { h: 4096 }),
    { message: "dims: expected h from 32 to 2048, found 4096" });
});

test("a Tensor's type, data, dims and size", async () => {
  const tensor = new Tensor("int64", [1, 2n, 3], [3, 1]);
  assert.deepEqual(tensor.data, BigInt64Array.of(1n, 2n, 3n));
  assert.deepEqual([tensor.type, tensor.dims, tensor.size], ["int64", [3, 1], 3]);
  assert.equal(await tensor.getData(), tensor.data);
  assert.equal(new Tensor(new Float32Array(4), [2, 2]).type, "float32");
  assert.equal(new Tensor(new Uint8Array(4)).type, "uint8");
  assert.deepEqual(new Tensor("bool", [true, false, 2]).data, Uint8Array.of(1, 0, 1));
  assert.deepEqual(new Tensor("float32", [1], []).dims, []);
});

test("booleans and clamped bytes name their types", () => {
  assert.equal(new Tensor([true, false]).type, "bool");
  const clamped = new Tensor(Uint8ClampedArray.of(1, 300), [1, 2]);
  assert.deepEqual([clamped.type, clamped.data], ["uint8", Uint8Array.of(1, 255)]);
  assert.deepEqual(Tensor.fromPinnedBuffer("int32", Int32Array.of(1, 2)).dims, [2]);
});

test("a Tensor is reshaped over the same data, and disposed of", async () => {
  const tensor = new Tensor("float32", [1, 2, 3, 4]);
  const square = tensor.reshape([2, 2]);
  assert.deepEqual([square.dims, square.data === tensor.data], [[2, 2], true]);
  assert.throws(() => tensor.reshape([3]), { name: "ShapeError" });
  assert.throws(() => tensor.gpuBuffer, { message: "the tensor's data are not in a GPU buffer" });
  assert.equal(tensor.location, "cpu");
  tensor.dispose();
  tensor.dispose();
  assert.deepEqual([tensor.location, tensor.type, tensor.dims, tensor.size], ["none", "float32", [4], 4]);
  const gone = { name: "UsageError", message: "the tensor was disposed of" };
  for (const use of [() => tensor.data, () => tensor.gpuBuffer, () => tensor.reshape([4])]) {
    assert.throws(use, gone);
  }
  await assert.rejects(tensor.getData(), gone);
  assert.deepEqual(square.data, Float32Array.of(1, 2, 3, 4));
  square[Symbol.dispose]();
  assert.equal(square.location, "none");
});

test("a Tensor over a GPU buffer downloads once, and gives back once", async () => {
  const buffer = { mapAsync() {}, size: 16, usage: 0 }, calls = [];
  const make = (more) => Tensor.fromGpuBuffer(buffer, { dims: [2, 2], ...more });
  const download = async () => { calls.push("download"); return new Float32Array(4); };
  const dispose = () => { calls.push("dispose"); };
  const tensor = make({ download, dispose });
  assert.deepEqual([tensor.type, tensor.size, tensor.location], ["float32", 4, "gpu-buffer"]);
  assert.equal(tensor.gpuBuffer, buffer);
  assert.throws(() => tensor.data, { name: "UsageError", message: /are on the GPU/ });
  const row = tensor.reshape([4]); // whose buffer stays the tensor's
  assert.deepEqual([row.dims, row.location, row.gpuBuffer], [[4], "gpu-buffer", buffer]);
  assert.throws(() => tensor.reshape([3]), { name: "ShapeError" });
  row.dispose();
  const both = Promise.all([tensor.getData(), tensor.getData()]);
  assert.throws(() => tensor.dispose(), { message: "the tensor is being downloaded" });
  const [first, second] = await both;
  assert.equal(first, second);
  assert.deepEqual([tensor.location, tensor.data === first, calls], ["cpu", true, ["download"]]);
  assert.equal(await tensor.getData(true), first);
  tensor.dispose();
  assert.deepEqual(calls, ["download", "dispose"]);
  await assert.rejects(make({}).getData(), { name: "UsageError", message: /made without `download`/ });
  const failing = make({ download: () => Promise.reject(new RangeError("no")), dispose });
  await assert.rejects(failing.getData(), { message: "no" });
  assert.equal(failing.location, "gpu-buffer");
  failing.dispose();
  assert.equal(calls.length, 3);
  for (const [args, message] of [
    [[{}, { dims: [1] }], "Tensor.fromGpuBuffer: expected a GPUBuffer"],
    [[buffer, {}], "Tensor.fromGpuBuffer: expected dims, an array"],
    [[buffer, { dims: [2], dataType: "string" }], 'tensor: unknown type "string"'],
    [[buffer, { dims: [2], dataType: "float64" }],
      "Tensor.fromGpuBuffer: WebGPU has no float64; use float32"],
  ]) assert.throws(() => Tensor.fromGpuBuffer(...args), { name: "UsageError", message });
});

test("what stands behind a run's feeds", () => {
  const given = zeros("float32", 2);
  const read = (...args) => {
    const { asked, options } = readFetches(["a", "b"], ...args);
    return [[...asked], options];
  };
  const all = [["a", null], ["b", null]];
  assert.deepEqual(read(), [all, {}]);
  assert.deepEqual(read(undefined, { tag: "x" }), [all, { tag: "x" }]);
  assert.deepEqual(read({ tag: "x" }), [all, { tag: "x" }]);
  assert.deepEqual(read(["b"], { tag: "x" }), [[["b", null]], { tag: "x" }]);
  assert.deepEqual(read({ b: given, a: null }), [[["b", given], ["a", null]], {}]);
  for (const wrong of [null, 1, "a", given, ["c"], { a: null, c: null }]) {
    assert.throws(() => read(wrong), { name: "UsageError" });
  }
});

test("a Tensor refuses what doesn't fit, word for word", () => {
  const refused = [
    [["string", [1]], "UsageError", 'tensor: unknown type "string"'],
    [["float32", new Float32Array(3), [2]], "ShapeError",
      "tensor: dims [2] hold 2 elements, the data 3"],
    [["float32", [1], [-1]], "ShapeError", "tensor: dims must be non-negative integers, not [-1]"],
    [["int64", new Int32Array(1)], "ShapeError",
      "tensor: int64 data must be BigInt64Array or an array, not Int32Array"],
    [["int64", [1.5]], "ShapeError", "tensor: the data are not int64 values"],
    [[{}], "UsageError", 
      "tensor: the first argument must be a type, a typed array or booleans"],
  ];
  for (const [args, name, message] of refused) {
    assert.throws(() => new Tensor(...args), { name, message });
  }
});

test("storage and back, for every type", () => {
  const values = {
    float32: [0, -1.5, 3e38], float16: null, int64: [0n, -1n, 2147483647n, -2147483648n],
    int32: [0, -1, 2147483647], int16: [-32768, 32767], int8: [-128, 127],
    uint64: [0n, 4294967295n], uint32: [0, 4294967295], uint16: [65535], uint8: [255], bool: [0, 1],
  };
  for (const [type, data] of Object.entries(values)) {
    const tensor = data ? new Tensor(type, data) : new Tensor(type, Uint16Array.of(15360, 0), [2]);
    const bytes = toStorage("x", tensor, null, null);
    assert.equal(bytes.length, tensor.size * (type === "float16" ? 2 : 4), type);
    const padded = new Uint8Array(Math.ceil(bytes.length / 16) * 16);
    padded.set(bytes);
    assert.deepEqual(fromStorage(type, padded.buffer, tensor.dims), tensor, type);
  }
});

test("float16 and float32, stored as each other", () => {
  const numbers = [1, -0.5, 65504, 2 ** -24];
  const half = new Tensor("float16", numbers, [4]);
  assert.deepEqual(new Tensor("float16", Uint16Array.of(0x3c00, 0xb800, 0x7bff, 1), [4]), half);
  const wide = toStorage("x", half, null, null, "f32");
  assert.deepEqual(new Float32Array(wide.buffer), Float32Array.from(numbers));
  assert.deepEqual(fromStorage("float16", wide.buffer, [4], "f32"), half);
  const single = new Tensor("float32", numbers, [4]);
  const narrow = toStorage("x", single, null, null, "f16");
  assert.deepEqual(narrow, toStorage("x", half, null, null));
  assert.deepEqual(fromStorage("float32", narrow.buffer, [4], "f16"), single);
});

test("integers that the device can't hold are refused", () => {
  const message = "input 'x': the value 2147483648 is outside of -2147483648 … 2147483647";
  for (const [type, value] of [["int64", 2147483648n], ["int64", -2147483649n], ["uint64", 2n ** 32n]]) {
    assert.throws(() => toStorage("x", new Tensor(type, [value]), null, null), { name: "ShapeError" });
  }
  assert.throws(() => toStorage("x", new Tensor("int64", [2147483648n]), null, null), { message });
});

test("feeds bind the symbols", () => {
  const { bindings, data } = bind(pack, good());
  assert.deepEqual(bindings, { s0: 2, s1: 3 });
  assert.deepEqual(data.map((d) => d.length), [24, 16, 16]);
  assert.deepEqual(bind(pack, { ...good(), scale: { type: "float32", data: [1, 2, 3, 4], dims: [4] } })
    .data[1], new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer));
});

test("feeds that don't fit are refused, word for word", () => {
  const refused = [
    [{ other: zeros("bool", 1) }, "unknown input 'other': this model's inputs are ids, scale, mask"],
    [{ ids: undefined }, "input 'ids' is missing: expected int64 [batch, length]"],
    [{ ids: 3 }, "input 'ids': expected int64 [batch, length], found no Tensor"],
    [{ ids: zeros("int32", 2, 3) }, "input 'ids': expected int64 [batch, length], found int32 [2, 3]"],
    [{ ids: zeros("int64", 6) }, "input 'ids': expected int64 [batch, length], found int64 [6]"],
    [{ ids: zeros("int64", 0, 3) }, "input 'ids': batch at axis 0 is 0, expected 1 to 1048576"],
    [{ ids: zeros("int64", 1, 4097) }, "input 'ids': length at axis 1 is 4097, expected 1 to 4096"],
    [{ mask: zeros("bool", 3, 2) },
      "input 'mask': expected batch = 2 (from input 'ids') at axis 0, found 3 in [3, 2]"],
    [{ mask: zeros("bool", 2, 3) }, "input 'mask': expected 2 at axis 1, found 3 in [2, 3]"],
    [{ ids: new Tensor("int64", [0, 1, 2, 3, 4, 10], [2, 3]) },
      "input 'ids': the value 10 is outside of 0 … 9"],
    [{ ids: new Tensor("int64", [0, 1, 2, 3, 4, -1], [2, 3]) },
      "input 'ids': the value -1 is outside of 0 … 9"],
  ];
  for (const [change, message] of refused) {
    assert.throws(() => bind(pack, { ...good(), ...change }), { name: "ShapeError", message });
  }
});

test("a symbol that no input shows is the pack's error", () => {
  checkSymbols(pack);
  assert.throws(() => checkSymbols({ ...pack, inputs: pack.inputs.slice(1, 2) }),
    { name: "PackError", message: "the symbol 'batch' is no dim of any input; pack again" });
});

test("SHA-256 without the browser's own", async () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000]) {
    const bytes = Uint8Array.from({ length }, (_, j) => (j * 7) % 256);
    const expected = createHash("sha256").update(bytes).digest("hex");
    assert.equal(Buffer.from(digest(bytes)).toString("hex"), expected, `${length} bytes`);
    assert.equal(await sha256(bytes), expected);
  }
});
