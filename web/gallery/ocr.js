// Read text in a picture: PP-OCRv4 finds the lines, then reads each.

import { Tensor } from "../webrt.js";
import { boxesOf, cornersOf, decode } from "./boxes.js";
import { bar, element, find, onFiles } from "./elements.js";
import { Gallery } from "./page.js";

/** @typedef {import("./boxes.js").Box} Box */
/** @typedef {{box: Box, text: string, score: number}} Line */

/** Pixels of a picture's longer side at most; sides are multiples of 32. Lines are 48 high, and as wide
 * as a multiple of 32: so few shapes are laid out. */
const LONGEST = 960, STEP = 32, LINE = 48, WIDEST = 2048;

/** A line that the model is less sure of isn't shown. */
const SURE = 0.5;

const gallery = new Gallery(["ocr-det", "ocr-rec"]);

/** What a canvas shows, as planes of blue, green, red: the order in which the models learned them.
 * @param {OffscreenCanvasRenderingContext2D} context @param {readonly number[]} mean
 * @param {readonly number[]} spread */
function planes(context, mean, spread) {
  const { width, height } = context.canvas;
  const { data } = context.getImageData(0, 0, width, height);
  const size = width * height;
  const all = new Float32Array(3 * size);
  for (let j = 0; j < size; j++) {
    for (let c = 0; c < 3; c++) all[c * size + j] = (data[4 * j + 2 - c] / 255 - mean[c]) / spread[c];
  }
  return new Tensor("float32", all, [1, 3, height, width]);
}

/** @param {number} width @param {number} height */
function blank(width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("the browser has no canvas for this page");
  context.imageSmoothingQuality = "high";
  return context;
}

/** Where there is text. @param {ImageBitmap} picture @returns {Promise<Box[]>} */
async function locate(picture) {
  const scale = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((side) => (
    Math.max(STEP, Math.round((side * scale) / STEP) * STEP)));
  const context = blank(width, height);
  context.drawImage(picture, 0, 0, width, height);
  const detector = gallery.session("ocr-det");
  const image = planes(context, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
  const outputs = await gallery.run("ocr-det", { [detector.inputNames[0]]: image });
  const map = /** @type {Float32Array} */ (await outputs[detector.outputNames[0]].getData());
  const [across, down] = [picture.width / width, picture.height / height];
  return boxesOf(map, width, height).map((b) => (
    { ...b, x: b.x * across, y: b.y * down, width: b.width * across, height: b.height * down }));
}

/** One line, turned level; what is left of its width is grey, as the model learned it.
 * @param {ImageBitmap} picture @param {Box} box @param {readonly string[]} keys */
async function readLine(picture, box, keys) {
  const scale = LINE / box.height;
  const wide = Math.min(WIDEST, Math.max(STEP, Math.ceil(box.width * scale)));
  const context = blank(Math.ceil(wide / STEP) * STEP, LINE);
  context.fillStyle = "rgb(127.5 127.5 127.5)";
  context.fillRect(0, 0, context.canvas.width, LINE);
  context.beginPath();
  context.rect(0, 0, wide, LINE);
  context.clip();
  context.scale(wide / box.width, scale);
  context.translate(box.width / 2, box.height / 2);
  context.rotate(-box.angle);
  context.translate(-box.x, -box.y);
  context.drawImage(picture, 0, 0);
  const reader = gallery.session("ocr-rec");
  const line = planes(context, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]);
  const made = (await gallery.run("ocr-rec", { [reader.inputNames[0]]: line }))[reader.outputNames[0]];
  return decode(/** @type {Float32Array} */ (await made.getData()), made.dims[2], keys);
}

