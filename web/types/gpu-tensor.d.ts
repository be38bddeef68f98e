import { Convert } from "./gpu-convert.js";
import { Tensor } from "./tensor.js";
export type Type = import("./tensor.js").Type;
export type TypedArray = import("./tensor.js").TypedArray;
export type Device = import("./device.js").Device;
export type Pack = import("./manifest.js").Pack;
export type Port = import("./manifest.js").Port;
export type Slice = {
    buffer: GPUBuffer;
    offset: number;
    size: number;
};
export type Place = (tensor: number) => any;
export type Kept = {
    port: Port;
    given: Tensor | null;
};
/** What a session needs for such tensors, on its device. */
export declare class GpuPorts {
    pack: import("./manifest.js").Pack;
    device: import("./device.js").Device;
    convert: Convert;
    /** The same as before, while the device is. @param {GpuPorts | null} before @param {Pack} pack
     * @param {import("./protocol.js").Device} device @returns {GpuPorts} */
    static of(before: GpuPorts | null, pack: Pack, device: import("./protocol.js").Device): GpuPorts;
    /** @param {Pack} pack @param {Device} device */
    constructor(pack: Pack, device: Device);
    /** Ready for one run. @param {(Tensor | Uint8Array<ArrayBuffer>)[]} data of the inputs
     * @param {readonly Port[]} outputs in the order of the fetches
     * @param {import("./ort-types.js").Asked} asked
     * @param {import("./ort-types.js").OutputLocation} [location] @returns {Promise<GpuRun>} */
    begin(data: (Tensor | Uint8Array<ArrayBuffer>)[], outputs: readonly Port[], asked: import("./ort-types.js").Asked, location?: import("./ort-types.js").OutputLocation): Promise<GpuRun>;
}
/** One run's tensors on the GPU. */
export declare class GpuRun {
    #private;
    ports: GpuPorts;
    uploads: (Uint8Array<ArrayBuffer> | null)[];
    device: import("./device.js").Device;
    feeds: (Tensor<import("./tensor.js").Type> | null)[];
    outputs: readonly import("./manifest.js").Port[];
    kept: ReadonlyMap<string, Kept>;
    /** @type {Map<string, Tensor>} outputs that stay on the GPU, once they are there */
    tensors: Map<string, Tensor>;
    /** Whether kernels may use tensors of this run where they are. A cache's length is another one in each
     * run; where shapes stay, one recording serves all runs, which copy. */
    lends: boolean;
    /** @param {GpuPorts} ports @param {(Tensor | null)[]} feeds null where they come from the CPU
     * @param {(Uint8Array<ArrayBuffer> | null)[]} uploads those that do @param {readonly Port[]} outputs
     * @param {ReadonlyMap<string, Kept>} kept by name */
    constructor(ports: GpuPorts, feeds: (Tensor | null)[], uploads: (Uint8Array<ArrayBuffer> | null)[], outputs: readonly Port[], kept: ReadonlyMap<string, Kept>);
    /** Buffers in which kernels read feeds, and write outputs that stay on the GPU: those that lie there
     * as kernels have them. What the caller gave for a result may be a feed too: it is copied into; what is
     * fed twice is copied once: a kernel that reads both may not bind one buffer twice.
     * @param {{sizes: readonly number[], dims: Map<string, number[]>}} layout
     * @returns {Map<number, GPUBuffer>} by the plan's tensors */
    lend({ sizes, dims }: {
        sizes: readonly number[];
        dims: Map<string, number[]>;
    }): Map<number, GPUBuffer>;
    /** Put the feeds where kernels read them. @param {Place} place */
    feed(place: Place): void;
    /** Once the kernels are queued: the outputs that stay on the GPU, and the bytes of the others.
     * @param {Place} place @param {Map<string, number[]>} dims @returns {Promise<ArrayBuffer[]>} */
    take(place: Place, dims: Map<string, number[]>): Promise<ArrayBuffer[]>;
    /** What the run failed with, in the caller's terms; nothing that it made stays.
     * @param {unknown} error @returns {Promise<unknown>} */
    failed(error: unknown): Promise<unknown>;
}
