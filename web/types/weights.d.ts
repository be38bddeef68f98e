export type Pack = import("./manifest.js").Pack;
export type Device = import("./protocol.js").Device;
export type DeviceInfo = import("./protocol.js").DeviceInfo;
export type Buffer = import("./protocol.js").Buffer;
export type Slice = import("./protocol.js").Slice;
export type Kernels = import("./kernels.js").Kernels;
export type Constant = {
    index: number;
    from: number;
    bytes: number;
    held: number;
};
export type Packing = {
    pipeline: object;
    units: number;
    bytes: number;
};
export type Needs = {
    direct: readonly number[];
    packed: readonly (Packing & {
        tensor: number;
        name: string;
    })[];
};
export type Uses = {
    direct: Set<number>;
    packers: Map<number, Set<number | string>>;
};
/** What a tensor of `size` bytes is bound as: whole vec4s, and never nothing. @param {number} size */
export declare const bindingSize: (size: number) => number;
/** @param {number} size */
export declare const aligned: (size: number) => number;
/** Throws a DeviceError where all buffers together are more than the device has.
 * @param {number} size @param {string} what @param {DeviceInfo} info */
export declare function checkTotal(size: number, what: string, { adapter, limits }: DeviceInfo): void;
/** Begin with the first shards: whatever the device will be, it needs them. Settles when they are there.
 * @param {Pack} pack @param {import("./fetch.js").Files} files @returns {Promise<unknown>} */
export declare function beginWeights(pack: Pack, files: import("./fetch.js").Files): Promise<unknown>;
/** Slices of the constants: as they stand in the pack, or as a packer laid them out. */
export declare class Weights {
    #private;
    pack: import("./manifest.js").Pack;
    device: import("./protocol.js").Device;
    /** Constants that are read as they are. */
    direct: Set<number>;
    /** The packers of each constant. */
    packers: Map<number, Set<string | number>>;
    /** @type {Map<string, Slice>} by tensor and packer */
    slices: Map<string, Slice>;
    /** @type {Map<string, Packing>} of tuned kernels, by name */
    tuned: Map<string, Packing>;
    /** Bytes that stay on the device. */
    total: number;
    /** Bytes on the device while they are laid out. */
    peak: number;
    /** @param {Pack} pack @param {Device} device */
    constructor(pack: Pack, device: Device);
    /** What a step reads of a constant. @param {number} tensor @param {number | string} [packer]
     * @returns {Slice} */
    of(tensor: number, packer?: number | string): Slice;
    /**
     * Fetch every shard and put it on the device, once the kernels that lay it out are there.
     * @param {import("./fetch.js").Files} files @param {Promise<Kernels>} kernels
     */
    load(files: import("./fetch.js").Files, kernels: Promise<Kernels>): Promise<void>;
    /** Fetch a shard and put constants of it on the device.
     * @param {import("./fetch.js").Files} files @param {number} index of the shard
     * @param {Promise<Kernels> | null} kernels @param {Uses} [uses] those that are read so, else all */
    read(files: import("./fetch.js").Files, index: number, kernels: Promise<Kernels> | null, uses?: Uses): Promise<void>;
}
/** The name of a slice. @param {number} tensor @param {number | string} [packer] */
export declare const keyOf: (tensor: number, packer?: number | string) => string;
