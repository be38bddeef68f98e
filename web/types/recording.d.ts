export type Prepared = {
    pipeline: GPUComputePipeline;
    group: GPUBindGroup;
    x: number;
    y: number;
    z: number;
    cost: number;
};
/** Dispatches with their bind groups, built once. */
export declare class Recording {
    steps: Prepared[];
    cost: number;
    /** How much slower than estimated a replay was; 1 until one was timed. */
    scale: number;
    /** @type {number[]} */
    ends: number[];
    /** @param {Prepared[]} steps */
    constructor(steps: Prepared[]);
    /** Where each submission ends. */
    cut(): void;
    /** Learn from a replay that took `ms`. @param {number} ms */
    timed(ms: number): void;
}
