export declare const LIMITS: readonly ["maxBufferSize", "maxStorageBufferBindingSize", "maxStorageBuffersPerShaderStage", "maxComputeWorkgroupStorageSize", "maxComputeInvocationsPerWorkgroup", "maxComputeWorkgroupSizeX", "maxComputeWorkgroupSizeY", "maxComputeWorkgroupSizeZ", "maxComputeWorkgroupsPerDimension", "minStorageBufferOffsetAlignment"];
/** @param {GPURequestAdapterOptions} [options]
 * @returns {Promise<{info: GPUAdapterInfo, gpu: GPUDevice}>} */
export declare function requestDevice({ powerPreference, forceFallbackAdapter }?: GPURequestAdapterOptions): Promise<{
    info: GPUAdapterInfo;
    gpu: GPUDevice;
}>;
