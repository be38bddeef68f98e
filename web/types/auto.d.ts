export type Pack = import("./manifest.js").Pack;
export type Device = import("./protocol.js").Device;
export type Loaded = import("./load.js").Loaded;
export type Feeds = import("./bind.js").Feeds;
export type Origin = import("./recover.js").Origin;
export type Times = {
    webgpu: number;
    wasm: number;
};
export type Session = {
    between: <T>(work: () => Promise<T>) => Promise<T>;
    serving: () => Pick<Loaded, "pack" | "shapes" | "device"> | null;
    move: (loaded: Loaded) => void;
    told: (reason: string | undefined) => void;
};
/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./load.js").Loaded} Loaded */
/** @typedef {import("./bind.js").Feeds} Feeds */
/** @typedef {import("./recover.js").Origin} Origin */
/** Milliseconds of a run. @typedef {{webgpu: number, wasm: number}} Times */
/** What the session lets a comparison do: run a piece of work between two runs, say what it serves
 * with, move, and say why it stays. @typedef {{between: <T>(work: () => Promise<T>) => Promise<T>,
 *   serving: () => Pick<Loaded, "pack" | "shapes" | "device"> | null,
 *   move: (loaded: Loaded) => void, told: (reason: string | undefined) => void}} Session */
/** What a GPU is called that wasn't compared yet. */
export declare const UNKNOWN = "auto: a GPU, which is compared with the CPU after the first answer";
/** The device that was faster, where that is known; else the GPU.
 * @param {Device} gpu @param {Pack} pack @param {import("./session.js").Options} options
 * @returns {Promise<Device>} */
export declare function better(gpu: Device, pack: Pack, options: import("./session.js").Options): Promise<Device>;
/** A session's pack on its GPU and on the CPU. */
export declare class Comparison {
    #private;
    origin: import("./recover.js").Origin;
    session: Session;
    files: import("./fetch.js").Files;
    /** @type {Promise<void> | null} */
    running: Promise<void> | null;
    over: boolean;
    /** The times, or null where there was nothing to compare. @type {Promise<Times | null>} */
    done: Promise<Times | null>;
    tell: (value: PromiseLike<Times | null> | Times | null) => void;
    /** @param {Origin} origin @param {Session} session */
    constructor(origin: Origin, session: Session);
    /** A run is asked for: what to do once it is over, if anything. @param {Feeds} feeds
     * @returns {(() => void) | null} */
    after(feeds: Feeds): (() => void) | null;
    /** Compare at the sizes that the page tunes for. */
    now(): Promise<void>;
    /** The session is released. */
    stop(): Promise<void>;
}
