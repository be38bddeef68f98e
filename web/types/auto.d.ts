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
    stop: () => void;
    between: <T>(work: () => Promise<T>) => Promise<T>;
    serving: () => Pick<Loaded, "pack" | "shapes" | "device"> | null;
    move: (loaded: Loaded) => boolean;
};
/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./protocol.js").Device} Device */
/** @typedef {import("./load.js").Loaded} Loaded */
/** @typedef {import("./bind.js").Feeds} Feeds */
/** @typedef {import("./recover.js").Origin} Origin */
/** Milliseconds of a run. @typedef {{webgpu: number, wasm: number}} Times */
/** What the session lets a comparison do: run a piece of work between two runs, say what it serves
 * with, move, and have the comparison stopped. @typedef {{stop: () => void, between: <T>(work: () => Promise<T>) => Promise<T>,
 *   serving: () => Pick<Loaded, "pack" | "shapes" | "device"> | null,
 *   move: (loaded: Loaded) => boolean}} Session */
/** What a GPU is called that wasn't compared yet. */
export declare const UNKNOWN = "auto: a GPU, which is compared with the CPU after the first answer";
/** The device that was faster, where that is known; else the GPU.
 * @param {Device} gpu @param {Pack} pack @param {import("./session.js").Options} options
 * @returns {Promise<Device>} */
export declare function better(gpu: Device, pack: Pack, options: import("./session.js").Options): Promise<Device>;
/** A copy of a run's feeds, to run on again; null where they lie on the GPU.
 * @param {Feeds} feeds @returns {Feeds | null} */
export declare function copyOf(feeds: Feeds): Feeds | null;
/** Feeds at sizes that a page names, or at some that will do: zeros, or the least values there are.
 * @param {Pack} pack @param {Record<string, number>} [dims] @returns {Promise<Feeds>} */
export declare function exampleFeeds(pack: Pack, dims?: Record<string, number>): Promise<Feeds>;
/**
 * Time a session's pack on its GPU and on the CPU, and move it where the CPU is faster. Gives the times,
 * or null where there was nothing to compare.
 * @param {Session} session @param {Origin} origin @param {Feeds} feeds @returns {Promise<Times | null>}
 */
export declare function compare(session: Session, origin: Origin, feeds: Feeds): Promise<Times | null>;
