export type Tensor = import("./tensor.js").Tensor;
export type TypedArray = import("./tensor.js").TypedArray;
export type Type = import("./tensor.js").Type;
export type DataTypeMap = {
    float32: Float32Array<ArrayBuffer>;
    float64: Float64Array<ArrayBuffer>;
    float16: Uint16Array<ArrayBuffer>;
    int64: BigInt64Array<ArrayBuffer>;
    uint64: BigUint64Array<ArrayBuffer>;
    int32: Int32Array<ArrayBuffer>;
    uint32: Uint32Array<ArrayBuffer>;
    int16: Int16Array<ArrayBuffer>;
    uint16: Uint16Array<ArrayBuffer>;
    int8: Int8Array<ArrayBuffer>;
    uint8: Uint8Array<ArrayBuffer>;
    bool: Uint8Array<ArrayBuffer>;
};
export type Fetches = Readonly<Record<string, Tensor | null>>;
export type Asked = Map<string, Tensor | null>;
export type RunOptions = {
    signal?: AbortSignal;
    logSeverityLevel?: number;
    logVerbosityLevel?: number;
    terminate?: boolean;
    tag?: string;
    extra?: Record<string, unknown>;
};
export type OutputLocation = "cpu" | "gpu-buffer" | Readonly<Record<string, "cpu" | "gpu-buffer">>;
export type Location = "cpu" | "gpu-buffer" | "none";
export type GpuBufferOptions<T extends Type = Type> = {
    dataType?: T;
    dims: readonly number[];
    download?: () => Promise<DataTypeMap[T]>;
    dispose?: () => void;
};
export type ImageOptions = {
    format?: "RGB" | "RGBA" | "BGR" | "RBG";
    tensorLayout?: "NCHW" | "NHWC";
    norm?: {
        mean?: number | readonly number[];
        bias?: number | readonly number[];
    };
};
export type FromImageOptions = Omit<ImageOptions, "format"> & {
    tensorFormat?: ImageOptions["format"];
    dataType?: "float32" | "uint8";
    resizedWidth?: number;
    resizedHeight?: number;
    width?: number;
    height?: number;
};
export type ImageSource = CanvasImageSource | ImageData | string;
export type Provider = {
    name: string;
    device?: any;
    [more: string]: unknown;
};
export type OrtOptions = {
    graphOptimizationLevel?: "disabled" | "basic" | "extended" | "layout" | "all";
    executionMode?: "sequential" | "parallel";
    intraOpNumThreads?: number;
    interOpNumThreads?: number;
    enableCpuMemArena?: boolean;
    enableMemPattern?: boolean;
    enableGraphCapture?: boolean;
    enableProfiling?: boolean;
    profileFilePrefix?: string;
    optimizedModelFilePath?: string;
    logId?: string;
    logSeverityLevel?: number;
    logVerbosityLevel?: number;
    freeDimensionOverrides?: Readonly<Record<string, number>>;
    externalData?: readonly unknown[];
    extra?: Record<string, unknown>;
};
export type WasmFlags = {
    numThreads?: number;
    proxy?: boolean;
    simd?: boolean | "fixed" | "relaxed";
    wasmPaths?: string | {
        wasm?: string | URL;
        mjs?: string | URL;
    };
    wasmBinary?: ArrayBufferLike | Uint8Array;
    initTimeout?: number;
    trace?: boolean;
};
export type WebGpuFlags = {
    powerPreference?: GPUPowerPreference;
    forceFallbackAdapter?: boolean;
    get device(): Promise<GPUDevice>;
    set device(gpuDevice: any);
    profilingMode?: "off" | "default";
    validateInputContent?: boolean;
    profiling?: {
        mode?: "off" | "default";
        ondata?: (data: any) => void;
    };
};
export type Env = {
    logLevel?: "verbose" | "info" | "warning" | "error" | "fatal";
    debug?: boolean;
    trace?: boolean;
    readonly versions: {
        readonly common: string;
        readonly web: string;
    };
    readonly wasm: WasmFlags;
    readonly webgl: Record<string, unknown>;
    readonly webgpu: WebGpuFlags;
};
/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./tensor.js").TypedArray} TypedArray */
/** @typedef {import("./tensor.js").Type} Type */
/** The array of each type; a float16 tensor has a Float16Array where the engine has those.
 * @typedef {{float32: Float32Array<ArrayBuffer>, float64: Float64Array<ArrayBuffer>,
 *   float16: Uint16Array<ArrayBuffer>, int64: BigInt64Array<ArrayBuffer>,
 *   uint64: BigUint64Array<ArrayBuffer>, int32: Int32Array<ArrayBuffer>,
 *   uint32: Uint32Array<ArrayBuffer>, int16: Int16Array<ArrayBuffer>,
 *   uint16: Uint16Array<ArrayBuffer>, int8: Int8Array<ArrayBuffer>, uint8: Uint8Array<ArrayBuffer>,
 *   bool: Uint8Array<ArrayBuffer>}} DataTypeMap */
