/** Throws a UsageError for outputs in GPU buffers where there is no GPU.
 * @param {import("./session.js").Options} options @param {import("./protocol.js").Device} device */
export declare function checkDevice({ preferredOutputLocation }: import("./session.js").Options, { info }: import("./protocol.js").Device): void;
/** Throws a UsageError for locations that there aren't, or not in a worker.
 * @param {import("./session.js").Options} options */
export declare function checkOutputs({ preferredOutputLocation: location, worker }: import("./session.js").Options): void;
