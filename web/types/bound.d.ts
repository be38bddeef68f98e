export type Pack = import("./manifest.js").Pack;
export type Device = import("./device.js").Device;
export type Pipeline = import("./device.js").Pipeline;
export type Slice = import("./device.js").Slice;
export type Bindings = import("./dims.js").Bindings;
export type Bound = {
    slices: Slice[];
    uniform: GPUBuffer;
    recording: ReturnType<Device["record"]>;
    dims: Map<string, number[]>;
};
/** What a tensor of `size` bytes is bound as: whole vec4s, and never nothing. @param {number} size */
export declare const bindingSize: (size: number) => number;
/** Every shape's recording, over memory that they share and that grows with the largest. */
export declare class Shapes {
    #private;
    pack: import("./manifest.js").Pack;
    device: import("./device.js").Device;
    pipelines: import("./device.js").Pipeline[];
    constants: Map<number, import("./device.js").Slice>;
    /** @type {Map<string, Bound>} by the symbols' values, least recently used first */
    known: Map<string, Bound>;
    /** @type {Map<number | "arena", GPUBuffer>} inputs and outputs by tensor, and the arena */
    buffers: Map<number | "arena", GPUBuffer>;
    /** @param {Pack} pack @param {Device} device @param {Pipeline[]} pipelines
     * @param {Map<number, Slice>} constants */
    constructor(pack: Pack, device: Device, pipelines: Pipeline[], constants: Map<number, Slice>);
    /** What these symbols' values need, made when they are first seen.
     * @param {Bindings} bindings @returns {Bound} */
    get(bindings: Bindings): Bound;
}
