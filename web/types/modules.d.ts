import { Field } from "./field.js";
import { FileHash } from "./sha256.js";
export type Dim = import("./dims.js").Dim;
export type File = {
    file: string;
    bytes: number;
    sha256: string;
};
export type WasmModule = File & {
    relaxed: boolean;
};
export type WasmKernel = {
    name: string;
    units: Dim;
    scratch: number;
    panels: [number, number][];
    schedule: Record<string, unknown>;
};
export type Packer = {
    name: string;
    units: number;
    scratch: number;
    reads: number;
    bytes: number;
};
export type WasmPart = {
    modules: WasmModule[];
    kernels: WasmKernel[];
    packers: Packer[];
};
export type Pack = import("./manifest.js").Pack;
/**
 * The member `wasm`, held against the kernels for GPUs and the plan.
 * @param {Field} field @param {Pick<Pack, "kernels" | "steps" | "tensors">} pack
 * @param {ReadonlySet<string>} known @returns {WasmPart}
 */
export declare function readWasm(field: Field, { kernels, steps, tensors }: Pick<Pack, "kernels" | "steps" | "tensors">, known: ReadonlySet<string>): WasmPart;
/** @param {Field} field @returns {string} */
export declare function readSha256(field: Field): string;
/** The file of tuning records that a pack ships. @param {Field} field @returns {File} */
export declare function readRecordsFile(field: Field): File;
/** The file of check vectors that a pack ships. @param {Field} field @returns {File} */
export declare function readChecksFile(field: Field): File;
/** A kernel's name. @param {Field} field @returns {string} */
export declare function readName(field: Field): string;
/** Hold a file's bytes against the manifest: length and sha256; throws PackError.
 * @param {File} file @param {Uint8Array<ArrayBuffer>} data @param {string} [name]
 * @param {FileHash} [hash] what is hashed of it @returns {Promise<Field>} */
export declare function checkFile(file: File, data: Uint8Array<ArrayBuffer>, name?: string, hash?: FileHash): Promise<Field>;
/** @param {Field} field @param {string} found @param {string} expected */
export declare function checkHash(field: Field, found: string, expected: string): void;
