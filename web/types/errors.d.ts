/** Base of all errors that webrt throws on purpose. A message is one line. */
export declare class WebrtError extends Error {
    /** A stable identifier for programs: `ERR_WEBRT_PACK`, … */
    code: string;
    /** @param {string} message @param {ErrorOptions} [options] */
    constructor(message: string, options?: ErrorOptions);
    static className: string;
    static code: string;
}
/** Shapes or dtypes that don't fit together. */
export declare class ShapeError extends WebrtError {
    static className: string;
    static code: string;
}
/** The pack is incomplete, altered or written by another version. */
export declare class PackError extends WebrtError {
    static className: string;
    static code: string;
}
/** The device can't be had or can't do what was asked. */
export declare class DeviceError extends WebrtError {
    static className: string;
    static code: string;
}
/** The device's compiler refused a kernel. */
export declare class CompileError extends DeviceError {
    static className: string;
    static code: string;
}
/** The device went away while a session was using it. */
export declare class DeviceLostError extends DeviceError {
    static className: string;
    static code: string;
}
/** Records of tuning that aren't any, or can't be had. */
export declare class RecordsError extends WebrtError {
    static className: string;
    static code: string;
}
/** Arguments that make no sense together. */
export declare class UsageError extends WebrtError {
    static className: string;
    static code: string;
}
/** The message of anything that was thrown. @param {unknown} error @returns {string} */
export declare function messageOf(error: unknown): string;
