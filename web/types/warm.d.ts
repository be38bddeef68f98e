export type Pack = import("./manifest.js").Pack;
export type WasmDevice = import("./wasm.js").WasmDevice;
export type Pipeline = import("./wasm.js").Pipeline;
export type Kernels = import("./kernels.js").Kernels;
export type Bindings = import("./dims.js").Bindings;
export type Exercise = {
    pipeline: object;
    reads: number[];
    writes: number[];
    units: number;
    work: number;
};
/** Exercise the kernel of every problem, those with the most work first, as long as the weights are on
 * their way: nobody waits for it.
 * @param {Pack} pack @param {WasmDevice} device @param {Kernels} kernels
 * @param {Promise<unknown>} weights @returns {Promise<void>} */
export declare function warmKernels(pack: Pack, device: WasmDevice, kernels: Kernels, weights: Promise<unknown>): Promise<void>;
/** Exercise tuned kernels before they serve. @param {Pack} pack @param {WasmDevice} device
 * @param {ReadonlyMap<number, import("./kernels.js").Kernel>} tuned by problem
 * @param {Bindings} bindings @param {(packer: number | string) => number} bytesOf what packers make */
export declare function warmTuned(pack: Pack, device: WasmDevice, tuned: ReadonlyMap<number, import("./kernels.js").Kernel>, bindings: Bindings, bytesOf: (packer: number | string) => number): Promise<void>;
/** Run the plan once, as small as it gets: so the weights are in reach, and the player's own code
 * is warm too. @param {Pack} pack @param {WasmDevice} device
 * @param {import("./bound.js").Shapes} shapes @returns {Promise<void>} */
export declare function rehearse(pack: Pack, device: WasmDevice, shapes: import("./bound.js").Shapes): Promise<void>;
