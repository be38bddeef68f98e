// Where is speech in a recording? silero-vad, frame after frame, as its authors run it.

import { Tensor } from "../webrt.js";
import { Microphone, decode, wavOf } from "./audio.js";
import { element, find } from "./elements.js";
import { Gallery } from "./page.js";
import { CONTEXT, FRAME, RATE, segments } from "./segments.js";
import { Wave } from "./wave.js";

const MODEL = "silero-vad";

/** Seconds: of the microphone at most, and between two looks at a file that is being heard. */
const LONGEST = 180, LOOK = 0.1;

const gallery = new Gallery([MODEL], { device: "wasm",
  reason: "a frame is small: a GPU would wait longer than it computes" });

/** What was heard so far: samples, and the probability of speech in each frame. */
class Hearing {
  constructor() {
    this.samples = new Float32Array(0);
    /** @type {number[]} */
    this.found = [];
    this.heard = 0;
    this.state = new Tensor("float32", new Float32Array(2 * 128), [2, 1, 128]);
    this.rate = new Tensor("int64", new BigInt64Array([BigInt(RATE)]), []);
  }

  /** @param {Float32Array<ArrayBuffer>} more */
  add(more) {
    const samples = new Float32Array(this.samples.length + more.length);
    samples.set(this.samples);
    samples.set(more, this.samples.length);
    this.samples = samples;
  }

  /** Hear the next frame, if there is one; the `last` one may be filled up with silence.
   * @param {boolean} last */
  async next(last) {
    const { samples, heard } = this;
    if (heard >= samples.length || (heard + FRAME > samples.length && !last)) return false;
    const frame = new Float32Array(CONTEXT + FRAME);
    const from = Math.max(0, heard - CONTEXT);
    frame.set(samples.subarray(from, heard + FRAME), CONTEXT - (heard - from));
    const { output, stateN } = await gallery.run(MODEL, {
      input: new Tensor("float32", frame, [1, CONTEXT + FRAME]), state: this.state, sr: this.rate });
    const state = /** @type {Float32Array<ArrayBuffer>} */ (await stateN.getData());
    this.state = new Tensor("float32", state, [2, 1, 128]);
    this.found.push(Number((await output.getData())[0]));
    this.heard += FRAME;
    return true;
  }
}

const wave = new Wave(find("#wave"));
const player = /** @type {HTMLAudioElement} */ (find("#player"));
/** @type {Microphone | null} */
let microphone = null;

/** @param {Hearing} hearing @param {boolean} live */
function look(hearing, live) {
  wave.show(hearing.samples, hearing.found, live ? [] : segments(hearing.found, hearing.samples.length));
}

/** What was found, in words, and where to play it. @param {Hearing} hearing @param {number} ms */
function tell({ samples, found }, ms) {
  const parts = segments(found, samples.length);
  const seconds = samples.length / RATE;
  const spoken = parts.reduce((sum, { start, end }) => sum + end - start, 0) / RATE;
  const speed = ms > 0 ? ` Heard ${Math.round((1e3 * seconds) / ms)} times faster than it was spoken.` : "";
  const count = parts.length === 1 ? "1 part" : `${parts.length} parts`;
  find("#summary").textContent = parts.length
    ? `Speech in ${count}, ${spoken.toFixed(1)} s of ${seconds.toFixed(1)} s.${speed}`
    : `No speech in ${seconds.toFixed(1)} s.${speed}`;
  find("#wave").setAttribute("aria-label", `Sound and probability of speech over ${
    seconds.toFixed(1)} s, with ${count} of speech marked`);
  find("#answers").replaceChildren(...parts.map(({ start, end }) => {
    const text = `${(start / RATE).toFixed(1)} – ${(end / RATE).toFixed(1)} s`;
    const button = element("button", { type: "button", ariaLabel: `Play from ${text}` }, `▸ ${text}`);
    button.addEventListener("click", () => play(start / RATE, end / RATE));
    return element("li", {}, button);
  }));
}

/** @param {number} from @param {number} to seconds */
async function play(from, to) {
  player.currentTime = from;
  stopAt = to;
  await player.play().catch(() => {});
}

let stopAt = Infinity;
player.addEventListener("timeupdate", () => {
  wave.mark(player.currentTime);
  if (player.currentTime < stopAt) return;
  stopAt = Infinity;
  player.pause();
});

/** @param {Blob} sound that the player can play */
function offer(sound) {
  URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(sound);
  player.hidden = false;
}

/** @param {Blob} file */
async function listen(file) {
  clear();
  const hearing = new Hearing();
  hearing.add(await decode(await file.arrayBuffer()));
  if (!hearing.samples.length) throw new DOMException("there is no sound in it", "EncodingError");
  offer(file);
  const begun = performance.now();
  let looked = begun;
  while (await hearing.next(true)) {
    if (performance.now() - looked < 1e3 * LOOK) continue;
    looked = performance.now();
    gallery.say(`Listening … ${(hearing.heard / RATE).toFixed(0)} of ${
      (hearing.samples.length / RATE).toFixed(0)} s`, true);
    look(hearing, true);
    await new Promise((resolve) => { setTimeout(resolve); }); // the page draws
  }
  const ms = performance.now() - begun;
  look(hearing, false);
  tell(hearing, ms);
  gallery.ready();
}

/** Listen to the microphone until the visitor says stop. */
async function record() {
  clear();
  const hearing = new Hearing();
  microphone = await Microphone.open((samples) => hearing.add(samples));
  const button = find("#record");
  button.textContent = "Stop";
  gallery.say("Listening: speak …", true);
  try {
    while (microphone && hearing.samples.length < LONGEST * RATE) {
      while (await hearing.next(false));
      look(hearing, true);
      const now = hearing.found[hearing.found.length - 1] ?? 0;
      gallery.say(`Listening, ${(hearing.samples.length / RATE).toFixed(1)} s: ${
        now >= 0.5 ? "speech" : "no speech"}`, true);
      await new Promise((resolve) => { setTimeout(resolve, 1e3 * LOOK); });
    }
  } finally {
    microphone?.close();
    microphone = null;
    button.textContent = "Record";
  }
  while (await hearing.next(true));
  look(hearing, false);
  offer(wavOf(hearing.samples));
  tell(hearing, 0);
  gallery.ready();
}

function clear() {
  find("#summary").textContent = "";
  find("#answers").replaceChildren();
  player.pause();
  player.hidden = true;
}

await gallery.open(() => {
  const chooser = /** @type {HTMLInputElement} */ (find("#recording"));
  const take = gallery.handler(async (/** @type {File | undefined} */ file) => file && listen(file));
  chooser.addEventListener("change", () => {
    take(chooser.files?.[0]);
    chooser.value = "";
  });
  const sample = /** @type {HTMLElement} */ (find("#sample"));
  sample.hidden = !gallery.site?.sample;
  sample.addEventListener("click", gallery.handler(async () => {
    const answer = await fetch("assets/speech.wav");
    if (!answer.ok) throw new Error(`assets/speech.wav: HTTP status ${answer.status}`);
    await listen(await answer.blob());
  }));
  const recording = gallery.handler(record);
  find("#record").addEventListener("click", () => {
    if (!microphone) return recording(undefined);
    microphone.close();
    microphone = null;
    return undefined;
  });
  /** @type {HTMLElement} */ (find("#record")).hidden = !navigator.mediaDevices;
  /** @type {HTMLElement} */ (find("#tool")).hidden = false;
  wave.show(new Float32Array(0), [], []);
});
