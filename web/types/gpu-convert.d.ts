export type Type = import("./tensor.js").Type;
export type Storage = import("./tensor.js").Storage;
export type Device = import("./device.js").Device;
export type Pipeline = import("./device.js").Pipeline;
export type Pack = import("./manifest.js").Pack;
export type Port = import("./manifest.js").Port;
export type At = {
    buffer: GPUBuffer;
    offset: number;
};
export type Layout = {
    bytes: number;
    kind: "half" | "float" | "bool" | "signed" | "unsigned";
};
/** Bytes of an element as ONNX has it. @type {Record<Type, number>} */
export declare const BYTES: Record<Type, number>;
/** The ways between the two layouts for a pack's inputs and outputs, on one device. */
export declare class Convert {
    #private;
    pack: import("./manifest.js").Pack;
    device: import("./device.js").Device;
    /** @type {Map<string, Pipeline>} */
    pipelines: Map<string, Pipeline>;
    /** @type {Map<Port, Way>} */
    ways: Map<Port, Way>;
    /** A word for every input, which isn't zero once a value was out of range. */
    outside: {
        buffer: GPUBuffer;
        offset: number;
        size: number;
    };
    /** @param {Pack} pack @param {Device} device */
    constructor(pack: Pack, device: Device);
    /** From a feed to what kernels read. @param {number} index of the input @returns {Way} */
    into(index: number): Way;
    /** From what kernels wrote to the caller's buffer. @param {Port} port @returns {Way} */
    outOf(port: Port): Way;
    /** @param {readonly Way[]} ways */
    compile(ways: readonly Way[]): Promise<void>;
    /** @param {GPUCommandEncoder} encoder */
    clear(encoder: GPUCommandEncoder): void;
    /** Why this device can't use a buffer; null where it can. @param {GPUBuffer} buffer
     * @returns {Promise<string | null>} */
    refusal(buffer: GPUBuffer): Promise<string | null>;
}
/** From one layout to the other. */
declare class Way {
    #private;
    convert: Convert;
    from: Layout;
    to: Layout;
    low: number;
    high: number;
    checks: boolean;
    index: number;
    /** Whether elements lie there as they lie here. */
    same: boolean;
    name: string;
    /** @type {GPUBuffer | null} */
    params: GPUBuffer | null;
    /** @param {Convert} convert @param {Layout} from @param {Layout} to @param {number[]} bounds
     * @param {boolean} checks whether values may be out of their bounds @param {number} index of the input */
    constructor(convert: Convert, from: Layout, to: Layout, [low, high]: number[], checks: boolean, index: number);
    /** @param {GPUCommandEncoder} encoder @param {At} source @param {At} target
     * @param {number} length elements */
    encode(encoder: GPUCommandEncoder, source: At, target: At, length: number): void;
}
export {};
