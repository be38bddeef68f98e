// What the host computes in the middle of a run. webrt/runtime/host.py in JavaScript;
// tests/vectors/host.json holds both to the same results.

import { PackError, ShapeError, messageOf } from "./errors.js";

/** A tensor as the device stores it: of f16, the elements are numbers already.
 * @typedef {{elements: ArrayLike<number>, shape: number[]}} Given */
/** Tensors that a host step writes, of i32, and the sizes that its symbols stand for.
 * @typedef {{arrays: {data: Int32Array<ArrayBuffer>, shape: number[]}[], sizes: number[]}} Results */
/** @typedef {Record<string, number>} Options */

/** Run a host step on what it read. @param {string} op @param {Options} options
 * @param {Given[]} inputs @param {string} node @returns {Results} */
export function compute(op, options, inputs, node) {
  try {
    return OPS[op](options, ...inputs);
  } catch (error) {
    const message = messageOf(error);
    if (error instanceof ShapeError) throw new ShapeError(`${node}: ${message}`);
    throw new PackError(`${node}: ${op} of what doesn't fit it (${message}); pack again`);
  }
}

/** @param {number[]} values @param {number[]} shape */
const integers = (values, ...shape) => ({ data: Int32Array.from(values), shape });

/** @param {readonly number[]} shape */
function strides(shape) {
  const steps = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--) steps[axis] = steps[axis + 1] * shape[axis + 1];
  return steps;
}

/** @type {Record<string, (options: Options, ...inputs: Given[]) => Results>} */
const OPS = {
  values(_, { elements }) {
    const sizes = Array.from(elements);
    for (const value of sizes) {
      if (value < 0) throw new ShapeError(`a size or place is ${value}, expected 0 or more`);
    }
    return { arrays: [], sizes };
  },

  nonzero(_, { elements, shape }) {
    /** @type {number[]} */
    const places = [];
    for (let j = 0; j < elements.length; j++) if (elements[j] !== 0) places.push(j);
    const steps = strides(shape);
    const rows = shape.flatMap((size, axis) => places.map((p) => Math.floor(p / steps[axis]) % size));
    return { arrays: [integers(rows, shape.length, places.length)], sizes: [places.length] };
  },

  unique({ axis, sorted }, tensor) {
    const rows = slices(tensor, axis);
    /** @type {Map<string, number>} */
    const seen = new Map();
    /** @type {{row: number[], first: number, count: number}[]} */
    const groups = [];
    const group = rows.map((row, place) => {
      const key = row.map((v) => (v === 0 ? 0 : v)).join();
      let number = seen.get(key);
      if (number === undefined) {
        number = groups.push({ row, first: place, count: 0 }) - 1;
        seen.set(key, number);
      }
      groups[number].count++;
      return number;
    });
    const order = [...groups.keys()];
    if (sorted) order.sort((a, b) => compare(groups[a].row, groups[b].row));
    const place = new Map(order.map((number, j) => [number, j]));
    const many = order.length;
    return {
      arrays: [
        integers(order.map((j) => groups[j].first), many),
        integers(group.map((j) => /** @type {number} */ (place.get(j))), rows.length),
        integers(order.map((j) => groups[j].count), many),
      ],
      sizes: [many],
    };
  },

  nms(options, boxes, scores, ...limits) {
    const [batches, classes, count] = scores.shape;
    const [most, covered, limit] = ["most", "iou", "score"].map((key) => {
      if (Object.hasOwn(options, key)) return options[key];
      const read = limits.shift();
      if (!read?.elements.length) throw new Error(`no ${key}`);
      return read.elements[0];
    });
    const corners = cornersOf(boxes.elements, options.center !== 0);
    const values = scores.elements;
    /** @type {number[]} */
    const found = [];
    for (let batch = 0; batch < batches; batch++) {
      for (let kind = 0; kind < classes; kind++) {
        const base = (batch * classes + kind) * count;
        const order = Array.from({ length: count }, (_, j) => j)
          .filter((j) => values[base + j] > limit)
          .sort((a, b) => values[base + b] - values[base + a] || a - b);
        /** @type {number[]} */
        const kept = [];
        for (const box of order) {
          if (kept.length >= most) break;
          const own = corners[batch * count + box];
          if (kept.every((k) => overlap(own, corners[batch * count + k]) <= covered)) kept.push(box);
        }
        for (const box of kept) found.push(batch, kind, box);
      }
    }
    return { arrays: [integers(found, found.length / 3, 3)], sizes: [found.length / 3] };
  },
};

/** The slices along an axis; -1: the elements. @param {Given} tensor @param {number} axis
 * @returns {number[][]} */
function slices({ elements, shape }, axis) {
  if (axis < 0) return Array.from(elements, (v) => [v]);
  const size = shape[axis];
  const step = strides(shape)[axis];
  /** @type {number[][]} */
  const rows = Array.from({ length: size }, () => []);
  for (let j = 0; j < elements.length; j++) rows[Math.floor(j / step) % size].push(elements[j]);
  return rows;
}

/** @param {number[]} one @param {number[]} other */
function compare(one, other) {
  for (let j = 0; j < one.length; j++) if (one[j] !== other[j]) return one[j] < other[j] ? -1 : 1;
  return 0;
}

/** @param {ArrayLike<number>} flat @param {boolean} center @returns {number[][]} */
function cornersOf(flat, center) {
  const boxes = [];
  for (let j = 0; j + 3 < flat.length; j += 4) {
    let [a, b, c, d] = [flat[j], flat[j + 1], flat[j + 2], flat[j + 3]];
    if (center) [a, b, c, d] = [b - d / 2, a - c / 2, b + d / 2, a + c / 2];
    boxes.push([Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)]);
  }
  return boxes;
}

/** Intersection over union; 0 where either has no area. @param {number[]} one
 * @param {number[]} other */
function overlap(one, other) {
  const height = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const width = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  if (!(height > 0 && width > 0)) return 0;
  const areas = [one, other].map((b) => (b[2] - b[0]) * (b[3] - b[1]));
  return (height * width) / (areas[0] + areas[1] - height * width);
}
