import { DeviceLostError } from "./errors.js";
import { Recording } from "./recording.js";
export type KernelCode = import("./protocol.js").KernelCode;
export type Pipeline = {
    pipeline: GPUComputePipeline;
    layout: GPUBindGroupLayout;
};
export type Slice = {
    buffer: GPUBuffer;
    offset: number;
    size: number;
};
export type Dispatch = {
    pipeline: Pipeline;
    slices: readonly Slice[];
    grid: readonly number[];
    cost: number;
};
/** One GPUDevice. Errors that WebGPU reports later reject the next read: never silent zeros. */
export declare class Device {
    #private;
    gpu: GPUDevice;
    owned: boolean;
    info: import("./protocol.js").DeviceInfo;
    /** @type {Map<string, {group: GPUBindGroupLayout, pipeline: GPUPipelineLayout}>} */
    layouts: Map<string, {
        group: GPUBindGroupLayout;
        pipeline: GPUPipelineLayout;
    }>;
    /** @type {GPUBuffer | null} a staging buffer that waits for the next read */
    staging: GPUBuffer | null;
    /** @type {Promise<GPUError | null>[]} what the next read has to look at */
    scopes: Promise<GPUError | null>[];
    /** @type {string | null} */
    failure: string | null;
    /** @type {{recording: Recording, start: number} | null} */
    replayed: {
        recording: Recording;
        start: number;
    } | null;
    /** Buffers that are not yet given back. @type {Set<GPUBuffer>} */
    buffers: Set<GPUBuffer>;
    /** Who waits for the GPU. @type {Set<(error: DeviceLostError) => void>} */
    waiting: Set<(error: DeviceLostError) => void>;
    /** @type {DeviceLostError | null} */
    lostError: DeviceLostError | null;
    /** @param {GPUAdapterInfo | undefined} adapter @param {GPUDevice} gpu
     * @param {boolean} [owned] false: the page's, which goes on using it when this is closed */
    constructor(adapter: GPUAdapterInfo | undefined, gpu: GPUDevice, owned?: boolean);
    /**
     * The page's WebGPU device with all that the adapter has of what kernels may use, or `gpuDevice`,
     * which stays the page's.
     * @param {{powerPreference?: GPUPowerPreference, forceFallbackAdapter?: boolean,
     *   gpuDevice?: GPUDevice}} [options] @returns {Promise<Device>}
     */
    static open({ gpuDevice, powerPreference, forceFallbackAdapter }?: {
        powerPreference?: GPUPowerPreference;
        forceFallbackAdapter?: boolean;
        gpuDevice?: GPUDevice;
    }): Promise<Device>;
    /** Zeroed memory. @param {number} size @param {string} label @returns {GPUBuffer} */
    allocate(size: number, label: string): GPUBuffer;
    /** Queue a write; offset and length are multiples of 4.
     * @param {GPUBuffer} buffer @param {number} offset @param {Uint8Array<ArrayBuffer>} data */
    upload(buffer: GPUBuffer, offset: number, data: Uint8Array<ArrayBuffer>): void;
    /** Queue writes of parts of `data`, and wait until the GPU has taken them; gives `data`.
     * @param {Uint8Array<ArrayBuffer>} data
     * @param {readonly {buffer: GPUBuffer, offset: number, from: number, bytes: number}[]} parts */
    uploadParts(data: Uint8Array<ArrayBuffer>, parts: readonly {
        buffer: GPUBuffer;
        offset: number;
        from: number;
        bytes: number;
    }[]): Promise<Uint8Array<ArrayBuffer>>;
    /**
     * All kernels, concurrently; throws a CompileError that names the kernel.
     * @param {readonly KernelCode[]} kernels @param {(done: number, total: number) => void} [progress]
     * @returns {Promise<Pipeline[]>}
     */
    compile(kernels: readonly KernelCode[], progress?: (done: number, total: number) => void): Promise<Pipeline[]>;
    /**
     * Build the bind groups; `uniform` holds the symbols, as i32s, for every kernel.
     * @param {readonly Dispatch[]} dispatches @param {GPUBuffer} uniform @returns {Recording}
     */
    record(dispatches: readonly Dispatch[], uniform: GPUBuffer): Recording;
    /** Queue every dispatch in order; long recordings go as several submissions.
     * @param {Recording} recording */
    replay(recording: Recording): void;
    /** Nothing to give back: bind groups are garbage collected. @param {Recording} recording */
    discard(recording: Recording): void;
    /**
     * Replay, then read slices (offsets and sizes multiples of 4): one command buffer, one wait.
     * @param {Recording} recording @param {readonly Slice[]} requests
     * @returns {Promise<ArrayBuffer[]>}
     */
    replayAndRead(recording: Recording, requests: readonly Slice[]): Promise<ArrayBuffer[]>;
    /** Slices' bytes after all that was queued before, with a single wait.
     * @param {readonly Slice[]} requests @returns {Promise<ArrayBuffer[]>} */
    readMany(requests: readonly Slice[]): Promise<ArrayBuffer[]>;
    /** Queue what `work` puts in a command encoder. @param {(encoder: GPUCommandEncoder) => void} work */
    encode(work: (encoder: GPUCommandEncoder) => void): void;
    /** Wait until the GPU has taken what was queued so far; throws what it refused of it, once.
     * @param {string} [what] */
    settle(what?: string): Promise<void>;
    /** What is allocated, for people. @returns {{label: string, bytes: number}[]} */
    held(): {
        label: string;
        bytes: number;
    }[];
    /** @param {GPUBuffer} buffer */
    free(buffer: GPUBuffer): void;
    /** Give everything back; the device can't be used afterwards. */
    close(): void;
}
