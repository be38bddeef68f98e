// Read the member `flow` of a manifest, and hold the steps to it. webrt/pack/flow.py in JavaScript:
// the same checks in the same words; tests/vectors/pack/ holds both to them.

import { Field } from "./field.js";

/** @typedef {import("./dims.js").Dim} Dim */
/** @typedef {import("./manifest.js").PlanTensor} PlanTensor */
/** @typedef {import("./manifest.js").Step} Step */
/** @typedef {{kind: "run", first: number, end: number}} Run */
/** @typedef {{kind: "host", op: string, options: Record<string, number>, inputs: number[],
 *   outputs: number[], symbols: string[], node: string}} HostStep */
/** @typedef {{kind: "if", condition: number, then: Item[], other: Item[],
 *   bound: [string, Dim, Dim][], node: string}} Branch */
/** @typedef {{kind: "loop", trips: Dim | null, most: number, condition: number | null, body: Item[],
 *   symbol: string | null, node: string, number: number}} Loop */
/** @typedef {{kind: "need", left: Dim, right: Dim, node: string}} Need */
/** @typedef {Run | HostStep | Branch | Loop | Need} Item */

const MAX_ITEMS = 1 << 14;
const MAX_DEPTH = 8;
const MAX_TURNS = 1 << 20;
const MAX_VALUES = 64;

/** How many tensors a host step reads and writes, how many symbols it binds: least and most.
 * @type {Record<string, {reads: [number, number], writes: [number, number], binds: [number, number],
 *   options: string[]}>} */
const HOST_OPS = {
  values: { reads: [1, 1], writes: [0, 0], binds: [1, MAX_VALUES], options: [] },
  nonzero: { reads: [1, 1], writes: [1, 1], binds: [1, 1], options: [] },
  unique: { reads: [1, 1], writes: [3, 3], binds: [1, 1], options: ["axis", "sorted"] },
  nms: { reads: [2, 5], writes: [1, 1], binds: [1, 1], options: ["center"] },
};

/** Reads a flow; `readable` and `written` follow what steps have done so far. */
class FlowReader {
  /** @param {Field} field of the steps @param {Step[]} steps @param {PlanTensor[]} tensors
   * @param {ReadonlySet<string>} known @param {Set<string>} bound the symbols that inputs give
   * @param {(field: Field, step: Step) => void} check holds a step to its kernel */
  constructor(field, steps, tensors, known, bound, check) {
    this.field = field;
    this.fields = field.items();
    this.steps = steps;
    this.tensors = tensors;
    this.known = known;
    this.bound = bound;
    this.check = check;
    this.next = 0;
    this.items = 0;
    this.loops = 0;
    /** @type {number[]} */
    this.inside = [];
    const rings = new Set(tensors.flatMap((t) => (t.window ? [t.window.ring] : [])));
    const free = tensors.map(({ home }) => ["input", "constant", "window"].includes(home));
    /** @type {Set<number>} */
    this.readable = new Set([...tensors.keys()].filter((j) => free[j] || rings.has(j)));
    /** @type {Set<number>} */
    this.written = new Set([...this.readable].filter((j) => !tensors[j].window && !rings.has(j)));
  }

  /** The flow of a manifest, empty where it has none. @param {Field} root @returns {Item[]} */
  read(root) {
    /** @type {Item[]} */
    let flow = [];
    if (root.has("flow")) flow = this.flow(root.member("flow"), 0);
    else this.run(0, this.steps.length);
    if (this.next !== this.steps.length) {
      root.member("flow").fail(`ends at step ${this.next} of ${this.steps.length}`);
    }
    this.tensors.forEach(({ home }, index) => {
      if (home === "output" && !this.written.has(index)) {
        this.field.fail(`no step writes tensor ${index}, an output`);
      }
    });
    return flow;
  }

  /** @param {Field} field @param {number} depth @returns {Item[]} */
  flow(field, depth) {
    if (depth > MAX_DEPTH) field.fail(`is nested deeper than ${MAX_DEPTH}`);
    return field.items(0, MAX_ITEMS).map((f) => this.item(f, depth));
  }

  /** @param {Field} field @param {number} depth @returns {Item} */
  item(field, depth) {
    if (++this.items > MAX_ITEMS) field.fail(`is one of more than ${MAX_ITEMS} items`);
    if (field.has("run")) return this.runItem(field.member("run"));
    if (field.has("host")) return this.host(field);
    if (field.has("if")) return this.branch(field, depth);
    if (field.has("loop")) return this.loop(field, depth);
    if (!field.has("need")) return field.expected("a run, a host step, an if, a loop or a need");
    const [left, right] = field.member("need").items(2, 2).map((f) => f.dim(this.known));
    return { kind: "need", left, right, node: nodeOf(field) };
  }

  /** @param {Field} field @returns {Run} */
  runItem(field) {
    const [start, stop] = field.items(2, 2);
    const first = start.integer(this.next, this.next);
    const end = stop.integer(this.next, this.steps.length);
    this.run(first, end);
    return { kind: "run", first, end };
  }

  /** @param {number} first @param {number} end */
  run(first, end) {
    for (let index = first; index < end; index++) {
      const [step, item] = [this.steps[index], this.fields[index]];
      const { inputs, outputs } = step;
      [...inputs, ...outputs].forEach((tensor, position) => {
        const { window } = this.tensors[tensor];
        if (window && window.loop !== null && !this.inside.includes(window.loop)) {
          item.fail(`tensor ${tensor} is a window of a loop that doesn't hold this`);
        }
        if (position >= inputs.length) {
          this.write(tensor, item.member("outputs").items()[position - inputs.length]);
        } else if (!this.readable.has(tensor)) {
          item.member("inputs").items()[position]
            .fail(`tensor ${tensor} is read before a step writes it`);
        }
      });
      this.check(item, step);
    }
    this.next = end;
  }

