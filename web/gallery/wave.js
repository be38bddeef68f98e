// A recording's sound over time, with the probability of speech above it and speech marked.

import { FRAME, RATE } from "./segments.js";

/** CSS pixels. */
const HEIGHT = 180, SCALE = 18;

/** A colour of the style sheet, as a canvas takes it. @param {string} name */
export function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** A canvas that shows a recording, in the page's colours and as wide as there is room. */
export class Wave {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    /** @type {Float32Array} */
    this.samples = new Float32Array(0);
    /** @type {readonly number[]} */
    this.found = [];
    /** @type {readonly {start: number, end: number}[]} */
    this.parts = [];
    this.at = 0;
    const draw = () => this.#draw();
    new ResizeObserver(draw).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }

  /** @param {Float32Array} samples @param {readonly number[]} found probabilities
   * @param {readonly {start: number, end: number}[]} parts with speech */
  show(samples, found, parts) {
    [this.samples, this.found, this.parts, this.at] = [samples, found, parts, 0];
    this.#draw();
  }

  /** @param {number} seconds where the player is */
  mark(seconds) {
    this.at = seconds;
    this.#draw();
  }

  #draw() {
    const { canvas, samples, found, parts } = this;
    const width = canvas.clientWidth;
    if (!width) return;
    const scale = Math.min(3, globalThis.devicePixelRatio || 1);
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(HEIGHT * scale)];
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.scale(scale, scale);
    const x = (/** @type {number} */ sample) => (sample * width) / Math.max(1, samples.length);
    const body = HEIGHT - SCALE;
    context.fillStyle = colour("accent-soft");
    for (const { start, end } of parts) context.fillRect(x(start), 0, x(end) - x(start), body);
    this.#sound(context, width, body, x);
    this.#scale(context, width, x);
    if (found.length) {
      context.strokeStyle = colour("other");
      context.lineWidth = 1.5;
      context.beginPath();
      found.forEach((p, j) => context.lineTo(x((j + 0.5) * FRAME), 6 + (body - 12) * (1 - p)));
      context.stroke();
    }
    if (this.at) {
      context.fillStyle = colour("ink");
      context.fillRect(x(this.at * RATE), 0, 1.5, body);
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width @param {number} body
   * @param {(sample: number) => number} x */
  #sound(context, width, body, x) {
    const { samples, parts } = this;
    const [speech, silence] = [colour("accent"), colour("edge")];
    const each = samples.length / width;
    if (!each) {
      context.fillStyle = silence;
      context.fillRect(0, body / 2, width, 1);
      return;
    }
    let part = 0;
    for (let column = 0; column < width; column++) {
      let peak = 0;
      const end = Math.min(samples.length, Math.ceil((column + 1) * each));
      for (let j = Math.floor(column * each); j < end; j++) peak = Math.max(peak, Math.abs(samples[j]));
      while (part < parts.length && x(parts[part].end) < column) part++;
      const inside = part < parts.length && x(parts[part].start) <= column;
      context.fillStyle = inside ? speech : silence;
      const height = Math.max(1, Math.min(1, peak) * body);
      context.fillRect(column, (body - height) / 2, 1, height);
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width
   * @param {(sample: number) => number} x */
  #scale(context, width, x) {
    const seconds = this.samples.length / RATE;
    const step = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300].find((s) => (s * width) / seconds >= 56) ?? 600;
    context.fillStyle = colour("quiet");
    context.font = "11px system-ui, sans-serif";
    for (let s = 0; s < seconds && seconds > 0; s += step) {
      context.fillText(`${s} s`, x(s * RATE) + 2, HEIGHT - 5);
    }
  }
}
