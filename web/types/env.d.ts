/** @type {import("./ort-types.js").Env} */
export declare const env: import("./ort-types.js").Env;
/** Options with what the page set for all sessions.
 * @template {import("./devices.js").DeviceOptions & {worker?: boolean}} T
 * @param {T} options @returns {T} */
export declare function withEnv<T extends import("./devices.js").DeviceOptions & {
    worker?: boolean;
}>(options: T): T;
/** The device that a session shares with the page; none where it has one of its own.
 * @param {import("./devices.js").DeviceOptions} options @returns {Promise<GPUDevice> | undefined} */
export declare const sharedDevice: ({ preferredOutputLocation }: import("./devices.js").DeviceOptions) => Promise<GPUDevice> | undefined;
