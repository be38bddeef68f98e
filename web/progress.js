// What a page is told while a session is made: the events that Hugging Face's transformers.js has for
// a pipeline's files, and `compile` and `tune`.

/** How far a file is, or all kernels; `progress` is a share of 100.
 * @typedef {{loaded: number, total: number, progress: number}} Share */
/** `initiate`: a file will be needed; `download`: it comes over the network; `progress`; `done`:
 * it is there and verified. `name` is the pack's URL; `cached` tells files that no network was needed for.
 * @typedef {{status: "initiate" | "download" | "progress" | "done", name: string, file: string,
 *   cached: boolean} & Share} FileProgress */
/** Kernels compiled, of all. @typedef {{status: "compile", name: string} & Share} CompileProgress */
/** The session is there: what follows is about tuning. @typedef {{status: "ready", name: string}} Ready */
/** What `onProgress` is told.
 * @typedef {FileProgress | CompileProgress | Ready |
 *   import("./recover.js").RecoverProgress | import("./tune-options.js").TuneProgress} ProgressInfo */
/** @typedef {(progress: ProgressInfo) => void} OnProgress */

/** @param {number} loaded @param {number} total @returns {Share} */
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

  /** @param {ProgressInfo} info */
  #loading(info) {
    if (!this.over) this.say(info);
  }

  /** Files that will be needed. @param {readonly {file: string, bytes: number}[]} files */
  initiate(files) {
    for (const { file, bytes } of files) {
      if (this.files.has(file)) continue;
      this.files.add(file);
      this.#loading({ status: "initiate", name: this.name, file, cached: false, ...share(0, bytes) });
    }
  }

  /** A file that is on its way. @param {string} file @param {number} total bytes; 0 if not known */
  file(file, total) {
    return new FileTold(file, total, (status, loaded, cached, all) => {
      this.#loading({ status, name: this.name, file, cached, ...share(loaded, all) });
    });
  }

  /** @param {number} loaded @param {number} total of kernels */
  compile(loaded, total) {
    this.#loading({ status: "compile", name: this.name, ...share(loaded, total) });
  }

  ready() {
    this.#loading({ status: "ready", name: this.name });
    this.over = true;
  }
}

/** One file's events. */
class FileTold {
  /** @param {string} file @param {number} total
   * @param {(status: FileProgress["status"], loaded: number, cached: boolean, total: number) => void} say */
  constructor(file, total, say) {
    this.file = file;
    this.total = total;
    this.say = say;
    this.loaded = 0;
    this.told = 0;
    this.begun = false;
  }

  /** @param {number} bytes more than before; fewer where they must be had again */
  add(bytes) {
    if (!this.begun) this.say("download", 0, false, this.total);
    this.begun = true;
    this.loaded += bytes;
    if (Math.abs(this.loaded - this.told) * 100 < this.total && this.loaded < this.total) return;
    this.told = this.loaded;
    this.say("progress", this.loaded, false, Math.max(this.total, this.loaded));
  }

  /** @param {number} bytes of the file @param {boolean} cached */
  done(bytes, cached) {
    this.say("done", bytes, cached, bytes);
  }
}
