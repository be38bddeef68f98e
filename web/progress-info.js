// What a page is told while a session is made: the events that Hugging Face's transformers.js has for a
// pipeline's files, and `compile`, `recover` and `tune`. Types only: nothing of it is loaded.

/** How far a file is, or all kernels; `progress` is a share of 100.
 * @typedef {{loaded: number, total: number, progress: number}} Share */
/** `initiate`: a file will be needed; `download`: it comes over the network; `progress`; `done`:
 * it is there and verified. `name` is the pack's URL; `cached` tells files that no network was needed for.
 * @typedef {{status: "initiate" | "download" | "progress" | "done", name: string, file: string,
 *   cached: boolean} & Share} FileProgress */
/** Kernels compiled, of all. @typedef {{status: "compile", name: string} & Share} CompileProgress */
/** The session is there: no file is needed any more. @typedef {{status: "ready", name: string}} Ready */
/** What `onProgress` is told.
 * @typedef {FileProgress | CompileProgress | Ready | import("./recover.js").RecoverProgress |
 *   import("./tune-options.js").TuneProgress} ProgressInfo */
/** @typedef {(progress: ProgressInfo) => void} OnProgress */

export {};
