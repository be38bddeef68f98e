// One value of a manifest together with its path, so that every check can name what it refused.
// The same checks in the same words as webrt/pack/field.py; tests/vectors/pack/ holds them to it.

import { PackError } from "./errors.js";

const MAX_DIM_DEPTH = 40;
const MAX_DIM_NODES = 1024;

/** `value` stands at `path` of `file`; each method returns it checked or throws a PackError. */
export class Field {
  /** @param {unknown} value @param {string} path @param {string} file */
  constructor(value, path, file) {
    this.value = value;
    this.path = path;
    this.file = file;
  }

  /** @param {string} message @returns {never} */
  fail(message) {
    throw new PackError(`${this.path ? `${this.file}: ${this.path}` : this.file}: ${message}`);
  }

  /** @param {string} what @returns {never} */
  expected(what) {
    return this.fail(`expected ${what}, found ${show(this.value)}`);
  }

  /** @param {string} name @returns {Field} */
  member(name) {
    if (!isObject(this.value)) return this.expected("an object");
    const path = this.path ? `${this.path}.${name}` : name;
    const found = new Field(this.value[name], path, this.file);
    return Object.hasOwn(this.value, name) ? found : found.fail("is missing");
  }

  /** @param {string} name @returns {boolean} */
  has(name) {
    return isObject(this.value) && Object.hasOwn(this.value, name);
  }

  /** @param {number} [least] @param {number} [most] @returns {Field[]} */
  items(least = 0, most = 2 ** 20) {
    const { value } = this;
    if (!Array.isArray(value)) return this.expected("a list");
    if (value.length < least || value.length > most) {
      const wanted = least === most ? `${least}` : `${least} to ${most}`;
      return this.fail(`expected ${wanted} items, found ${value.length}`);
    }
    return value.map((v, i) => new Field(v, `${this.path}[${i}]`, this.file));
  }

  /** @param {number} [low] @param {number} [high] @returns {number} */
  integer(low = 0, high = Number.MAX_SAFE_INTEGER) {
    const { value } = this;
    // 1e300 is no integer to a reader that tells them from floats.
    if (typeof value !== "number" || !Number.isInteger(value) || Math.abs(value) >= 1e21) {
      return this.expected("an integer");
    }
    if (value < low || value > high) return this.expected(`an integer from ${low} to ${high}`);
    return value;
  }

  /** @returns {boolean} */
  boolean() {
    return typeof this.value === "boolean" ? this.value : this.expected("true or false");
  }

  /** @param {number} most @param {number} [least] @returns {string} */
  text(most, least = 0) {
    const { value } = this;
    if (typeof value !== "string") return this.expected("a string");
    const length = value.length > most ? [...value].length : value.length;
    if (length < least || length > most) {
      return this.fail(`expected a string of ${least} to ${most} characters, found ${length}`);
    }
    if (/\p{Surrogate}/u.test(value)) return this.fail("holds half a character");
    if (value.includes("\0")) return this.fail("holds a NUL character");
    return value;
  }

  /** @template {string} C @param {readonly C[]} choices @returns {C} */
  choice(...choices) {
    const found = choices.find((c) => c === this.value);
    return found ?? this.expected(`one of ${choices.join(", ")}`);
  }

  /** An object, whatever it holds. @returns {Record<string, unknown>} */
  object() {
    return isObject(this.value) ? this.value : this.expected("an object");
  }

  /** A Dim over `symbols`: an int, a symbol, or a sum of products of atoms.
   * @param {ReadonlySet<string>} symbols @returns {import("./dims.js").Dim} */
  dim(symbols) {
    let nodes = 0;
    /** @param {unknown} node @param {string} parent @param {number} depth */
    const visit = (node, parent, depth) => {
      if (++nodes > MAX_DIM_NODES || depth > MAX_DIM_DEPTH) this.fail("is a dim of too many parts");
      if (typeof node === "string") {
        if (!symbols.has(node)) this.fail(`names ${show(node)}, which is no symbol of the model`);
      } else if (!Array.isArray(node)) {
        new Field(node, this.path, this.file).integer(-Number.MAX_SAFE_INTEGER);
      } else {
        visitOperation(node, parent, depth);
      }
    };
    /** @param {unknown[]} node @param {string} parent @param {number} depth */
    const visitOperation = ([op, ...operands], parent, depth) => {
      const known = ["+", "*", "//", "%", "min", "max"].includes(/** @type {string} */ (op));
      if (operands.length < 2 || !known) this.expected("a dim");
      if ((op === "+" && (parent === "+" || parent === "*")) || (op === "*" && parent === "*")) {
        this.fail("expected a sum of products of atoms");
      }
      for (const part of operands) visit(part, /** @type {string} */ (op), depth + 1);
      if (op === "+" || op === "*") return;
      if (operands.length !== 2) this.expected("a dim");
      const right = operands[1];
      if ((op === "//" || op === "%") && typeof right === "number" && right <= 0) {
        this.fail(`divides by ${right}`);
      }
    };
    visit(this.value, "", 0);
    return /** @type {import("./dims.js").Dim} */ (this.value);
  }
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** The value in a message: short whatever it is, and written as Python writes it.
 * @param {unknown} value @returns {string} */
export function show(value) {
  if (typeof value === "object" && value !== null) {
    return Array.isArray(value) ? "a list" : "an object";
  }
  const whole = typeof value === "number" && Number.isInteger(value) && Math.abs(value) < 1e21;
  if (whole && !Number.isSafeInteger(value)) {
    return "an integer beyond 2^53";
  }
  const text = typeof value === "string" ? quote(value) : String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

/** Python's `ascii` of a string. @param {string} text */
function quote(text) {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  let out = mark;
  for (const character of text) {
    const point = /** @type {number} */ (character.codePointAt(0));
    const short = { 9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\" }[point];
    if (short) out += short;
    else if (character === mark) out += `\\${mark}`;
    else if (point >= 32 && point < 127) out += character;
    else if (point < 256) out += `\\x${point.toString(16).padStart(2, "0")}`;
    else if (point < 65536) out += `\\u${point.toString(16).padStart(4, "0")}`;
    else out += `\\U${point.toString(16).padStart(8, "0")}`;
  }
  return out + mark;
}
