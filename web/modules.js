// The CPU's part of a manifest, checked like the rest of it (manifest.js): the same checks in the
// same words as webrt/pack/modules.py; tests/vectors/pack/ holds both to them.

import { Field } from "./field.js";
import { FileHash } from "./sha256.js";

/** @typedef {import("./dims.js").Dim} Dim */
/** A file of a pack. @typedef {{file: string, bytes: number, sha256: string}} File */
/** @typedef {File & {relaxed: boolean}} WasmModule */
/** `panels` pairs operand positions with packers.
 * @typedef {{name: string, units: Dim, scratch: number, panels: [number, number][],
 *   schedule: Record<string, unknown>}} WasmKernel */
/** @typedef {{name: string, units: number, scratch: number, reads: number, bytes: number}} Packer */
/** @typedef {{modules: WasmModule[], kernels: WasmKernel[], packers: Packer[]}} WasmPart */
/** @typedef {import("./manifest.js").Pack} Pack */

const MODULES = ["kernels.wasm", "kernels-relaxed.wasm"];
const MIB = 2 ** 20;
const MAX_MODULE_BYTES = 64 * MIB;
const MAX_RECORDS_BYTES = 16 * MIB;
const MAX_CHECKS_BYTES = 64 * MIB;
const MAX_UNITS = 2 ** 31 - 1;
const MAX_SCRATCH_BYTES = 16 * MIB;
const MAX_PANEL_BYTES = 1024 * MIB;
const MAX_CONSTANT_BYTES = 64 * MIB - 64 * 1024;
/** A module without any section: the magic number and the version. */
const HEADER_BYTES = 8;

/**
 * The member `wasm`, held against the kernels for GPUs and the plan.
 * @param {Field} field @param {Pick<Pack, "kernels" | "steps" | "tensors">} pack
 * @param {ReadonlySet<string>} known @returns {WasmPart}
 */
export function readWasm(field, { kernels, steps, tensors }, known) {
  const modules = field.member("modules").items(MODULES.length, MODULES.length);
  const packers = field.member("packers").items(0, 2 ** 16).map(readPacker);
  const entries = field.member("kernels").items(kernels.length, kernels.length);
  const part = {
    modules: modules.map(readModule),
    kernels: entries.map((item, j) => readKernel(item, kernels[j], packers, known)),
    packers,
  };
  for (const { problem, inputs } of steps) {
    part.kernels[problem].panels.forEach(([operand, packer], position) => {
      const tensor = inputs[operand];
      const { reads } = packers[packer];
      const { place, storage } = tensors[tensor];
      const bytes = (place?.bytes ?? 0) * (storage === "f16" ? 2 : 1); // a CPU's are widened
      if (bytes !== reads) {
        entries[problem].member("panels").items()[position].fail(
          `packer ${packer} reads ${reads} bytes, tensor ${tensor} has ${bytes}`);
      }
    });
  }
  return part;
}

/** @param {Field} field @param {number} index @returns {WasmModule} */
function readModule(field, index) {
  const relaxed = field.member("relaxed").boolean();
  if (relaxed !== Boolean(index)) field.member("relaxed").expected(index ? "true" : "false");
  return {
    file: field.member("file").choice(MODULES[index]),
    bytes: field.member("bytes").integer(HEADER_BYTES, MAX_MODULE_BYTES),
    sha256: readSha256(field.member("sha256")),
    relaxed,
  };
}

/** @param {Field} field @returns {string} */
export function readSha256(field) {
  const text = field.text(64, 64);
  return /^[0-9a-f]{64}$/.test(text) ? text : field.expected("64 hex digits");
}

/** The file of tuning records that a pack ships. @param {Field} field @returns {File} */
export function readRecordsFile(field) {
  const file = field.member("file").choice("records.json");
  const bytes = field.member("bytes").integer(1, MAX_RECORDS_BYTES);
  return { file, bytes, sha256: readSha256(field.member("sha256")) };
}

/** The file of check vectors that a pack ships. @param {Field} field @returns {File} */
export function readChecksFile(field) {
  const file = field.member("file").choice("checks.bin");
  const bytes = field.member("bytes").integer(1, MAX_CHECKS_BYTES);
  return { file, bytes, sha256: readSha256(field.member("sha256")) };
}

/** A kernel's name. @param {Field} field @returns {string} */
export function readName(field) {
  const name = field.text(64, 1);
  return /^[A-Za-z0-9_]+$/.test(name) ? name : field.expected("letters, digits and _");
}

/** @param {Field} field @param {Pack["kernels"][number]} kernel @param {Packer[]} packers
 * @param {ReadonlySet<string>} known @returns {WasmKernel} */
function readKernel(field, { name, bindings }, packers, known) {
  /** @type {[number, number][]} */
  const panels = [];
  for (const item of field.member("panels").items(0, bindings.length)) {
    const [first, second] = item.items(2, 2);
    const operand = first.integer(0, bindings.length - 1);
    if (bindings[operand].writable) first.fail(`binding ${operand} of kernel ${name} is no constant`);
    if (panels.some(([other]) => other === operand)) first.fail(`binding ${operand} stands twice`);
    panels.push([operand, second.integer(0, packers.length - 1)]);
  }
  const own = readName(field.member("name"));
  const schedule = field.member("schedule").object();
  return {
    name: own,
    schedule,
    units: field.member("units").dim(known),
    scratch: field.member("scratch").integer(0, MAX_SCRATCH_BYTES),
    panels,
  };
}

/** @param {Field} field @returns {Packer} */
function readPacker(field) {
  return {
    name: readName(field.member("name")),
    units: field.member("units").integer(1, MAX_UNITS),
    scratch: field.member("scratch").integer(0, MAX_SCRATCH_BYTES),
    reads: field.member("reads").integer(1, 2 * MAX_CONSTANT_BYTES), // of f32, if widened
    bytes: field.member("bytes").integer(1, MAX_PANEL_BYTES),
  };
}

/** Hold a file's bytes against the manifest: length and sha256; throws PackError.
 * @param {File} file @param {Uint8Array<ArrayBuffer>} data @param {string} [name]
 * @param {FileHash} [hash] what is hashed of it @returns {Promise<Field>} */
export async function checkFile(file, data, name = file.file, hash = new FileHash()) {
  const field = new Field(null, "", name);
  if (data.length !== file.bytes) {
    field.fail(`expected ${file.bytes} bytes, found ${data.length}; copy the pack again`);
  }
  checkHash(field, await hash.hex(data), file.sha256);
  return field;
}

/** @param {Field} field @param {string} found @param {string} expected */
export function checkHash(field, found, expected) {
  if (found === expected) return;
  field.fail(`was altered: sha256 ${expected.slice(0, 12)}… expected, ${found.slice(0, 12)}… found;`
    + " copy the pack again");
}
