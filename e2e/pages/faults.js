// What may go wrong on a device or on the way to it, planted: each fault befalls the next call of
// its kind, once; and what becomes of sessions then.

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

/** An error that nothing that is under way has made. @param {string} kind */
const uncaptured = (kind) => ({ devices }) => devices.at(-1).dispatchEvent(
  new globalThis.GPUUncapturedErrorEvent("uncapturederror", { error: new globalThis[kind]("planted") }));

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
  "no memory, idle": [uncaptured("GPUOutOfMemoryError"), false],
  "invalid, idle": [uncaptured("GPUValidationError"), false],
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
  "no memory, dispatch": [sent("replay", function (original, message, transfer) {
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

/** The page gives a run up in the next call. @param {object} object @param {string} name */
const givenUp = (object, name) => ({ stop }) => next(object, name, function (original, args) {
  stop();
  return { value: () => original.apply(this, args) };
});

const givenUpWhile = (kind) => ({ stop, workers }) => sent(kind, function (original, message, transfer) {
  stop();
  original.call(this, message, transfer);
})({ workers });

/** By device and stage: where a run is cancelled. */
const CANCELLED = {
  webgpu: GPU ? {
    queued: ({ stop }) => stop(), upload: givenUp(QUEUE, "writeBuffer"),
    dispatch: givenUp(QUEUE, "submit"), map: givenUp(BUFFER, "mapAsync"),
  } : {},
  wasm: {
    queued: ({ stop }) => stop(), upload: givenUpWhile("write"), dispatch: givenUpWhile("replay"),
    read: givenUpWhile("read"),
  },
};

/** The next `times` answers with weights are what `change` makes of them.
 * @param {number} times @param {(ask: () => Promise<Response>) => Promise<Response>} change */
const answered = (times, change) => function plant(_, left = times) {
  next(globalThis, "fetch", (original, [url, options]) => (
    !String(url).endsWith(".safetensors") ? undefined : { value: () => {
      if (left > 1) plant(_, left - 1);
      return change(() => original.call(globalThis, url, options));
    } }));
};
const bytesOf = async (answer) => new Uint8Array(await (await answer()).arrayBuffer());
const short = async (ask) => new Response((await bytesOf(ask)).slice(0, 100));
const altered = async (ask) => {
  const data = await bytesOf(ask);
  data[200] ^= 1;
  return new Response(data);
};
const cut = async (ask) => {
  const parts = [(await bytesOf(ask)).slice(0, 100)];
  return new Response(new ReadableStream({ pull(controller) {
    if (parts.length) controller.enqueue(parts.pop());
    else controller.error(new TypeError("planted"));
  } }));
};
const isFile = (key) => /[0-9a-f]{64}$/.test(key.url ?? key);
const refusedBy = (prototype, name, error) => () => next(prototype, name, () => ({
  value: () => Promise.reject(new DOMException("planted", error)) }));

/** On the way from a server or from the browser's storage: whether the pack is loaded all the same. */
export const NETWORK = {
  "fetch fails": [answered(1, () => Promise.reject(new TypeError("planted"))), false],
  "fetch finds nothing": [answered(1, async () => new Response("", { status: 404 })), false],
  "fetch is cut": [answered(1, cut), true],
  "fetch is short, once": [answered(1, short), true],
  "fetch is short": [answered(2, short), false],
  "fetch is altered, once": [answered(1, altered), true],
  "fetch is altered": [answered(2, altered), false],
  "storage is refused": [refusedBy(globalThis.CacheStorage.prototype, "open", "SecurityError"), true],
  "storage is altered": [() => next(globalThis.Cache.prototype, "match", (_, [key]) => (
    isFile(key) ? { value: async () => new Response(new Uint8Array(300)) } : undefined)), true],
};

/** Where nothing is lost, what waits for a loss waits in vain: a tenth of the time will do.
 * @template T @param {() => Promise<T>} work @returns {Promise<T>} */
async function hasty(work) {
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (does, ms, ...args) => setTimeout(does, ms / 10, ...args);
  try {
    return await work();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
}

/** What becomes of sessions in each fault: `first`, the answer or the error, and `again`, the next one's
 * answer. `turn` shifts which fault of the network meets which stage of a run. */
export async function befall({ InferenceSession, decodeAll, encodeAll, devices },
  { url, device, feeds, turn }, workers) {
  const found = [];
  const on = { devices, workers };
  const create = (options) => InferenceSession.create(url, { device, ...options });
  const run = async (session, options) => (
    encodeAll(await session.run(decodeAll(feeds), undefined, options)));
  const fresh = async (options) => {
    const session = await create(options);
    const outputs = await run(session);
    await session.release();
    return outputs;
  };
  const told = (promise) => promise.then((outputs) => ({ outputs }),
    ({ name, code, message }) => ({ error: [name, code, message] }));
  /** `recovered` tells how often the session was, `should` how often it should have been. */
  const note = async (name, wants, first, again, recovered = 0, should = recovered) => {
    found.push({ name, wants, first, left: waiting.size, again: await told(again()), recovered, should });
    waiting.clear();
  };
  const wanted = await fresh();

  const session = await create();
  await run(session);
  const faults = device === "webgpu" ? GPU_FAULTS : CPU_FAULTS;
  for (const [name, [plant, recovers]] of Object.entries(faults)) {
    const here = name.endsWith("allocation") ? await create() : session;
    const before = here.deviceInfo.recovered;
    plant(on);
    const first = await (recovers ? told(run(here)) : hasty(() => told(run(here))));
    const wants = recovers ? "outputs" : "DeviceError";
    await note(name, wants, first, () => run(here), here.deviceInfo.recovered - before, Number(recovers));
    if (here !== session) await here.release();
  }
  for (const [stage, plant] of Object.entries(CANCELLED[device])) {
    const stop = new AbortController();
    const reason = new DOMException("enough", "AbortError");
    plant({ ...on, stop: () => stop.abort(reason) });
    const first = await told(run(session, { signal: stop.signal }));
    await note(`cancelled, ${stage}`, "AbortError", first, () => run(session));
  }
  await session.release();

  const loading = device === "webgpu" ? GPU_LOADING : CPU_LOADING;
  for (const [name, [plant, recovers]] of Object.entries(loading)) {
    plant(on);
    const first = await (recovers ? told(fresh()) : hasty(() => told(fresh())));
    if (recovers) await note(`loading: ${name}`, "outputs", first, async () => first.outputs);
    else await note(`loading: ${name}`, "DeviceError", first, fresh);
  }
  const planted = Object.entries(NETWORK);
  for (const [name, [plant, loads]] of planted) {
    const options = { cache: name.startsWith("storage") };
    plant();
    const first = await hasty(() => told(fresh(options)));
    if (loads) await note(`loading: ${name}`, "outputs", first, async () => first.outputs);
    else await note(`loading: ${name}`, "PackError", first, () => fresh(options));
  }
  const losses = device === "webgpu" ? ["lost, idle", "lost, upload", "lost, dispatch", "lost, map"]
    : ["gone, idle", "gone, upload", "gone, dispatch", "gone, read"];
  for (const stored of [false, true]) { // one after the other: the last device that was had is meant
    const here = await create({ cache: stored });
    await run(here);
    for (const [j, [name, [plant, loads]]] of planted.entries()) {
      if (name.startsWith("storage") !== stored) continue;
      const loss = losses[(j + turn) % losses.length];
      const before = here.deviceInfo.recovered;
      plant();
      faults[loss][0](on);
      const first = await told(run(here));
      const wants = loads ? "outputs" : "DeviceLostError";
      await note(`${loss}: ${name}`, wants, first, () => run(here),
        here.deviceInfo.recovered - before, Number(loads));
      if (!loads) found.at(-1).recovered = here.deviceInfo.recovered - before - 1;
    }
    await here.release();
  }
  return { wanted, found };
}
