export type Device = import("./protocol.js").Device;
export type DeviceOptions = {
    device?: string;
    executionProviders?: readonly (string | {
        name: string;
    })[];
    threads?: number;
    relaxedSimd?: boolean;
    worker?: string;
    powerPreference?: GPUPowerPreference;
};
/** The names that options ask for, in order; throws a DeviceError for one that there isn't.
 * @param {DeviceOptions} options @returns {string[]} */
export declare function deviceNames({ device, executionProviders }: DeviceOptions): string[];
/** The first device that can be had. @param {DeviceOptions} [options] @returns {Promise<Device>} */
export declare function openDevice(options?: DeviceOptions): Promise<Device>;
