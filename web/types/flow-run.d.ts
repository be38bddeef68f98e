export type Slice = import("./protocol.js").Slice;
export type Bindings = import("./dims.js").Bindings;
export type Dim = import("./dims.js").Dim;
export type Item = import("./flow-read.js").Item;
export type HostStep = import("./flow-read.js").HostStep;
export type Layout = import("./flow.js").Layout;
export type Made = import("./flow.js").Made;
export type Part = import("./flow.js").Part;
export type Stop = import("./flow.js").Stop;
export type Straight = import("./flow.js").Straight;
export type Arrays = import("./host.js").Results["arrays"];
/** One run: where everything lies, and what the symbols are, as it goes along. */
export declare class FlowRun {
    #private;
    observe: import("./insight-steps.js").Observe | null;
    shapes: import("./flow.js").FlowShapes;
    pack: import("./manifest.js").Pack;
    device: import("./protocol.js").Device;
    made: import("./flow.js").Made;
    /** @type {Map<number, Uint8Array<ArrayBuffer>>} */
    inputs: Map<number, Uint8Array<ArrayBuffer>>;
    /** @type {Bindings} */
    bindings: Bindings;
    /** @type {Map<number, number>} turns of loops */
    turns: Map<number, number>;
    /** @type {Map<number, number[]>} */
    dims: Map<number, number[]>;
    /** @type {Map<number, number>} */
    sizes: Map<number, number>;
    /** @type {Map<number, {epoch: number, offset: number}>} */
    places: Map<number, {
        epoch: number;
        offset: number;
    }>;
    /** @param {import("./flow.js").FlowShapes} shapes @param {Made} made
     * @param {(Uint8Array<ArrayBuffer> | null)[]} data of the inputs, where they come from the CPU
     * @param {import("./insight-steps.js").Observe | null} [observe] */
    constructor(shapes: import("./flow.js").FlowShapes, made: Made, data: (Uint8Array<ArrayBuffer> | null)[], observe?: import("./insight-steps.js").Observe | null);
    /** @param {Dim} dim @returns {number} */
    dim(dim: Dim): number;
    /** @param {readonly Dim[]} shape @returns {number[]} */
    shape(shape: readonly Dim[]): number[];
    /** Lay out an epoch's tensors, as soon as the symbols that it begins with have values.
     * @param {number} epoch @param {Bindings} bindings */
    enter(epoch: number, bindings: Bindings): void;
    /** What a step binds as a tensor. @param {number} index @param {number | string} [packer]
     * @returns {Slice} */
    place(index: number, packer?: number | string): Slice;
    /** @param {Part[]} parts */
    parts(parts: Part[]): Promise<void>;
}
