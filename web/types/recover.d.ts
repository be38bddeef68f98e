import { DeviceLostError } from "./errors.js";
export type DeviceInfo = import("./protocol.js").DeviceInfo;
export type Loaded = import("./load.js").Loaded;
export type Files = import("./fetch.js").Files;
export type Origin = {
    pack: import("./manifest.js").Pack;
    files: Files;
    tuning: import("./tune.js").Tuning | null;
    options: import("./session.js").Options;
};
export type RecoverProgress = {
    status: "recover";
    state: "lost" | "recovered" | "failed";
    name: string;
    device: string;
    recovered: number;
    reason: string;
};
/** Loading a pack once more. */
export declare class Recovery {
    #private;
    origin: Origin;
    files: import("./fetch.js").Files;
    stopped: boolean;
    /** @param {Origin} origin @param {Files} [files] to read; others are those of the session, which a
     *   signal of the page may have stopped */
    constructor(origin: Origin, files?: Files);
    /** Nobody wants it any more. */
    stop(): void;
    /**
     * The pack on a device of the lost one's kind, or on the next one that the page's options allow.
     * @param {DeviceLostError} lost @param {DeviceInfo & {recovered: number}} info of the lost device
     * @returns {Promise<Loaded>}
     */
    run(lost: DeviceLostError, info: DeviceInfo & {
        recovered: number;
    }): Promise<Loaded>;
}
