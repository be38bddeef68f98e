// Sound as the speech model wants it, mono at 16 kHz: out of files that the browser can decode, and
// out of the microphone as it comes.

import { RATE } from "./segments.js";

/** A recording as samples: decoding resamples to the context's rate; channels are averaged.
 * @param {ArrayBuffer} file @returns {Promise<Float32Array<ArrayBuffer>>} */
export async function decode(file) {
  const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(file);
  const mixed = new Float32Array(audio.length);
  for (let c = 0; c < audio.numberOfChannels; c++) {
    const channel = audio.getChannelData(c);
    for (let j = 0; j < mixed.length; j++) mixed[j] += channel[j] / audio.numberOfChannels;
  }
  return mixed;
}

/** Turns samples of any rate into samples of 16 kHz, block by block: a windowed sinc at every point. */
export class Resampler {
  /** @param {number} from samples a second */
  constructor(from) {
    this.step = from / RATE;
    /** Of the lower rate's frequencies, all but the highest tenth pass. */
    this.cut = 0.9 * Math.min(1, 1 / this.step);
    this.reach = Math.ceil(16 / this.cut);
    this.rest = new Float32Array(this.reach); // silence before the first sample
    /** Where the next sample lies, in those of `rest`. */
    this.at = this.reach;
  }

  /** @param {Float32Array} block @returns {Float32Array<ArrayBuffer>} */
  push(block) {
    const samples = new Float32Array(this.rest.length + block.length);
    samples.set(this.rest);
    samples.set(block, this.rest.length);
    const made = [];
    for (; this.at + this.reach < samples.length; this.at += this.step) {
      const first = Math.floor(this.at) - this.reach + 1;
      let sum = 0;
      for (let j = first; j < first + 2 * this.reach; j++) sum += samples[j] * this.#weight(j - this.at);
      made.push(sum);
    }
    const kept = Math.max(0, Math.floor(this.at) - this.reach);
    this.rest = samples.slice(kept);
    this.at -= kept;
    return Float32Array.from(made);
  }

  /** @param {number} x samples off */
  #weight(x) {
    const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / (this.reach + 1));
    const angle = Math.PI * this.cut * x;
    return this.cut * window * (angle ? Math.sin(angle) / angle : 1);
  }
}

/** The microphone, at 16 kHz. */
export class Microphone {
  /** @param {(samples: Float32Array<ArrayBuffer>) => void} take */
  static async open(take) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    const context = new AudioContext(); // browsers differ in which other rates a microphone may have
    try {
      await context.audioWorklet.addModule(new URL("./recorder-worklet.js", import.meta.url));
      const recorder = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
      const resampler = new Resampler(context.sampleRate);
      recorder.port.onmessage = ({ data }) => take(resampler.push(data));
      context.createMediaStreamSource(stream).connect(recorder);
      await context.resume();
      return new Microphone(stream, context);
    } catch (error) {
      new Microphone(stream, context).close();
      throw error;
    }
  }

  /** @param {MediaStream} stream @param {AudioContext} context */
  constructor(stream, context) {
    this.stream = stream;
    this.context = context;
  }

  close() {
    for (const track of this.stream.getTracks()) track.stop();
    this.context.close().catch(() => {});
  }
}

/** A WAV file of samples, for the page's player.
 * @param {Float32Array} samples @returns {Blob} */
export function wavOf(samples) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (/** @type {number} */ at, /** @type {string} */ letters) => (
    [...letters].forEach((c, j) => view.setUint8(at + j, c.charCodeAt(0))));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // of one channel
  view.setUint32(24, RATE, true);
  view.setUint32(28, 2 * RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((s, j) => view.setInt16(44 + 2 * j, Math.max(-1, Math.min(1, s)) * 32767, true));
  return new Blob([view], { type: "audio/wav" });
}
