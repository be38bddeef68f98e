export type Device = import("./protocol.js").Device;
export type DeviceInfo = import("./protocol.js").DeviceInfo;
export type DeviceOptions = {
    device?: string;
    executionProviders?: readonly (string | import("./ort-types.js").Provider)[];
    threads?: number;
    relaxedSimd?: boolean;
    assets?: string | URL;
    powerPreference?: GPUPowerPreference;
    gpuDevice?: GPUDevice;
    preferredOutputLocation?: import("./ort-types.js").OutputLocation;
};
/** The names that options ask for, in order; throws a DeviceError for one that there isn't.
 * @param {DeviceOptions} options @returns {string[]} */
export declare function deviceNames({ device, executionProviders, gpuDevice, preferredOutputLocation }: DeviceOptions): string[];
/** The first device that can be had. `foresee` hears of a CPU before its workers are there.
 * @param {DeviceOptions} [options] @param {(info: DeviceInfo) => void} [foresee]
 * @returns {Promise<Device>} */
export declare function openDevice(options?: DeviceOptions, foresee?: (info: DeviceInfo) => void): Promise<Device>;
/** The reason of a GPU that `auto` has found, before it is compared with the CPU (auto.js). */
export declare const AUTO_GPU = "auto: a GPU";
