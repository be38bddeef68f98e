// For pages with classic scripts: `<script src="webrt/ort.js"></script>` makes the global `ort`, as
// onnxruntime-web's does. It loads webrt.js, beside it; until that is there, `ort` has `env` to set,
// what returns promises, and `ready`.

"use strict";

(() => {
  const loading = import("./webrt.js");
  /** @type {Record<string, any>} what the page sets of `env` until then */
  const settings = { wasm: {}, webgl: {}, webgpu: {} };

  /** @param {typeof import("./webrt.js")} webrt */
  function finish(webrt) {
    const { wasm, webgl, webgpu, ...others } = settings;
    const { env } = webrt;
    Object.assign(env, others);
    Object.assign(env.wasm, wasm);
    Object.assign(env.webgl, webgl);
    Object.assign(env.webgpu, webgpu);
    for (const [name, value] of Object.entries({ ...webrt, default: undefined })) {
      Object.defineProperty(ort, name, { value, enumerable: true, configurable: true, writable: true });
    }
    return webrt;
  }

  const ort = {
    /** Settles once all of `ort` is there. */
    ready: loading.then(finish),
    InferenceSession: {
      /** @param {Parameters<typeof import("./webrt.js").InferenceSession.create>} args */
      create: async (...args) => (await ort.ready).InferenceSession.create(...args),
    },
    clearCache: async () => (await ort.ready).clearCache(),
    env: settings,
    get Tensor() {
      throw new TypeError("ort.Tensor isn't there yet: `await ort.ready`, or create a session, before");
    },
  };
  ort.ready.catch(() => {}); // whoever creates a session hears of it
  Object.assign(globalThis, { ort });
})();