/** @param {ImageBitmap} picture @param {readonly Line[]} lines @param {number} [chosen] */
function draw(picture, lines, chosen) {
  const canvas = /** @type {HTMLCanvasElement} */ (find("#picture"));
  [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.hidden = false;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(picture, 0, 0);
  context.lineJoin = "round";
  lines.forEach(({ box }, j) => {
    context.beginPath();
    for (const { x, y } of cornersOf(box)) context.lineTo(x, y);
    context.closePath();
    for (const [style, width] of /** @type {[string, number][]} */ ([["#ffffff", 5], [j === chosen
      ? "#a14a00" : "#3b3fd8", j === chosen ? 4 : 2.5]])) {
      context.strokeStyle = style;
      context.lineWidth = Math.max(width / 2, (picture.width / 640) * width);
      context.stroke();
    }
  });
}

/** @param {ImageBitmap} picture @param {readonly Line[]} lines */
function tell(picture, lines) {
  draw(picture, lines);
  find("#picture").setAttribute("aria-label", lines.length
    ? `The picture, with ${lines.length} lines of text marked` : "The picture, without text");
  const items = lines.map(({ text, score }, j) => {
    const item = element("li", {},
      element("span", { className: "row" }, element("span", { className: "text" }, text),
        element("span", { className: "score" }, `${Math.round(100 * score)} %`)), bar(score));
    item.addEventListener("pointerenter", () => draw(picture, lines, j));
    item.addEventListener("pointerleave", () => draw(picture, lines));
    return item;
  });
  find("#answers").replaceChildren(...(items.length ? items
    : [element("li", {}, "No text found. A sharper or larger picture may help.")]));
  /** @type {HTMLElement} */ (find("#copy")).hidden = !lines.length;
}

/** @param {ImageBitmap} picture @param {readonly string[]} keys */
async function show(picture, keys) {
  find("#answers").replaceChildren();
  draw(picture, []);
  gallery.say("Looking for lines …", true);
  const boxes = await locate(picture);
  /** @type {Line[]} */
  const lines = [];
  for (const [j, box] of boxes.entries()) {
    gallery.say(`Reading line ${j + 1} of ${boxes.length} …`, true);
    const line = { box, ...await readLine(picture, box, keys) };
    if (line.text && line.score > SURE) lines.push(line);
  }
  tell(picture, lines);
  gallery.ready();
}

/** A picture with text, made here: a note, a little tilted. */
async function sample() {
  const context = blank(900, 640);
  context.fillStyle = "#dfe5ee";
  context.fillRect(0, 0, 900, 640);
  context.translate(450, 320);
  context.rotate(-0.07);
  context.fillStyle = "#fffdf3";
  context.shadowColor = "rgb(0 0 0 / 30%)";
  context.shadowBlur = 24;
  context.fillRect(-360, -240, 720, 480);
  context.shadowColor = "transparent";
  context.fillStyle = "#1d2430";
  context.font = "bold 48px Georgia, 'DejaVu Serif', serif";
  context.fillText("Bakery on the corner", -320, -140);
  context.font = "40px system-ui, 'DejaVu Sans', sans-serif";
  [["2 rye breads", "9.80"], ["1 poppy seed roll", "1.45"], ["Total, thank you!", "11.25"]].forEach(
    ([what, price], j) => {
      context.fillText(what, -320, -40 + 80 * j);
      context.fillText(price, 200, -40 + 80 * j);
    });
  context.fillStyle = "#515b69";
  context.font = "italic 32px Georgia, 'DejaVu Serif', serif";
  context.fillText("Open daily from seven to noon", -320, 200);
  return createImageBitmap(context.canvas);
}

await gallery.open(async () => {
  const answer = await fetch("assets/keys.txt");
  if (!answer.ok) throw new Error(`assets/keys.txt: HTTP status ${answer.status}`);
  const keys = (await answer.text()).replace(/\r?\n$/, "").split(/\r?\n/);
  const take = gallery.handler(async (/** @type {Blob | undefined} */ file) => {
    if (file) await show(await createImageBitmap(file), keys);
  });
  onFiles(find("#drop"), find("#photo"), ([file]) => take(file));
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData?.files ?? []].find((f) => f.type.startsWith("image/"));
    if (file) take(file);
  });
  find("#sample").addEventListener("click", gallery.handler(async () => show(await sample(), keys)));
  find("#copy").addEventListener("click", async () => {
    const lines = [...document.querySelectorAll("#answers .text")].map((e) => e.textContent);
    await navigator.clipboard?.writeText(lines.join("\n")).then(
      () => gallery.say("Copied."), () => gallery.say("The browser doesn’t let this page copy."));
  });
  /** @type {HTMLElement} */ (find("#tool")).hidden = false;
});
