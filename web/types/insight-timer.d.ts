export type AnyDevice = import("./protocol.js").Device;
export type Turn = import("./insight-steps.js").Turn;
export type GpuDevice = import("./device.js").Device;
export type ClockName = "timestamps" | "replays";
/** @typedef {"timestamps" | "replays"} ClockName */
/** Milliseconds of dispatches. */
export declare class Timer {
    #private;
    device: import("./protocol.js").Device;
    empty: number;
    gpu: Timestamps | null;
    /** @param {AnyDevice} device */
    constructor(device: AnyDevice);
    /** @returns {ClockName} */
    get clock(): ClockName;
    /** Milliseconds of one dispatch: the median of `runs` passes of as many as fill one.
     * @param {Turn} turn @param {number} runs @returns {Promise<number>} */
    dispatch({ dispatch, uniform }: Turn, runs: number): Promise<number>;
    /** Give back what it took. */
    close(): void;
}
/** Two timestamps around a pass. */
declare class Timestamps {
    device: import("./device.js").Device;
    queries: GPUQuerySet;
    resolved: GPUBuffer;
    read: GPUBuffer;
    /** @param {GpuDevice} device */
    constructor(device: GpuDevice);
    /** @param {import("./recording.js").Recording} recording @param {number} times
     * @returns {Promise<number>} */
    time({ steps }: import("./recording.js").Recording, times: number): Promise<number>;
    close(): void;
}
/** @param {number[]} values */
export declare function median(values: number[]): number;
export {};
