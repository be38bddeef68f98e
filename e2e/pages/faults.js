// What may go wrong on a device, planted: each fault befalls the next call of its kind, once.

/** Faults that wait for their call. */
export const waiting = new Set();

/** Let `change` handle the next call of a method; it gets the method and the arguments.
 * A `change` that answers `undefined` lets the call be, and waits for the next one. */
function next(object, name, change) {
  const original = object[name];
  waiting.add(object);
  object[name] = function (...args) {
    const changed = change.call(this, original, args);
    if (!changed) return original.apply(this, args);
    object[name] = original;
    waiting.delete(object);
    return changed.value?.();
  };
}

const [QUEUE, BUFFER, GPU, PASS] = ["GPUQueue", "GPUBuffer", "GPUDevice", "GPUComputePassEncoder"]
  .map((name) => globalThis[name]?.prototype);

/** The device goes away in the next call. */
const lost = (object, name) => ({ devices }) => next(object, name, function (original, args) {
  devices.at(-1).destroy();
  return { value: () => original.apply(this, args) };
});

/** The next call throws, or does nothing where it answers with a promise that fails. */
const refused = (object, name, promised) => () => next(object, name, () => ({
  value: () => {
    const error = new DOMException("planted", "OperationError");
    if (promised) return Promise.reject(error);
    throw error;
  },
}));

/** The next call has other arguments, which WebGPU itself finds fault with. */
const invalid = (object, name, change) => () => next(object, name, function (original, args) {
  return { value: () => original.apply(this, change(this, args)) };
});

/** There is no memory for the next call: it does `instead`, and the second scope (the first one is
 * for validation) says so. */
const noMemory = (object, name, instead = () => {}) => () => (
  next(object, name, function (original, args) {
    const answer = instead.call(this, original, args);
    let scopes = 0;
    next(GPU, "popErrorScope", () => {
      scopes += 1;
      return scopes < 2 ? undefined
        : { value: async () => new globalThis.GPUOutOfMemoryError("planted") };
    });
    return { value: () => answer };
  }));

/** A buffer that nothing can be done with. */
function noBuffer(create, [options]) {
  this.pushErrorScope("validation");
  const buffer = create.call(this, { ...options, usage: GPUBufferUsage.MAP_READ | options.usage });
  this.popErrorScope();
  return buffer;
}

/** By name: what is planted, and whether a session recovers from it by itself. */
export const GPU_FAULTS = GPU ? {
  "lost, idle": [({ devices }) => devices.at(-1).destroy(), true],
  "lost, upload": [lost(QUEUE, "writeBuffer"), true],
  "lost, dispatch": [lost(QUEUE, "submit"), true],
  "lost, map": [lost(BUFFER, "mapAsync"), true],
  "lost, mapped": [({ devices }) => next(BUFFER, "mapAsync", function (original, args) {
    const mapped = original.apply(this, args);
    devices.at(-1).destroy();
    return { value: () => mapped };
  }), true],
  "no memory, upload": [noMemory(QUEUE, "writeBuffer"), false],
  "no memory, dispatch": [noMemory(QUEUE, "submit"), false],
  "invalid, idle": [({ devices }) => devices.at(-1).dispatchEvent(
    new globalThis.GPUUncapturedErrorEvent("uncapturederror",
      { error: new globalThis.GPUValidationError("planted") })), false],
  "invalid, upload": [invalid(QUEUE, "writeBuffer", (_, [buffer, , ...rest]) => (
    [buffer, buffer.size, ...rest])), false],
  "invalid, dispatch": [invalid(PASS, "dispatchWorkgroups", () => [2 ** 31, 1, 1]), false],
  "invalid, map": [invalid(BUFFER, "mapAsync", (_, [mode]) => [mode, 4, 4]), false],
  "refused, upload": [refused(QUEUE, "writeBuffer"), false],
  "refused, dispatch": [refused(QUEUE, "submit"), false],
  "refused, map": [refused(BUFFER, "mapAsync", true), false],
  "refused, mapped": [refused(BUFFER, "getMappedRange"), false],
  // Those of a first run:
  "no memory, allocation": [noMemory(GPU, "createBuffer", noBuffer), false],
  "invalid, allocation": [invalid(GPU, "createBuffer", (_, [options]) => (
    [{ ...options, usage: GPUBufferUsage.MAP_READ }])), false],
  "refused, allocation": [refused(GPU, "createBuffer"), false],
} : {};

