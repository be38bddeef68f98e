// Records of tuning in a page: webrt/tune/records.py in JavaScript, where they are kept, and where
// they come from. A page can't make code from a schedule, so its records carry the code of the best.
// tests/vectors/records.json holds both to the same keys.

import { PackError, RecordsError, messageOf } from "./errors.js";
import { Field } from "./field.js";
import { sha256 } from "./sha256.js";

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
export const CODEGEN = "0.1.0";

const FORMAT = "webrt records";
const MAX_BYTES = 16 * 2 ** 20;
const MAX_TRIALS = 256;
const MAX_TEXT = 1000;
const MAX_WGSL = 2 ** 20;
const MAX_MODULE = 4 * 2 ** 20;
const MAX_COUNT = 2 ** 31 - 1;

/** @param {string} text */
const hash = (text) => sha256(new TextEncoder().encode(text));

/** The device as records name it. @param {DeviceInfo} info @returns {Promise<string>} */
export async function deviceKey({ kind, vendor, architecture, adapter, features, limits }) {
  const shape = [limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupStorageSize,
    ...features.map((name) => `'${name}'`)];
  const digest = await hash(`(${shape.join(", ")})`); // as Python shows a tuple
  const parts = [kind, vendor, architecture, adapter, digest.slice(0, 8)];
  return parts.map((part) => part.replaceAll("/", "_")).join("/");
}

/** A problem by its family and a hash of its text. @param {string} text @returns {Promise<string>} */
export async function problemKey(text) {
  return `${/^\w+/.exec(text)}:${(await hash(text)).slice(0, 32)}`;
}

/** The model's symbols that a problem's text names. @param {string} text */
export const symbolsOf = (text) => [...new Set(text.match(/\bs\d+\b/g))].sort();

/** The file of a device's records in a folder of records. @param {string} device */
export const fileOf = async (device) => `${(await hash(device)).slice(0, 16)}.json`;

/** @param {Pick<TuneRecord, "device" | "codegen" | "problem" | "dims">} record */
export const idOf = ({ device, codegen, problem, dims }) => {
  const values = Object.keys(dims).sort().map((name) => `${name}=${dims[name]}`);
  return [device, codegen, problem, values.join()].join(" ");
};

/** The fastest trial that worked. @param {TuneRecord} record @returns {Trial | null} */
export function bestOf({ trials }) {
  const timed = trials.filter((t) => t.ms !== undefined);
  return timed.reduce((best, t) => (
    !best || Number(t.ms) < Number(best.ms) ? t : best), /** @type {Trial | null} */ (null));
}

/** A record with another's trials, the later ones in place of the same schedules' earlier ones; only
 * the best keeps its code. @param {TuneRecord | undefined} known @param {TuneRecord} more
 * @returns {TuneRecord} */
export function merge(known, more) {
  const anew = new Set(more.trials.map((t) => nameOf(t.schedule)));
  const kept = (known?.trials ?? []).filter((t) => !anew.has(nameOf(t.schedule)));
  const merged = { ...more, trials: [...kept, ...more.trials].slice(-MAX_TRIALS) };
  const best = bestOf(merged);
  merged.trials = merged.trials.map((trial) => {
    const { code, ...rest } = trial;
    return trial === best ? trial : rest;
  });
  return merged;
}

