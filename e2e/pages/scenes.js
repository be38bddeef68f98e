// A session loses its device, once or again and again, while this and that is going on.

/** What scenes are given: the job's tools, their device, and the workers that were started.
 * Each answers with the answers to runs of 1, 2, …, and the errors that there were. */
export async function play({ InferenceSession, Tensor, devices, rejection, clearCache },
  { url, device }, workers) {
  let events = [];
  const tell = (e) => e.status === "recover" && events.push([e.state, e.device, e.recovered, e.reason]);
  const create = (options) => (
    InferenceSession.create(url, { device, threads: 1, onProgress: tell, ...options }));
  const feeds = (n) => ({
    ids: new Tensor("int64", [1, n], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4]) });
  const lose = () => (device === "webgpu" ? devices.at(-1).destroy() : workers.at(-1).terminate());
  const answer = async (session, n) => [...(await session.run(feeds(n))).pooled.data];
  const scenes = {
    async stages() {
      const session = await create();
      const answers = [await answer(session, 1)];
      const running = answer(session, 2);
      lose(); // while it runs
      answers.push(await running);
      lose(); // right before a run
      answers.push(await answer(session, 3));
      lose(); // while nothing runs
      await new Promise((resolve) => setTimeout(resolve, 100));
      answers.push(await answer(session, 4));
      await session.release();
      return {answers};
    },
    async queue() {
      const session = await create();
      const runs = [1, 2, 3, 4, 5].map((n) => answer(session, n));
      lose();
      const answers = await Promise.all(runs);
      await session.release();
      return {answers};
    },
    async again() { // and lost once more, while it recovers
      let losses = 0;
      const session = await create({onProgress: (e) => {
        tell(e);
        if (e.state === "lost") losses = 2;
      }});
      const first = await answer(session, 1);
      const {requestDevice} = globalThis.GPUAdapter?.prototype ?? {};
      if (device === "webgpu") {
        GPUAdapter.prototype.requestDevice = async function (...args) {
          const gpu = await requestDevice.apply(this, args);
          if (losses-- > 0) setTimeout(() => gpu.destroy());
          return gpu;
        };
      } else {
        const {postMessage} = Worker.prototype;
        Worker.prototype.postMessage = function (message, transfer) {
          postMessage.call(this, message, transfer);
          if (message.type === "load" && losses-- > 0) this.terminate();
        };
      }
      lose();
      const second = await answer(session, 2);
      await session.release();
      return {answers: [first, second]};
    },
    async ever() { // it is lost whenever it is had: then it stays, and the next run has it
      const session = await create();
      const first = await answer(session, 1);
      const target = device === "webgpu" ? GPUAdapter.prototype : Worker.prototype;
      const name = device === "webgpu" ? "requestDevice" : "postMessage";
      const original = target[name];
      target[name] = function (...args) {
        const made = original.apply(this, args);
        if (device === "wasm") this.terminate();
        else made.then((gpu) => gpu.destroy());
        return made;
      };
      lose();
      const errors = [await rejection(answer(session, 2))];
      target[name] = original;
      const second = await answer(session, 2);
      await session.release();
      return {answers: [first, second], errors};
    },
    async none() { // no device can be had for a while
      const session = await create();
      const first = await answer(session, 1);
      const {Worker: Hooked} = globalThis;
      const {requestAdapter} = globalThis.GPU?.prototype ?? {};
      if (device === "webgpu") GPU.prototype.requestAdapter = async () => null;
      else globalThis.Worker = undefined;
      lose();
      const errors = [await rejection(answer(session, 2)), await rejection(answer(session, 2))];
      if (device === "webgpu") GPU.prototype.requestAdapter = requestAdapter;
      globalThis.Worker = Hooked;
      const second = await answer(session, 2);
      await session.release();
      return {answers: [first, second], errors};
    },
    async next() { // the next one that the page allows
      const providers = [device, device === "webgpu" ? "wasm" : "webgpu"];
      const session = await create({device: undefined, executionProviders: providers});
      const first = await answer(session, 1);
      const {Worker: Hooked} = globalThis;
      const {requestAdapter} = globalThis.GPU?.prototype ?? {};
      if (device === "webgpu") GPU.prototype.requestAdapter = async () => null;
      else globalThis.Worker = undefined;
      lose();
      const second = await answer(session, 2);
      const {kind} = session.deviceInfo;
      await session.release();
      if (requestAdapter) GPU.prototype.requestAdapter = requestAdapter;
      globalThis.Worker = Hooked;
      return {answers: [first, second], kind};
    },
    async released() { // while it recovers
      let release;
      let session = await create({onProgress: (e) => {
        tell(e);
        if (e.state === "lost") release = session.release();
      }});
      const first = await answer(session, 1);
      const runs = [2, 3].map((n) => rejection(answer(session, n)));
      lose();
      const errors = await Promise.all(runs);
      await release;
      return {answers: [first], errors};
    },
    async offline() { // what was kept is enough, whatever the page's signal says
      await clearCache();
      const stop = new AbortController();
      const kept = await create({signal: stop.signal});
      const first = await answer(kept, 1);
      stop.abort();
      const {fetch} = globalThis;
      globalThis.fetch = async () => { throw new TypeError("no network"); };
      lose();
      const second = await answer(kept, 2);
      await kept.release();
      globalThis.fetch = fetch;
      const bare = await create({cache: false});
      const third = await answer(bare, 3);
      globalThis.fetch = async () => { throw new TypeError("no network"); };
      lose();
      const errors = [await rejection(answer(bare, 4))];
      globalThis.fetch = fetch;
      const fourth = await answer(bare, 4);
      await bare.release();
      return {answers: [first, second, third, fourth], errors};
    },
  };
  const found = {};
  for (const [name, scene] of Object.entries(scenes)) {
    events = [];
    found[name] = { ...await scene(), events };
  }
  return found;
}
