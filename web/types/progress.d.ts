export type ProgressInfo = import("./progress-info.js").ProgressInfo;
export type FileProgress = import("./progress-info.js").FileProgress;
export type CompileProgress = import("./progress-info.js").CompileProgress;
export type OnProgress = import("./progress-info.js").OnProgress;
/** Tells `onProgress` of one session's loading. */
export declare class Progress {
    #private;
    name: string;
    tell: import("./progress-info.js").OnProgress | undefined;
    /** Whether the session is there, or will never be. */
    over: boolean;
    /** @type {Set<string>} files that were announced */
    files: Set<string>;
    /** @param {string} name @param {OnProgress} [tell] */
    constructor(name: string, tell?: OnProgress);
    /** What the page's handler throws is the page's affair: it is reported, and loading goes on.
     * @param {ProgressInfo} info */
    say(info: ProgressInfo): void;
    /** Files that will be needed. @param {readonly {file: string, bytes: number}[]} files */
    initiate(files: readonly {
        file: string;
        bytes: number;
    }[]): void;
    /** A file that is on its way: `add` more bytes, or fewer where they must be had again, until it is
     * `done`. @param {string} file @param {number} total bytes; 0 if not known */
    file(file: string, total: number): {
        add: (/** @type {number} */ bytes: number) => void;
        done: (/** @type {number} */ bytes: number, /** @type {boolean} */ cached: boolean) => void;
    };
    /** @param {number} loaded @param {number} total of kernels */
    compile(loaded: number, total: number): void;
    ready(): void;
}
