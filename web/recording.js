// A plan's dispatches on WebGPU, cut into submissions that each hold the queue for a short while.

/** @typedef {{pipeline: GPUComputePipeline, group: GPUBindGroup, x: number, y: number, z: number,
 *   cost: number}} Prepared */

/** Milliseconds that one submission may hold the queue: the page's compositing shares the GPU, and
 * drivers' watchdogs (2 s on Windows) take the device away from longer ones. */
const SUBMISSION_MS = 100;

/** Dispatches with their bind groups, built once. */
export class Recording {
  /** @param {Prepared[]} steps */
  constructor(steps) {
    this.steps = steps;
    this.cost = steps.reduce((sum, s) => sum + s.cost, 0);
    /** How much slower than estimated a replay was; 1 until one was timed. */
    this.scale = 1;
    this.cut();
  }

  /** Where each submission ends. */
  cut() {
    /** @type {number[]} */
    this.ends = [];
    let held = 0;
    this.steps.forEach((step, j) => {
      const cost = step.cost * this.scale;
      if (j && held + cost > SUBMISSION_MS) {
        this.ends.push(j);
        held = 0;
      }
      held += cost;
    });
    this.ends.push(this.steps.length);
  }

  /** Learn from a replay that took `ms`. @param {number} ms */
  timed(ms) {
    const scale = ms / Math.max(this.cost, 1e-6);
    if (scale < this.scale / 2 || scale > this.scale * 2) {
      this.scale = scale;
      this.cut();
    }
  }
}
