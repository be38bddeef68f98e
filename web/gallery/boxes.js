// Boxes around text, from the probability of text in each pixel: connected parts, grown a little.

/** @typedef {{x: number, y: number, width: number, height: number, score: number}} Box */

/**
 * The boxes of parts whose pixels pass `threshold`, top to bottom, left to right.
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
    let [left, right, top, bottom, sum] = [width, 0, height, 0, 0];
    const todo = [start];
    seen[start] = 1;
    let count = 0;
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
      const [x, y] = [at % width, Math.floor(at / width)];
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
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
    const [w, h] = [right - left + 1, bottom - top + 1];
    if (Math.min(w, h) < least || sum / count < sure) continue;
    const more = (w * h * grow) / (2 * (w + h));
    const [x, y] = [Math.max(0, left - more), Math.max(0, top - more)];
    boxes.push({ x, y, width: Math.min(width, right + 1 + more) - x,
      height: Math.min(height, bottom + 1 + more) - y, score: sum / count });
  }
  return boxes.sort((a, b) => (Math.abs(a.y - b.y) < Math.min(a.height, b.height) / 2 ? a.x - b.x : a.y - b.y));
}

/**
 * Text of a recogniser's probabilities: the best class a step, repeats and blanks (class 0) left out.
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
  return { text, score: count ? sum / count : 0 };
}
