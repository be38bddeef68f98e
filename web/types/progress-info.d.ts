export type Share = {
    loaded: number;
    total: number;
    progress: number;
};
export type FileProgress = {
    status: "initiate" | "download" | "progress" | "done";
    name: string;
    file: string;
    cached: boolean;
} & Share;
export type CompileProgress = {
    status: "compile";
    name: string;
} & Share;
export type Ready = {
    status: "ready";
    name: string;
};
export type ProgressInfo = FileProgress | CompileProgress | Ready | import("./recover.js").RecoverProgress | import("./tune-options.js").TuneProgress;
export type OnProgress = (progress: ProgressInfo) => void;
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
