// The gallery's own arithmetic: rectangles around text, texts, parts with speech, resampling.

import assert from "node:assert/strict";
import test from "node:test";

import { Resampler } from "../../web/gallery/audio.js";
import { boxesOf, cornersOf, decode, hull, inOrder, smallest } from "../../web/gallery/boxes.js";
import { segments } from "../../web/gallery/segments.js";

/** A map with turned rectangles of text in it. */
function mapOf(width, height, boxes) {
  const map = new Float32Array(width * height);
  for (const { x, y, width: w, height: h, angle } of boxes) {
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    for (let v = 0; v < height; v++) {
      for (let u = 0; u < width; u++) {
        const [dx, dy] = [u + 0.5 - x, v + 0.5 - y];
        const [along, across] = [dx * cos + dy * sin, dy * cos - dx * sin];
        if (Math.abs(along) <= w / 2 && Math.abs(across) <= h / 2) map[v * width + u] = 0.9;
      }
    }
  }
  return map;
}

test("turned rectangles are found where they are", () => {
  for (const angle of [0, 0.1, -0.3, 0.6, -0.7]) {
    const wanted = { x: 100, y: 60, width: 90, height: 14, angle };
    const [box, ...others] = boxesOf(mapOf(200, 120, [wanted]), 200, 120, { grow: 0 });
    assert.equal(others.length, 0);
    assert.ok(Math.abs(box.angle - angle) < 0.03, `${box.angle} for ${angle}`);
    for (const key of ["x", "y", "width", "height"]) {
      assert.ok(Math.abs(box[key] - wanted[key]) < 2.5, `${key}: ${box[key]} for ${wanted[key]}`);
    }
    assert.ok(Math.abs(box.score - 0.9) < 1e-6);
  }
});

test("text from top to bottom is turned by a quarter", () => {
  const wanted = { x: 50, y: 60, width: 12, height: 80, angle: 0 };
  const [box] = boxesOf(mapOf(100, 120, [wanted]), 100, 120, { grow: 0 });
  assert.ok(Math.abs(box.angle - Math.PI / 2) < 0.01);
  assert.ok(box.width > 78 && box.height < 14);
});

test("specks and doubtful parts are no text", () => {
  const map = mapOf(60, 60, [{ x: 10, y: 10, width: 2, height: 2, angle: 0 }]);
  for (let x = 20; x < 50; x++) for (let y = 30; y < 40; y++) map[y * 60 + x] = 0.4;
  assert.deepEqual(boxesOf(map, 60, 60), []);
});

test("boxes are read line by line, tilted too", () => {
  for (const tilt of [0, 0.15, -0.15]) {
    const [cos, sin] = [Math.cos(tilt), Math.sin(tilt)];
    const at = (u, v) => ({ x: u * cos - v * sin, y: u * sin + v * cos, width: 80, height: 20, angle: tilt,
      score: 1 });
    const boxes = [at(0, 0), at(200, 2), at(400, -2), at(0, 40), at(220, 41), at(0, 80)];
    const shuffled = [5, 2, 0, 4, 1, 3].map((j) => boxes[j]);
    assert.deepEqual(inOrder(shuffled), boxes);
  }
});

test("a hull leaves out what lies inside; its smallest rectangle has its corners", () => {
  const square = [[0, 0], [4, 0], [4, 2], [0, 2]].map(([x, y]) => ({ x, y }));
  assert.equal(hull([...square, { x: 1, y: 1 }, { x: 2, y: 0 }]).length, 4);
  const corners = cornersOf({ ...smallest(hull(square)), score: 1 });
  assert.deepEqual(corners.map(({ x, y }) => [x, y].map((n) => Math.round(n) + 0)), [
    [0, 0], [4, 0], [4, 2], [0, 2]]);
});

test("repeats and blanks are left out of a text", () => {
  const keys = ["a", "b"];
  const steps = [1, 1, 0, 1, 2, 2, 0, 3, 2]; // 3 is the space after the keys
  const scores = new Float32Array(4 * steps.length);
  steps.forEach((best, j) => { scores[4 * j + best] = 0.5; });
  assert.deepEqual(decode(scores, 4, keys), { text: "aab b", score: 0.5 });
  assert.deepEqual(decode(new Float32Array([1, 0, 0]), 3, keys), { text: "", score: 0 });
});

test("speech begins and ends by silero's rules", () => {
  const frames = (...runs) => runs.flatMap(([p, count]) => Array(count).fill(p));
  const found = frames([0.1, 10], [0.9, 20], [0.4, 5], [0.9, 5], [0.1, 2], [0.9, 5], [0.1, 10], [0.9, 3],
    [0.1, 10], [0.9, 12]);
  const length = found.length * 512;
  assert.deepEqual(segments(found, length), [
    { start: 10 * 512 - 480, end: 47 * 512 + 480 }, // a dip and a short silence don't end it
    { start: 70 * 512 - 480, end: length }, // three frames are too short
  ]);
  assert.deepEqual(segments([], 0), []);
});

test("a tone keeps its height and its strength at another rate", () => {
  for (const rate of [8000, 16_000, 44_100, 48_000]) {
    const resampler = new Resampler(rate);
    const made = [];
    for (let start = 0; start < rate; start += 1000) {
      const block = Float32Array.from({ length: 1000 }, (_, j) => Math.sin(2 * Math.PI * 440 * (start + j) / rate));
      made.push(...resampler.push(block));
    }
    assert.ok(Math.abs(made.length - 16_000) < 400, `${made.length} samples from ${rate}`);
    let error = 0;
    made.slice(500, -500).forEach((x, j) => {
      error = Math.max(error, Math.abs(x - Math.sin(2 * Math.PI * 440 * (j + 500) / 16_000)));
    });
    assert.ok(error < 0.02, `${error} at ${rate}`);
  }
  const high = new Resampler(48_000);
  const tone = Float32Array.from({ length: 48_000 }, (_, j) => Math.sin(2 * Math.PI * 11_000 * j / 48_000));
  assert.ok(Math.max(...high.push(tone).slice(500).map(Math.abs)) < 0.02); // what 16 kHz can't hold
});
