// Where is speech in a recording? silero-vad, frame after frame, as its authors run it.

import { Tensor } from "../webrt.js";
import { Gallery, element, find, showMs } from "./page.js";

/** At 16 kHz a frame has 512 samples; the model also sees the last 64 of the frame before. */
const RATE = 16_000, FRAME = 512, CONTEXT = 64;
const THRESHOLD = 0.5;

const gallery = new Gallery(["silero-vad"]);

/** The probability of speech in each frame. @param {Float32Array} samples */
async function detect(samples) {
  const rate = new Tensor("int64", new BigInt64Array([BigInt(RATE)]), []);
  let state = new Tensor("float32", new Float32Array(2 * 128), [2, 1, 128]);
  const found = [];
  const begun = performance.now();
  for (let start = 0; start + FRAME <= samples.length; start += FRAME) {
    const frame = new Float32Array(CONTEXT + FRAME);
    const from = Math.max(0, start - CONTEXT);
    frame.set(samples.subarray(from, start + FRAME), CONTEXT - (start - from));
    const input = new Tensor("float32", frame, [1, CONTEXT + FRAME]);
    const { output, stateN } = await gallery.run("silero-vad", { input, state, sr: rate });
    state = new Tensor("float32", /** @type {Float32Array<ArrayBuffer>} */ (await stateN.getData()), [2, 1, 128]);
    found.push(Number((await output.getData())[0]));
    if (found.length % 20 === 0) gallery.say(`Listening … ${(start / RATE).toFixed(1)} s`);
  }
  const ms = performance.now() - begun;
  gallery.showFacts({
    "A frame of 32 ms": showMs(ms / Math.max(found.length, 1)),
    "Faster than speech": `${((found.length * FRAME * 1e3) / RATE / ms).toFixed(1)}×`,
  });
  return found;
}

/** From when to when there is speech, in seconds. @param {number[]} found */
function segments(found) {
  /** @type {number[][]} */
  const parts = [];
  let start = -1;
  [...found, 0].forEach((p, j) => {
    if (p >= THRESHOLD && start < 0) start = j;
    if (p < THRESHOLD && start >= 0) {
      parts.push([start, j].map((k) => (k * FRAME) / RATE));
      start = -1;
    }
  });
  return parts;
}

/** @param {Float32Array} samples @param {number[]} found */
function draw(samples, found) {
  const canvas = /** @type {HTMLCanvasElement} */ (find("#wave"));
  const { width, height } = canvas;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const style = getComputedStyle(canvas);
  context.clearRect(0, 0, width, height);
  context.strokeStyle = style.color;
  context.globalAlpha = 0.5;
  context.beginPath();
  for (let x = 0; x < width; x++) {
    const part = samples.subarray((x * samples.length) / width, ((x + 1) * samples.length) / width);
    const peak = part.reduce((most, s) => Math.max(most, Math.abs(s)), 0);
    context.moveTo(x, (height * (1 - peak)) / 2);
    context.lineTo(x, (height * (1 + peak)) / 2 + 1);
  }
  context.stroke();
  context.globalAlpha = 1;
  context.lineWidth = 2;
  context.beginPath();
  found.forEach((p, j) => context.lineTo((j * width) / found.length, height * (1 - p)));
  context.stroke();
}

/** @param {ArrayBuffer} file */
async function listen(file) {
  const decoder = new OfflineAudioContext(1, 1, RATE); // decoding resamples to its rate
  const audio = await decoder.decodeAudioData(file);
  const samples = audio.getChannelData(0);
  const found = await detect(samples);
  draw(samples, found);
  const parts = segments(found).map(([from, to]) => element("li", {}, `${from.toFixed(2)} s to ${to.toFixed(2)} s`));
  find("#answers").replaceChildren(...(parts.length ? parts : [element("li", {}, "No speech found.")]));
  gallery.say("Ready.");
}

await gallery.open(() => {
  const chooser = /** @type {HTMLInputElement} */ (find("#recording"));
  chooser.addEventListener("change", gallery.handler(async () => {
    const [file] = chooser.files ?? [];
    if (file) await listen(await file.arrayBuffer());
  }));
  /** @type {HTMLElement} */ (find("#listen")).hidden = false;
});
