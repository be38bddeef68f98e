import { Records, Store } from "./records.js";
import { Trials, Turns } from "./tune-trials.js";
export type Pack = import("./manifest.js").Pack;
export type Device = import("./protocol.js").Device;
export type Shapes = import("./bound.js").Shapes;
export type Weights = import("./weights.js").Weights;
export type Bindings = import("./dims.js").Bindings;
export type TuneRecord = import("./records.js").TuneRecord;
export type Outcome = import("./records.js").Outcome;
export type Tuned = import("./tune-swap.js").Tuned;
export type Heard = import("./tune-trials.js").Heard;
export type TuneOptions = import("./tune-options.js").TuneOptions;
export type TuneProgress = import("./tune-options.js").TuneProgress;
export type Session = {
    shapes: Pick<Shapes, "install">;
    between: (work: () => void) => Promise<void>;
    swapped: () => void;
};
/** The tuning of one session. */
export declare class Tuning {
    #private;
    pack: import("./manifest.js").Pack;
    files: import("./fetch.js").Files;
    options: import("./tune-options.js").TuneOptions & import("./devices.js").DeviceOptions & {
        signal?: AbortSignal;
    };
    report: (progress: TuneProgress) => void;
    turns: Turns;
    known: Records;
    /** @type {Set<string>} ids of the records that a server gave */
    shipped: Set<string>;
    /** @type {Store | null} */
    store: Store | null;
    device: string;
    /** @type {Map<string, number[]>} */
    problems: Map<string, number[]>;
    /** @type {Map<string, Tuned & {ms: number}>} what serves, by problem and dims */
    serving: Map<string, Tuned & {
        ms: number;
    }>;
    /** @type {Map<number, TuneRecord>} what was found and isn't served yet, by problem */
    found: Map<number, TuneRecord>;
    /** @type {Promise<unknown>} */
    swaps: Promise<unknown>;
    /** @type {Trials | null} */
    trials: Trials | null;
    counts: {
        trials: number;
        rejected: number;
        begun: number;
    };
    /** @type {Bindings} */
    dims: Bindings;
    /** @type {"idle" | "waiting" | "begun" | "over"} */
    state: "idle" | "waiting" | "begun" | "over";
    asked: number;
    /** @type {number | undefined} when the first trial could begin */
    opened: number | undefined;
    /** Whether tuning in the background waits: the session may move to another device (auto.js). */
    held: boolean;
    /** Whether the GPU stopped answering. */
    gpuGone: boolean;
    /** Settles when tuning has ended. @type {Promise<Outcome | null>} */
    done: Promise<Outcome | null>;
    end: (value: import("./records.js").Outcome | PromiseLike<import("./records.js").Outcome | null> | null) => void;
    gpu: import("./protocol.js").Device | undefined;
    weights: import("./weights.js").Weights | undefined;
    session: Session | undefined;
    timer: number | undefined;
    /** @param {Pack} pack @param {import("./fetch.js").Files} files
     * @param {TuneOptions & import("./devices.js").DeviceOptions & {signal?: AbortSignal}} options
     * @param {(progress: TuneProgress) => void} report */
    constructor(pack: Pack, files: import("./fetch.js").Files, options: TuneOptions & import("./devices.js").DeviceOptions & {
        signal?: AbortSignal;
    }, report: (progress: TuneProgress) => void);
    /**
     * Find what is known of `device` and compile it; before the weights are loaded, so that they are
     * laid out for it at once. What can't be used is reported and left alone.
     * @param {Device} device @param {Weights} weights
     */
    serveKnown(device: Device, weights: Weights): Promise<void>;
    /** The record of the kernel that serves a problem at these dims, and whose it is.
     * @param {number} problem @param {Bindings} dims @returns {{best: import("./records.js").Trial | null,
     *   default: number, from: string} | null} */
    servedBy(problem: number, dims: Bindings): {
        best: import("./records.js").Trial | null;
        default: number;
        from: string;
    } | null;
    /** Bring what is known to its speed. */
    warm(): Promise<void>;
    /** The session is there: what is known serves it, and tuning may begin. @param {Session} session */
    attach(session: Session): void;
    /** Whether trials have begun: they may take the page's device with them. */
    tried(): boolean;
    /** A run is asked for. */
    enter(): void;
    /** A run is over; tuning in the background begins once none follows. @param {Bindings} bindings */
    leave(bindings: Bindings): void;
    /** Tuning needn't wait any more: the session stays on its device, where it ran on `feeds`.
     * @param {import("./bind.js").Feeds} feeds */
    release(feeds: import("./bind.js").Feeds): void;
    /** Stop trying; what serves stays. */
    stop(): void;
}