/** @param {Record<string, unknown>} schedule */
const nameOf = (schedule) => JSON.stringify(Object.entries(schedule).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Records by their ids. */
export class Records {
  constructor() {
    /** @type {Map<string, TuneRecord>} */
    this.byId = new Map();
  }

  /** @param {TuneRecord} record @returns {TuneRecord} what is known now */
  add(record) {
    const id = idOf(record);
    const merged = merge(this.byId.get(id), record);
    this.byId.set(id, merged);
    return merged;
  }

  /** @param {Pick<TuneRecord, "device" | "codegen" | "problem" | "dims">} key */
  get(key) {
    return this.byId.get(idOf(key));
  }

  /** The form of a file. @param {boolean} [code] */
  toJson(code = true) {
    const records = [...this.byId.values()].map((record) => (code ? record : {
      ...record, trials: record.trials.map(({ code: _, ...trial }) => trial) }));
    return { format: FORMAT, version: 1, records };
  }
}

/** The records that JSON holds, each checked; throws a RecordsError.
 * @param {unknown} data @param {string} where @returns {TuneRecord[]} */
export function readRecords(data, where) {
  try {
    const root = new Field(data, "", where);
    root.member("format").choice(FORMAT);
    if (root.member("version").integer() !== 1) root.member("version").expected("1");
    return root.member("records").items(0, 2 ** 16).map(readRecord);
  } catch (error) {
    if (error instanceof PackError) throw new RecordsError(error.message);
    throw error;
  }
}

/** @param {Field} field @returns {TuneRecord} */
function readRecord(field) {
  const [device, codegen, problem] = ["device", "codegen", "problem"].map(
    (name) => field.member(name).text(MAX_TEXT, 1));
  field.member("dims").object();
  const dims = field.member("dims");
  const names = Object.keys(/** @type {object} */ (dims.value));
  return {
    device, codegen, problem,
    dims: Object.fromEntries(names.map((name) => [name, dims.member(name).integer(1, 2 ** 20)])),
    default: readTime(field.member("default")),
    ...(field.has("shape") ? { shape: field.member("shape").items(0, 8).map(
      (extent) => extent.integer(1, 2 ** 31 - 1)) } : {}),
    trials: field.member("trials").items(0, MAX_TRIALS).map(readTrial),
  };
}

/** @param {Field} field @returns {Trial} */
function readTrial(field) {
  field.member("schedule").object();
  field.member("schedule").member("family").text(64, 1);
  const schedule = /** @type {Record<string, unknown>} */ (field.member("schedule").value);
  if (field.has("failed")) return { schedule, failed: field.member("failed").text(MAX_TEXT) };
  const code = field.has("code") ? { code: readCode(field.member("code")) } : {};
  return { schedule, ms: readTime(field.member("ms")), ...code };
}

/** @param {Field} field */
function readTime({ value, ...field }) {
  if (typeof value === "number" && value > 0 && value < Infinity) return value;
  return new Field(value, field.path, field.file).expected("milliseconds");
}

/** @param {Field} field @returns {Code} */
function readCode(field) {
  /** @param {Field} from @param {string} name */
  const count = (from, name) => from.member(name).integer(0, MAX_COUNT);
  if (field.has("wgsl")) {
    const grid = field.member("grid").items(3, 3).map((f) => f.integer(0, MAX_COUNT));
    return { wgsl: field.member("wgsl").text(MAX_WGSL, 1), grid };
  }
  const module = field.member("module").text(MAX_MODULE, 8);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(module)) field.member("module").expected("base64");
  const packers = field.member("packers").items(0, 8).map((item) => ({
    name: item.member("name").text(64, 1), units: count(item, "units"),
    scratch: count(item, "scratch"), reads: count(item, "reads"), bytes: count(item, "bytes"),
  }));
  const panels = field.member("panels").items(0, 8).map((item) => {
    const [operand, packer] = item.items(2, 2);
    return /** @type {[number, number]} */ (
      [operand.integer(0, 7), packer.integer(0, packers.length - 1)]);
  });
  return { module, units: count(field, "units"), scratch: count(field, "scratch"), packers, panels };
}

/** Bytes of a module in base64. @param {string} text @returns {Uint8Array<ArrayBuffer>} */
export const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** The records that a URL serves for a device: a file (….json), or a folder with a file a device.
 * Throws a RecordsError. @param {URL} url @param {string} device @param {AbortSignal} signal */
export async function fetchRecords(url, device, signal) {
  const file = url.pathname.endsWith(".json") ? url : inFolder(url, await fileOf(device));
  try {
    const response = await fetch(file, { signal });
    if (response.status === 404 && file !== url) return []; // nobody had this device before
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    const text = await response.text();
    if (text.length > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`);
    return readRecords(JSON.parse(text), file.href);
  } catch (error) {
    if (error instanceof RecordsError) throw error;
    throw new RecordsError(`${file.href}: no records can be had: ${messageOf(error)}`);
  }
}

/** @param {URL} url @param {string} file */
function inFolder(url, file) {
  const folder = new URL(url);
  if (!folder.pathname.endsWith("/")) folder.pathname += "/";
  return new URL(file, folder);
}

/** Send this page's own records to a server. @param {URL} url @param {Records} records */
export async function postRecords(url, records) {
  const body = JSON.stringify(records.toJson());
  const response = await fetch(url, {
    method: "POST", body, headers: { "Content-Type": "application/json" } });
  if (!response.ok) throw new RecordsError(`${url.href}: HTTP status ${response.status}`);
}

/** Records in this browser: IndexedDB of the page's origin. */
export class Store {
  /** @param {IDBDatabase} database */
  constructor(database) {
    this.database = database;
    database.onversionchange = () => database.close();
  }

  /** Null where the browser gives none. @returns {Promise<Store | null>} */
  static async open() {
    try {
      const opening = indexedDB.open("webrt", 1);
      opening.onupgradeneeded = () => {
        const records = opening.result.createObjectStore("records", { keyPath: "id" });
        records.createIndex("device", "device");
        opening.result.createObjectStore("tuned", { keyPath: "id" });
      };
      return new Store(await settled(opening));
    } catch {
      return null;
    }
  }

  /** What is known of a device. What isn't in form is left out. @param {string} device
   * @returns {Promise<TuneRecord[]>} */
  async load(device) {
    const stored = this.database.transaction("records").objectStore("records");
    const found = await settled(stored.index("device").getAll(device));
    return found.flatMap(({ record }) => {
      try {
        return readRecords({ format: FORMAT, version: 1, records: [record] }, "IndexedDB");
      } catch {
        return [];
      }
    });
  }

  /** @param {TuneRecord} record */
  async save(record) {
    const stored = this.database.transaction("records", "readwrite").objectStore("records");
    await settled(stored.put({ id: idOf(record), device: record.device, record }));
  }

  /** What tuning came to, where it has been done. @param {string} id
   * @returns {Promise<Outcome | null>} */
  async outcome(id) {
    const found = await settled(this.database.transaction("tuned").objectStore("tuned").get(id));
    return found?.outcome ?? null;
  }

  /** @param {string} id @param {Outcome} outcome */
  async finish(id, outcome) {
    const stored = this.database.transaction("tuned", "readwrite").objectStore("tuned");
    await settled(stored.put({ id, outcome }));
  }
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