/** What the page sends to a worker next, of a kind. */
const sent = (kind, change) => ({ workers }) => next(Worker.prototype, "postMessage",
  function (original, [message, transfer]) {
    if (!message.operations?.some((operation) => operation.kind === kind)) return undefined;
    return { value: () => change.call(this, original, message, transfer, workers) };
  });

/** The workers end before or after they are told. */
const gone = (kind, told) => sent(kind, function (original, message, transfer, workers) {
  if (told) original.call(this, message, transfer);
  for (const worker of workers) worker.terminate();
  if (!told) original.call(this, message, transfer);
});

/** Operations of a kind are changed. */
const wrong = (kind, change) => sent(kind, function (original, message, transfer) {
  const operations = message.operations.map((o) => (o.kind === kind ? { ...o, ...change } : o));
  original.call(this, { ...message, operations }, transfer);
});

export const CPU_FAULTS = {
  "gone, idle": [({ workers }) => { for (const worker of workers) worker.terminate(); }, true],
  "gone, upload": [gone("write", false), true],
  "gone, dispatch": [gone("replay", true), true],
  "gone, read": [gone("read", true), true],
  "throws, upload": [wrong("write", { address: 2 ** 40 }), true],
  "throws, dispatch": [wrong("replay", { program: 2 ** 32 - 2 ** 16 }), true],
  "throws, read": [wrong("read", { kind: "write" }), true],
  "no memory, upload": [sent("write", function (original, message, transfer) {
    original.call(this, { ...message, pages: 65537 }, transfer);
  }), false],
  "no memory, read": [sent("read", function (original, message, transfer) {
    original.call(this, { ...message, pages: 65537 }, transfer);
  }), false],
};

/** While a session is made: the weights go up, kernels compile. */
export const GPU_LOADING = GPU ? {
  "lost, compiling": [lost(GPU, "createShaderModule"), true],
  "lost, allocation": [lost(GPU, "createBuffer"), true],
  "lost, upload": [lost(QUEUE, "writeBuffer"), true],
  "no memory, allocation": [noMemory(GPU, "createBuffer", noBuffer), false],
  "no memory, upload": [noMemory(QUEUE, "writeBuffer"), false],
  "invalid, upload": [invalid(QUEUE, "writeBuffer", (_, [buffer, , ...rest]) => (
    [buffer, buffer.size, ...rest])), false],
  "refused, allocation": [refused(GPU, "createBuffer"), false],
  "refused, upload": [refused(QUEUE, "writeBuffer"), false],
  "refused, device": [refused(globalThis.GPUAdapter.prototype, "requestDevice", true), false],
  "refused, adapter": [refused(globalThis.GPU.prototype, "requestAdapter", true), false],
} : {};

export const CPU_LOADING = {
  "gone, upload": [gone("scatter", false), true],
  "gone, packing": [gone("replay", true), true],
  "throws, upload": [wrong("scatter", { parts: null }), true],
  "no memory, upload": [sent("scatter", function (original, message, transfer) {
    original.call(this, { ...message, pages: 65537 }, transfer);
  }), false],
  "no worker": [function none(_, left = 2) { // there is another way to start one
    next(globalThis, "Worker", () => ({
      value: () => {
        if (left > 1) none(_, left - 1);
        throw new DOMException("planted", "SecurityError");
      },
    }));
  }, false],
};