/** Outputs by name: null, or a tensor that the result goes into.
 * @typedef {Readonly<Record<string, Tensor | null>>} Fetches */
/** What a run makes, in order: null, or a tensor for the result.
 * @typedef {Map<string, Tensor | null>} Asked */
/** `signal` ends the wait; a run that hasn't begun never does then. The others are accepted, and
 * without effect.
 * @typedef {{signal?: AbortSignal, logSeverityLevel?: number, logVerbosityLevel?: number,
 *   terminate?: boolean, tag?: string, extra?: Record<string, unknown>}} RunOptions */
/** Where outputs stay: all of them, or those that are named.
 * @typedef {"cpu" | "gpu-buffer" | Readonly<Record<string, "cpu" | "gpu-buffer">>} OutputLocation */
/** Where a tensor's data are: nowhere once it was disposed of.
 * @typedef {"cpu" | "gpu-buffer" | "none"} Location */
/** `download` fetches the data for `getData`, `dispose` gives the buffer back; without them the
 * tensor has no data for the CPU, and the buffer stays the caller's.
 * @template {Type} [T=Type]
 * @typedef {{dataType?: T, dims: readonly number[], download?: () => Promise<DataTypeMap[T]>,
 *   dispose?: () => void}} GpuBufferOptions */
/** How pixels lie in a tensor: the order of its channels and of its dims; `norm` has one number for
 * all colours, or one for each, in the order of a pixel.
 * @typedef {{format?: "RGB" | "RGBA" | "BGR" | "RBG", tensorLayout?: "NCHW" | "NHWC",
 *   norm?: {mean?: number | readonly number[], bias?: number | readonly number[]}}} ImageOptions */
/** `resizedWidth` and `resizedHeight` scale the image.
 * @typedef {Omit<ImageOptions, "format"> & {tensorFormat?: ImageOptions["format"],
 *   dataType?: "float32" | "uint8", resizedWidth?: number, resizedHeight?: number,
 *   width?: number, height?: number}} FromImageOptions */
/** Anything that a canvas can draw, pixels, or a URL.
 * @typedef {CanvasImageSource | ImageData | string} ImageSource */
/** `device` is the page's own GPUDevice; the rest is accepted, and without effect.
 * @typedef {{name: string, device?: any, [more: string]: unknown}} Provider */
/** Options of a session that have nothing to do here: accepted, and without effect.
 * @typedef {{graphOptimizationLevel?: "disabled" | "basic" | "extended" | "layout" | "all",
 *   executionMode?: "sequential" | "parallel", intraOpNumThreads?: number, interOpNumThreads?: number,
 *   enableCpuMemArena?: boolean, enableMemPattern?: boolean, enableGraphCapture?: boolean,
 *   enableProfiling?: boolean, profileFilePrefix?: string, optimizedModelFilePath?: string,
 *   logId?: string, logSeverityLevel?: number, logVerbosityLevel?: number,
 *   freeDimensionOverrides?: Readonly<Record<string, number>>, externalData?: readonly unknown[],
 *   extra?: Record<string, unknown>}} OrtOptions */
/** `numThreads`: of sessions that don't say `threads`; 0 is the browser's cores. `proxy`: sessions run
 * in a worker (option `worker`). The others are without effect.
 * @typedef {{numThreads?: number, proxy?: boolean, simd?: boolean | "fixed" | "relaxed",
 *   wasmPaths?: string | {wasm?: string | URL, mjs?: string | URL},
 *   wasmBinary?: ArrayBufferLike | Uint8Array, initTimeout?: number, trace?: boolean}} WasmFlags */
/** `device` is the page's GPUDevice, which sessions share that are made after it was asked for or
 * set, and those with outputs in GPU buffers: their tensors fit one another. `release()` leaves it
 * as it is. Profiling and validation are without effect.
 * @typedef {{powerPreference?: GPUPowerPreference, forceFallbackAdapter?: boolean,
 *   get device(): Promise<GPUDevice>, set device(gpuDevice: any),
 *   profilingMode?: "off" | "default", validateInputContent?: boolean,
 *   profiling?: {mode?: "off" | "default", ondata?: (data: any) => void}}} WebGpuFlags */
/** What a page sets once for all of its sessions: `wasm` and `webgpu`; the others are without effect.
 * @typedef {{logLevel?: "verbose" | "info" | "warning" | "error" | "fatal", debug?: boolean,
 *   trace?: boolean, readonly versions: {readonly common: string, readonly web: string},
 *   readonly wasm: WasmFlags, readonly webgl: Record<string, unknown>,
 *   readonly webgpu: WebGpuFlags}} Env */
export {};
