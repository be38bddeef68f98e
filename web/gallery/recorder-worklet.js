// The microphone's samples, on the browser's audio thread: handed to the page in blocks.

/** Samples of a block: 1024 are 64 ms at 16 kHz, 21 ms at 48 kHz. */
const BLOCK = 1024;

// TypeScript's DOM types leave this scope out.
const { AudioWorkletProcessor, registerProcessor } = /** @type {any} */ (globalThis);

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(BLOCK);
    this.length = 0;
  }

  /** @param {Float32Array[][]} inputs of channels */
  process([[samples] = /** @type {Float32Array[]} */ ([])]) {
    for (const sample of samples ?? []) {
      this.block[this.length++] = sample;
      if (this.length < BLOCK) continue;
      this.port.postMessage(this.block);
      this.length = 0;
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
