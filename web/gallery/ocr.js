// Read text in a picture: PP-OCRv4 finds the lines, then reads each.

import { Tensor } from "../webrt.js";
import { boxesOf, decode } from "./boxes.js";
import { Gallery, element, find, showMs } from "./page.js";

/** Pixels of a picture's longer side at most; sides are multiples of 32. Lines are 48 high. */
const LONGEST = 960, STEP = 32, LINE = 48;

const gallery = new Gallery(["ocr-det", "ocr-rec"]);

/** A part of a picture at a size, as planes of red, green, blue.
 * @param {CanvasImageSource} picture @param {{x: number, y: number, width: number, height: number}} part
 * @param {number} width @param {number} height @param {readonly number[]} mean @param {readonly number[]} spread */
function planes(picture, part, width, height, mean, spread) {
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(picture, part.x, part.y, part.width, part.height, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const size = width * height;
  const all = new Float32Array(3 * size);
  for (let j = 0; j < size; j++) {
    for (let c = 0; c < 3; c++) all[c * size + j] = (data[4 * j + c] / 255 - mean[c]) / spread[c];
  }
  return new Tensor("float32", all, [1, 3, height, width]);
}

/** @param {InstanceType<typeof import("../webrt.js").InferenceSession>} session @param {Tensor} image */
const feed = (session, image) => ({ [session.inputNames[0]]: image });

/** @param {ImageBitmap} picture @param {readonly string[]} keys */
async function read(picture, keys) {
  const [detector, reader] = ["ocr-det", "ocr-rec"].map((name) => (
    /** @type {import("../webrt.js").InferenceSession} */ (gallery.sessions.get(name))));
  const scale = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((side) => (
    Math.max(STEP, Math.round((side * scale) / STEP) * STEP)));
  const whole = { x: 0, y: 0, width: picture.width, height: picture.height };
  const image = planes(picture, whole, width, height, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
  const outputs = await gallery.run("ocr-det", feed(detector, image), "Finding lines");
  const map = /** @type {Float32Array} */ (await outputs[detector.outputNames[0]].getData());
  const [across, down] = [picture.width / width, picture.height / height];
  const boxes = boxesOf(map, width, height).map((b) => (
    { x: b.x * across, y: b.y * down, width: b.width * across, height: b.height * down }));
  const lines = [];
  const begun = performance.now();
  for (const [j, box] of boxes.entries()) {
    gallery.say(`Reading … line ${j + 1} of ${boxes.length}`);
    const wide = Math.max(LINE, Math.round((box.width * LINE) / box.height / 8) * 8);
    const line = planes(picture, box, wide, LINE, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]);
    const made = (await gallery.run("ocr-rec", feed(reader, line)))[reader.outputNames[0]];
    const scores = /** @type {Float32Array} */ (await made.getData());
    lines.push({ box, ...decode(scores, made.dims[2], keys) });
  }
  if (lines.length) gallery.showFacts({ "A line": showMs((performance.now() - begun) / lines.length) });
  return lines.filter(({ text, score }) => text && score > 0.5);
}

/** @param {ImageBitmap} picture @param {readonly string[]} keys */
async function show(picture, keys) {
  const canvas = /** @type {HTMLCanvasElement} */ (find("#picture"));
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(picture, 0, 0);
  const lines = await read(picture, keys);
  context.strokeStyle = "#d93025";
  context.lineWidth = Math.max(2, picture.width / 400);
  for (const { box } of lines) context.strokeRect(box.x, box.y, box.width, box.height);
  find("#answers").replaceChildren(...lines.map(({ text, score }) => (
    element("li", {}, element("span", { className: "score" }, score.toFixed(2)), text))));
  if (!lines.length) find("#answers").replaceChildren(element("li", {}, "No text found."));
  gallery.say("Ready.");
}

/** A picture with text, made here. */
async function sample() {
  const canvas = new OffscreenCanvas(640, 320);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = "#fffdf5";
  context.fillRect(0, 0, 640, 320);
  context.fillStyle = "#202124";
  context.font = "48px sans-serif";
  context.fillText("Hello from webrt", 60, 110);
  context.font = "34px serif";
  context.fillText("kernels made on this device", 60, 220);
  return createImageBitmap(canvas);
}

await gallery.open(async () => {
  const keys = (await (await fetch("assets/keys.txt")).text()).replace(/\r?\n$/, "").split(/\r?\n/);
  const chooser = /** @type {HTMLInputElement} */ (find("#photo"));
  chooser.addEventListener("change", gallery.handler(async () => {
    const [file] = chooser.files ?? [];
    if (file) await show(await createImageBitmap(file), keys);
  }));
  find("#sample").addEventListener("click", gallery.handler(async () => show(await sample(), keys)));
  /** @type {HTMLElement} */ (find("#read")).hidden = false;
});
