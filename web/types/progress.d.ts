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
/** Tells `onProgress` of one session's loading. */
export declare class Progress {
    #private;
    name: string;
    tell: OnProgress | undefined;
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
    /** A file that is on its way. @param {string} file @param {number} total bytes; 0 if not known */
    file(file: string, total: number): FileTold;
    /** @param {number} loaded @param {number} total of kernels */
    compile(loaded: number, total: number): void;
    ready(): void;
}
/** One file's events. */
declare class FileTold {
    file: string;
    total: number;
    say: (status: FileProgress["status"], loaded: number, cached: boolean, total: number) => void;
    loaded: number;
    told: number;
    begun: boolean;
    /** @param {string} file @param {number} total
     * @param {(status: FileProgress["status"], loaded: number, cached: boolean, total: number) => void} say */
    constructor(file: string, total: number, say: (status: FileProgress["status"], loaded: number, cached: boolean, total: number) => void);
    /** @param {number} bytes more than before; fewer where they must be had again */
    add(bytes: number): void;
    /** @param {number} bytes of the file @param {boolean} cached */
    done(bytes: number, cached: boolean): void;
}
export {};