  /** @param {number} tensor @param {Field} field */
  write(tensor, field) {
    if (this.written.has(tensor)) field.fail(`tensor ${tensor} can't be written here`);
    this.readable.add(tensor);
    if (!this.tensors[tensor].window) this.written.add(tensor);
  }

  /** @param {Field} field @returns {HostStep} */
  host(field) {
    const op = field.member("host").choice(...Object.keys(HOST_OPS));
    const { reads, writes, binds, options: needed } = HOST_OPS[op];
    field.member("options").object();
    const given = /** @type {Record<string, unknown>} */ (field.member("options").value);
    for (const key of needed) {
      const value = field.member("options").member(key);
      if (typeof value.value !== "number") value.expected("a number");
    }
    const inputs = field.member("inputs").items(...reads).map((f) => this.hostReads(f));
    const symbols = field.member("symbols").items(...binds).map((f) => this.symbol(f));
    const outputs = field.member("outputs").items(...writes).map((item) => {
      const tensor = item.integer(0, this.tensors.length - 1);
      if (this.tensors[tensor].window) item.fail(`tensor ${tensor} can't be written here`);
      this.write(tensor, item);
      return tensor;
    });
    const options = /** @type {Record<string, number>} */ (Object.fromEntries(
      Object.entries(given).filter(([, value]) => typeof value === "number")));
    return { kind: "host", op, options, inputs, outputs, symbols, node: nodeOf(field) };
  }

  /** @param {Field} field @returns {number} */
  hostReads(field) {
    const tensor = field.integer(0, this.tensors.length - 1);
    const { home } = this.tensors[tensor];
    if (home !== "input" && home !== "output") {
      field.fail(`tensor ${tensor} is ${home}, which the host doesn't read`);
    }
    if (!this.readable.has(tensor)) field.fail(`tensor ${tensor} is read before a step writes it`);
    return tensor;
  }

  /** @param {Field} field @returns {number} */
  condition(field) {
    const tensor = this.hostReads(field);
    const { dtype } = this.tensors[tensor];
    if (dtype !== "bool") field.fail(`expected a tensor of bool, found ${dtype}`);
    return tensor;
  }

  /** @param {Field} field @returns {string} */
  symbol(field) {
    const name = field.choice(...[...this.known].sort());
    if (this.bound.has(name)) field.fail(`${name} has a value already`);
    this.bound.add(name);
    return name;
  }

  /** @param {Field} field @param {number} depth @returns {Branch} */
  branch(field, depth) {
    const condition = this.condition(field.member("if"));
    const [readable, written] = [new Set(this.readable), new Set(this.written)];
    const then = this.flow(field.member("then"), depth + 1);
    const [first, done] = [this.readable, this.written];
    [this.readable, this.written] = [readable, written];
    const other = this.flow(field.member("else"), depth + 1);
    for (const tensor of [...this.readable]) if (!first.has(tensor)) this.readable.delete(tensor);
    for (const tensor of done) this.written.add(tensor);
    const bound = field.member("bound").items(0, this.known.size).map((item) => {
      const [name, left, right] = item.items(3, 3);
      return /** @type {[string, Dim, Dim]} */ (
        [this.symbol(name), left.dim(this.known), right.dim(this.known)]);
    });
    return { kind: "if", condition, then, other, bound, node: nodeOf(field) };
  }

  /** @param {Field} field @param {number} depth @returns {Loop} */
  loop(field, depth) {
    const given = field.member("loop");
    const trips = given.value === null ? null : given.dim(this.known);
    const most = field.member("most").integer(1, MAX_TURNS);
    let condition = null;
    if (field.member("condition").value !== null) {
      condition = this.condition(field.member("condition"));
      this.written.delete(condition);
    } else if (trips === null) field.fail("expected a number of turns or a condition");
    const number = this.loops++;
    const readable = new Set(this.readable);
    this.inside.push(number);
    const body = this.flow(field.member("body"), depth + 1);
    this.inside.pop();
    this.readable = readable;
    if (condition !== null && !this.written.has(condition)) {
      field.fail(`its body doesn't write tensor ${condition}, its condition`);
    }
    const last = field.member("symbol");
    const symbol = last.value === null ? null : this.symbol(last);
    return { kind: "loop", trips, most, condition, body, symbol, node: nodeOf(field), number };
  }
}

/** @param {Field} field */
const nodeOf = (field) => field.member("node").text(65536);

/** Hold every window to its ring: an arena tensor of two dims and the same storage.
 * @param {Field} field @param {PlanTensor[]} tensors */
function checkWindows(field, tensors) {
  tensors.forEach(({ window, storage }, index) => {
    if (!window) return;
    const place = new Field(null, `${field.path}[${index}].window`, field.file);
    const ring = tensors[window.ring];
    if (!ring || ring.home !== "arena" || ring.shape.length !== 2) {
      place.fail(`tensor ${window.ring} is no ring`);
    }
    if (ring.storage !== storage) place.fail(`its ring is of ${ring.storage}, expected ${storage}`);
  });
}

/** The flow of a manifest, held to its steps and tensors. @param {Field} root @param {Step[]} steps
 * @param {PlanTensor[]} tensors @param {ReadonlySet<string>} known @param {Set<string>} bound
 * @param {(field: Field, step: Step) => void} check @returns {Item[]} */
export function readFlow(root, steps, tensors, known, bound, check) {
  checkWindows(root.member("tensors"), tensors);
  return new FlowReader(root.member("steps"), steps, tensors, known, bound, check).read(root);
}
