// A notebook's page, in little: anywidget's model and module loading, with messages of Jupyter's
// widget protocol (JSON and buffers) that the test's Python side takes and gives.

const encode = (buffer) => {
  const view = ArrayBuffer.isView(buffer) ? buffer : new Uint8Array(buffer);
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).toBase64();
};
const decode = (text) => new DataView(Uint8Array.fromBase64(text).buffer);

/** anywidget's model: a copy of the traits, events, and custom messages. */
class Model {
  constructor(state) {
    this.state = state;
    this.changed = {};
    this.callbacks = new Map();
    this.queue = Promise.resolve();
  }

  get(name) {
    return this.state[name];
  }

  set(name, value) {
    this.state[name] = this.changed[name] = value;
  }

  save_changes() {
    const state = this.changed;
    this.changed = {};
    this.post({ method: "update", state: structuredClone(state) }, []);
  }

  send(content, _, buffers = []) {
    this.post({ method: "custom", content }, buffers.map(encode));
  }

  /** One message after the other, as on a socket; what the kernel says to it comes back. */
  post(data, buffers) {
    const text = JSON.stringify(data); // what JSON can't say doesn't pass
    this.queue = this.queue.then(async () => {
      for (const answer of await globalThis.toKernel(text, buffers)) this.receive(answer);
    });
  }

  receive({ data, buffers }) {
    if (data.method === "update") {
      for (const [name, value] of Object.entries(data.state)) {
        this.state[name] = value;
        for (const callback of this.callbacks.get(`change:${name}`) ?? []) callback();
      }
    } else if (data.method === "custom") {
      const views = buffers.map(decode);
      for (const callback of [...this.callbacks.get("msg:custom") ?? []]) callback(data.content, views);
    }
  }

  on(event, callback) {
    this.callbacks.set(event, [...this.callbacks.get(event) ?? [], callback]);
  }

  off(event, callback) {
    this.callbacks.set(event, (this.callbacks.get(event) ?? []).filter((c) => c !== callback));
  }
}

/** What a widget's module gets: a face of the model for each call, as anywidget makes them. */
const face = (model) => Object.fromEntries(
  ["get", "set", "save_changes", "send", "on", "off"].map((name) => [name, model[name].bind(model)]));

/** Load a widget as anywidget does: its module's text from a blob, its style beside it. */
globalThis.showWidget = async (state, views) => {
  const model = new Model(state);
  globalThis.fromKernel = (message) => model.receive(message);
  const style = document.createElement("style");
  style.textContent = state._css;
  document.head.append(style);
  const module = new Blob([state._esm], { type: "text/javascript" });
  const { default: make } = await import(URL.createObjectURL(module));
  const widget = await make();
  const end = await widget.initialize({ model: face(model) });
  for (let j = 0; j < views; j++) {
    const el = document.createElement("div");
    document.body.append(el);
    await widget.render({ model: face(model), el });
  }
  globalThis.endWidget = end;
};
globalThis.ready = true;
