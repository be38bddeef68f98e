export type Bindings = import("./dims.js").Bindings;
export type DeviceInfo = import("./protocol.js").DeviceInfo;
export type Packer = {
    name: string;
    units: number;
    scratch: number;
    reads: number;
    bytes: number;
};
export type GpuCode = {
    wgsl: string;
    grid: number[];
};
export type CpuCode = {
    module: string;
    units: number;
    scratch: number;
    packers: Packer[];
    panels: [number, number][];
};
export type Code = GpuCode | CpuCode;
export type Trial = {
    schedule: Record<string, unknown>;
    ms?: number;
    failed?: string;
    code?: Code;
};
export type TuneRecord = {
    device: string;
    codegen: string;
    problem: string;
    dims: Bindings;
    default: number;
    shape?: number[];
    trials: Trial[];
};
export type Outcome = {
    trials: number;
    rejected: number;
    seconds: number;
    beforeMs: number;
    afterMs: number;
};
/** @typedef {import("./dims.js").Bindings} Bindings */
/** @typedef {import("./protocol.js").DeviceInfo} DeviceInfo */
/** @typedef {{name: string, units: number, scratch: number, reads: number, bytes: number}} Packer */
/** @typedef {{wgsl: string, grid: number[]}} GpuCode */
/** @typedef {{module: string, units: number, scratch: number, packers: Packer[],
 *   panels: [number, number][]}} CpuCode */
/** @typedef {GpuCode | CpuCode} Code */
/** One schedule: milliseconds of a dispatch, or why it can't be used.
 * @typedef {{schedule: Record<string, unknown>, ms?: number, failed?: string, code?: Code}} Trial */
/** @typedef {{device: string, codegen: string, problem: string, dims: Bindings, default: number,
 *   shape?: number[], trials: Trial[]}} TuneRecord */
/** What tuning a pack at one shape came to. @typedef {{trials: number, rejected: number,
 *   seconds: number, beforeMs: number, afterMs: number}} Outcome */
/** The version of the code generator: webrt/version.py. */
export declare const CODEGEN = "0.1.0";
/** The device as records name it. @param {DeviceInfo} info @returns {Promise<string>} */
export declare function deviceKey({ kind, vendor, architecture, adapter, features, limits }: DeviceInfo): Promise<string>;
/** A problem by its family and a hash of its text. @param {string} text @returns {Promise<string>} */
export declare function problemKey(text: string): Promise<string>;
/** The model's symbols that a problem's text names. @param {string} text */
export declare const symbolsOf: (text: string) => string[];
/** The file of a device's records in a folder of records. @param {string} device */
export declare const fileOf: (device: string) => Promise<string>;
/** @param {Pick<TuneRecord, "device" | "codegen" | "problem" | "dims">} record */
export declare const idOf: ({ device, codegen, problem, dims }: Pick<TuneRecord, "device" | "codegen" | "problem" | "dims">) => string;
/** The fastest trial that worked. @param {TuneRecord} record @returns {Trial | null} */
export declare function bestOf({ trials }: TuneRecord): Trial | null;
/** A record with another's trials, the later ones in place of the same schedules' earlier ones; only
 * the best keeps its code. @param {TuneRecord | undefined} known @param {TuneRecord} more
 * @returns {TuneRecord} */
export declare function merge(known: TuneRecord | undefined, more: TuneRecord): TuneRecord;
/** Records by their ids. */
export declare class Records {
    /** @type {Map<string, TuneRecord>} */
    byId: Map<string, TuneRecord>;
    constructor();
    /** @param {TuneRecord} record @returns {TuneRecord} what is known now */
    add(record: TuneRecord): TuneRecord;
    /** @param {Pick<TuneRecord, "device" | "codegen" | "problem" | "dims">} key */
    get(key: Pick<TuneRecord, "device" | "codegen" | "problem" | "dims">): TuneRecord | undefined;
    /** The form of a file. @param {boolean} [code] */
    toJson(code?: boolean): {
        format: string;
        version: number;
        records: {
            device: string;
            codegen: string;
            problem: string;
            dims: Bindings;
            default: number;
            shape?: number[];
            trials: {
                schedule: Record<string, unknown>;
                ms?: number;
                failed?: string;
            }[];
        }[];
    };
}
/** The records that JSON holds, each checked; throws a RecordsError.
 * @param {unknown} data @param {string} where @returns {TuneRecord[]} */
export declare function readRecords(data: unknown, where: string): TuneRecord[];
/** Bytes of a module in base64. @param {string} text @returns {Uint8Array<ArrayBuffer>} */
export declare const bytesOf: (text: string) => Uint8Array<ArrayBuffer>;
/** The records that a URL serves for a device: a file (….json), or a folder with a file a device.
 * Throws a RecordsError. @param {URL} url @param {string} device @param {AbortSignal} signal */
export declare function fetchRecords(url: URL, device: string, signal: AbortSignal): Promise<TuneRecord[]>;
/** Send this page's own records to a server. @param {URL} url @param {Records} records */
export declare function postRecords(url: URL, records: Records): Promise<void>;
/** Records in this browser: IndexedDB of the page's origin. */
export declare class Store {
    database: IDBDatabase;
    /** @param {IDBDatabase} database */
    constructor(database: IDBDatabase);
    /** Null where the browser gives none. @returns {Promise<Store | null>} */
    static open(): Promise<Store | null>;
    /** What is known of a device. What isn't in form is left out. @param {string} device
     * @returns {Promise<TuneRecord[]>} */
    load(device: string): Promise<TuneRecord[]>;
    /** @param {TuneRecord} record */
    save(record: TuneRecord): Promise<void>;
    /** What tuning came to, where it has been done. @param {string} id
     * @returns {Promise<Outcome | null>} */
    outcome(id: string): Promise<Outcome | null>;
    /** @param {string} id @param {Outcome} outcome */
    finish(id: string, outcome: Outcome): Promise<void>;
}
