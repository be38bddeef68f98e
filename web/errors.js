// Every error that webrt throws on purpose, in one tree; the names are those of webrt/errors.py.

/** Base of all errors that webrt throws on purpose. A message is one line. */
export class WebrtError extends Error {
  /** @param {string} message @param {ErrorOptions} [options] */
  constructor(message, options) {
    super(message.replace(/\s*\n\s*/g, " "), options);
    this.name = new.target.className;
    /** A stable identifier for programs: `ERR_WEBRT_PACK`, … */
    this.code = new.target.code;
  }
  static className = "WebrtError";
  static code = "ERR_WEBRT";
}

/** Shapes or dtypes that don't fit together. */
export class ShapeError extends WebrtError {
  static className = "ShapeError";
  static code = "ERR_WEBRT_SHAPE";
}

/** The pack is incomplete, altered or written by another version. */
export class PackError extends WebrtError {
  static className = "PackError";
  static code = "ERR_WEBRT_PACK";
}

/** The device can't be had or can't do what was asked. */
export class DeviceError extends WebrtError {
  static className = "DeviceError";
  static code = "ERR_WEBRT_DEVICE";
}

/** The device's compiler refused a kernel. */
export class CompileError extends DeviceError {
  static className = "CompileError";
  static code = "ERR_WEBRT_COMPILE";
}

/** The device went away while a session was using it. */
export class DeviceLostError extends DeviceError {
  static className = "DeviceLostError";
  static code = "ERR_WEBRT_DEVICE_LOST";
}

/** Records of tuning that aren't any, or can't be had. */
export class RecordsError extends WebrtError {
  static className = "RecordsError";
  static code = "ERR_WEBRT_RECORDS";
}

/** Arguments that make no sense together. */
export class UsageError extends WebrtError {
  static className = "UsageError";
  static code = "ERR_WEBRT_USAGE";
}

/** The message of anything that was thrown. @param {unknown} error @returns {string} */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
