// Tells a page how far a session is: its events are those of progress-info.js.

/** @typedef {import("./progress-info.js").ProgressInfo} ProgressInfo */
/** @typedef {import("./progress-info.js").FileProgress} FileProgress */
/** @typedef {import("./progress-info.js").CompileProgress} CompileProgress */
/** @typedef {import("./progress-info.js").OnProgress} OnProgress */

/** @param {number} loaded @param {number} total */
const share = (loaded, total) => (
  { loaded, total, progress: total > 0 ? (100 * loaded) / total : 100 });

/** Tells `onProgress` of one session's loading. */
export class Progress {
  /** @param {string} name @param {OnProgress} [tell] */
  constructor(name, tell) {
    this.name = name;
    this.tell = tell;
    /** Whether the session is there, or will never be. */
    this.over = false;
    /** @type {Set<string>} files that were announced */
    this.files = new Set();
  }

  /** What the page's handler throws is the page's affair: it is reported, and loading goes on.
   * @param {ProgressInfo} info */
  say(info) {
    try {
      this.tell?.(info);
    } catch (error) {
      globalThis.reportError?.(error);
    }
  }

  /** @param {FileProgress["status"]} status @param {string} file @param {number} loaded
   * @param {number} total @param {boolean} [cached] */
  #of(status, file, loaded, total, cached = false) {
    if (!this.over) this.say({ status, name: this.name, file, cached, ...share(loaded, total) });
  }

  /** Files that will be needed. @param {readonly {file: string, bytes: number}[]} files */
  initiate(files) {
    for (const { file, bytes } of files) {
      if (!this.files.has(file)) this.#of("initiate", file, 0, bytes);
      this.files.add(file);
    }
  }

  /** A file that is on its way: `add` more bytes, or fewer where they must be had again, until it is
   * `done`. @param {string} file @param {number} total bytes; 0 if not known */
  file(file, total) {
    let loaded = 0, told = -1;
    return {
      add: (/** @type {number} */ bytes) => {
        if (told < 0) this.#of("download", file, 0, total);
        loaded += bytes;
        if (told >= 0 && Math.abs(loaded - told) * 100 < total && loaded < total) return;
        told = loaded;
        this.#of("progress", file, loaded, Math.max(total, loaded));
      },
      done: (/** @type {number} */ bytes, /** @type {boolean} */ cached) => (
        this.#of("done", file, bytes, bytes, cached)),
    };
  }

  /** @param {number} loaded @param {number} total of kernels */
  compile(loaded, total) {
    if (!this.over) this.say({ status: "compile", name: this.name, ...share(loaded, total) });
  }

  ready() {
    if (!this.over) this.say({ status: "ready", name: this.name });
    this.over = true;
  }
}
