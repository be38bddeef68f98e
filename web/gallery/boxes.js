// Lines of text: turned rectangles around the parts of a map of probabilities, in reading order, and
// the text of a recogniser's probabilities.

/** @typedef {{x: number, y: number}} Point */
/** A rectangle about its centre; `angle` is how far its long side is turned, in radians.
 * @typedef {{x: number, y: number, width: number, height: number, angle: number, score: number}} Box */

/**
 * Rectangles around the connected parts whose pixels pass `threshold`, grown a little.
 * @param {ArrayLike<number>} map of height rows @param {number} width @param {number} height
 * @param {{threshold?: number, least?: number, sure?: number, grow?: number}} [options] `least`: pixels
 *   of a side, `sure`: the mean probability, `grow`: of area over perimeter, as DBNet's `unclip`
 * @returns {Box[]}
 */
export function boxesOf(map, width, height, { threshold = 0.3, least = 3, sure = 0.6, grow = 1.6 } = {}) {
  const seen = new Uint8Array(width * height);
  /** @type {Box[]} */
  const boxes = [];
  for (let start = 0; start < seen.length; start++) {
    if (seen[start] || map[start] <= threshold) continue;
    const { edge, mean } = flood(map, width, height, threshold, start, seen);
    const around = smallest(hull(edge));
    if (Math.min(around.width, around.height) < least || mean < sure) continue;
    const more = (around.width * around.height * grow) / (around.width + around.height);
    boxes.push({ ...around, width: around.width + more, height: around.height + more, score: mean });
  }
  return inOrder(boxes);
}

/** A connected part: the ends of its rows, and its mean probability.
 * @param {ArrayLike<number>} map @param {number} width @param {number} height @param {number} threshold
 * @param {number} start @param {Uint8Array} seen */
function flood(map, width, height, threshold, start, seen) {
  /** @type {Map<number, [number, number]>} */
  const rows = new Map();
  const todo = [start];
  seen[start] = 1;
  let [sum, count] = [0, 0];
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    const [x, y] = [at % width, Math.floor(at / width)];
    const row = rows.get(y);
    if (row) [row[0], row[1]] = [Math.min(row[0], x), Math.max(row[1], x)];
    else rows.set(y, [x, x]);
    sum += map[at];
    count += 1;
    for (const [next, inside] of /** @type {[number, boolean][]} */ ([
      [at - 1, x > 0], [at + 1, x < width - 1], [at - width, y > 0], [at + width, y < height - 1]])) {
      if (inside && !seen[next] && map[next] > threshold) {
        seen[next] = 1;
        todo.push(next);
      }
    }
  }
  const edge = [...rows].flatMap(([y, [left, right]]) => (
    [{ x: left, y }, { x: left, y: y + 1 }, { x: right + 1, y }, { x: right + 1, y: y + 1 }]));
  return { edge, mean: sum / count };
}

/** Twice the area that three points enclose, positive where they turn one way.
 * @param {Point} a @param {Point} b @param {Point} c */
const turn = (a, b, c) => (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);

/** The convex hull of points (Andrew's monotone chain). @param {Point[]} points @returns {Point[]} */
export function hull(points) {
  const sorted = [...points].sort((a, b) => a.x - b.x || a.y - b.y);
  const half = (/** @type {Point[]} */ all) => {
    /** @type {Point[]} */
    const made = [];
    for (const point of all) {
      while (made.length > 1 && turn(made[made.length - 2], made[made.length - 1], point) <= 0) made.pop();
      made.push(point);
    }
    return made.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.reverse())];
}

/** The smallest rectangle around a convex hull: one of its sides lies on one of the hull's.
 * @param {Point[]} points @returns {Omit<Box, "score">} */
export function smallest(points) {
  let best = { x: 0, y: 0, width: Infinity, height: Infinity, angle: 0 };
  points.forEach((from, j) => {
    const to = points[(j + 1) % points.length];
    const angle = Math.atan2(to.y - from.y, to.x - from.x);
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const along = points.map((p) => p.x * cos + p.y * sin);
    const across = points.map((p) => p.y * cos - p.x * sin);
    const [left, right] = [Math.min(...along), Math.max(...along)];
    const [top, bottom] = [Math.min(...across), Math.max(...across)];
    const [width, height] = [right - left, bottom - top];
    if (width * height >= best.width * best.height) return;
    const [u, v] = [(left + right) / 2, (top + bottom) / 2];
    best = { x: u * cos - v * sin, y: u * sin + v * cos, width, height, angle };
  });
  return upright(best);
}

/** The same rectangle with its long side as its width, turned by less than a quarter: text that runs
 * from left to right, or from top to bottom. @param {Omit<Box, "score">} box */
function upright({ x, y, width, height, angle }) {
  const quarter = Math.PI / 2;
  const level = angle - quarter * Math.round(angle / quarter); // at most an eighth either way
  const swapped = Math.round(angle / quarter) % 2 !== 0;
  const [across, down] = swapped ? [height, width] : [width, height];
  if (down > 1.5 * across) return { x, y, width: down, height: across, angle: level + quarter };
  return { x, y, width: across, height: down, angle: level };
}

/** Boxes as they are read: lines from the top down, each from left to right, where they are tilted
 * too. @param {Box[]} boxes @returns {Box[]} */
export function inOrder(boxes) {
  const tilts = boxes.map((b) => b.angle).sort((a, b) => a - b);
  const tilt = tilts[tilts.length >> 1] ?? 0;
  const [cos, sin] = [Math.cos(tilt), Math.sin(tilt)];
  const placed = boxes.map((box) => (
    { box, along: box.x * cos + box.y * sin, across: box.y * cos - box.x * sin }));
  placed.sort((a, b) => a.across - b.across);
  /** @type {(typeof placed)[]} */
  const rows = [];
  for (const one of placed) {
    const row = rows[rows.length - 1];
    const near = row && one.across - row[0].across < Math.min(one.box.height, row[0].box.height) / 2;
    if (near) row.push(one);
    else rows.push([one]);
  }
  return rows.flatMap((row) => row.sort((a, b) => a.along - b.along).map(({ box }) => box));
}

/** The corners of a box, from the top left on. @param {Omit<Box, "score">} box @returns {Point[]} */
export function cornersOf({ x, y, width, height, angle }) {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([a, b]) => {
    const [u, v] = [(a * width) / 2, (b * height) / 2];
    return { x: x + u * cos - v * sin, y: y + u * sin + v * cos };
  });
}

/** Text of a recogniser's probabilities: the best class a step, repeats and blanks (class 0) left out.
 * @param {ArrayLike<number>} scores of steps × classes @param {number} classes
 * @param {readonly string[]} keys the characters of classes 1, 2 … @returns {{text: string, score: number}}
 */
export function decode(scores, classes, keys) {
  let text = "", sum = 0, count = 0, before = 0;
  for (let step = 0; step * classes < scores.length; step++) {
    let best = 0;
    for (let c = 1; c < classes; c++) {
      if (scores[step * classes + c] > scores[step * classes + best]) best = c;
    }
    if (best && best !== before) {
      text += keys[best - 1] ?? " ";
      sum += scores[step * classes + best];
      count += 1;
    }
    before = best;
  }
  return { text: text.trim(), score: count ? sum / count : 0 };
}
