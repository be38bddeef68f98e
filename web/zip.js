// ZIP archives of stored entries, one after the other: what webrt/pack/archive.py reads and writes, under
// the same rules. tests/vectors/archive.json holds both to the same archives.

import { PackError } from "./errors.js";

/** A file in an archive: `size` bytes from `start`, behind a header at `offset`.
 * @typedef {{name: string, offset: number, start: number, size: number}} Stored */
/** Bytes one after the other. `read` gives fewer at the end; `at` is where the next one stands.
 * @typedef {{at: number, read: (count: number) => Promise<Uint8Array<ArrayBuffer>>,
 *   skip: (count: number) => Promise<void>}} Reader */

/** The first entry. */
const FIRST = "manifest.json";
const LOCAL = 0x04034b50, LISTED = 0x02014b50, END = 0x06054b50, END_64 = 0x06064b50;
const LOCAL_BYTES = 30, LISTED_BYTES = 46, END_BYTES = 22;
const UTF8_NAMES = 0x0800;
const MAX_ENTRIES = 65536;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
export const CUT = "is cut short or altered; copy the pack again";


/**
 * The entries of an archive, one after the other; their directory, at the end, must say the same. What
 * isn't read of an entry until the next one is asked for is skipped. Throws a PackError.
 * @param {Reader} reader @param {string} where for messages @returns {AsyncGenerator<Stored, void>}
 */
export async function* entriesOf(reader, where) {
  /** @type {Stored[]} */
  const found = [];
  for (;;) {
    const offset = reader.at;
    const head = viewOf(await reader.read(4));
    if (head.byteLength < 4 || head.getUint32(0, true) !== LOCAL) {
      if (!found.length) throw noPack(head, where);
      await checkDirectory(reader, head, found, where);
      return;
    }
    const entry = await readEntry(reader, offset, where);
    if (found.some(({ name }) => name === entry.name) || found.length === MAX_ENTRIES) {
      throw new PackError(`${where}: ${entry.name} stands there twice; pack the model again`);
    }
    if (!found.length && entry.name !== FIRST) throw noPack(head, where);
    found.push(entry);
    yield entry;
    const left = entry.start + entry.size - reader.at;
    if (left) await reader.skip(left);
  }
}

/** @param {Uint8Array} bytes */
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** What follows a local header's signature (APPNOTE.TXT, 4.3.7). @param {Reader} reader
 * @param {number} offset @param {string} where @returns {Promise<Stored>} */
async function readEntry(reader, offset, where) {
  const header = viewOf(await reader.read(LOCAL_BYTES - 4));
  if (header.byteLength < LOCAL_BYTES - 4) throw new PackError(`${where}: ${CUT}`);
  const [flags, method] = [header.getUint16(2, true), header.getUint16(4, true)];
  const [packed, size] = [header.getUint32(14, true), header.getUint32(18, true)];
  const [named, extra] = [header.getUint16(22, true), header.getUint16(24, true)];
  const name = await reader.read(named);
  await reader.skip(extra);
  if (flags & ~UTF8_NAMES || method || packed !== size) {
    throw new PackError(`${where}: its entries are compressed or encrypted, where a pack's are stored; `
      + "`webrt pack` writes such files");
  }
  const text = String.fromCharCode(...name);
  if (!NAME.test(text)) {
    throw new PackError(`${where}: an entry's name is no file of a pack; pack the model again`);
  }
  return { name: text, offset, start: reader.at, size };
}

/** @param {Reader} reader @param {DataView} head of the first entry of the directory
 * @param {Stored[]} found @param {string} where */
async function checkDirectory(reader, head, found, where) {
  for (const { name, offset, size } of found) {
    const entry = viewOf(await reader.read(LISTED_BYTES - 4));
    if (head.byteLength < 4 || entry.byteLength < LISTED_BYTES - 4
      || head.getUint32(0, true) !== LISTED) throw new PackError(`${where}: ${CUT}`);
    const [listed, at] = [entry.getUint32(20, true), entry.getUint32(38, true)];
    const text = String.fromCharCode(...await reader.read(entry.getUint16(24, true)));
    if (text.length < entry.getUint16(24, true)) throw new PackError(`${where}: ${CUT}`);
    await reader.skip(entry.getUint16(26, true) + entry.getUint16(28, true));
    if (text !== name || listed !== size || entry.getUint16(6, true) || at !== Math.min(offset, 2 ** 32 - 1)) {
      throw new PackError(`${where}: its directory differs from its entries; pack the model again`);
    }
    head = viewOf(await reader.read(4));
  }
  const signature = head.byteLength < 4 ? 0 : head.getUint32(0, true);
  if (signature === LISTED) {
    throw new PackError(`${where}: its directory differs from its entries; pack the model again`);
  }
  const rest = await reader.read(END_BYTES - 4);
  if (![END, END_64].includes(signature) || rest.length < END_BYTES - 4) {
    throw new PackError(`${where}: ${CUT}`);
  }
}

/** What a file is, going by its first bytes and its name, and what to do. @param {DataView | null} head
 * @param {string} where */
export function noPack(head, where) {
  const first = head && head.byteLength > 1 ? head.getUint16(0) : 0;
  const what = first >> 8 === 8 || /\.onnx$/i.test(where)
    ? "is an ONNX model: pack it first: webrt pack model.onnx -o model.webrt"
    : first === 0x504b ? `is a ZIP file whose first entry is no ${FIRST}: no pack`
    : "is no pack: make one with `webrt pack model.onnx -o model.webrt`";
  return new PackError(`${where}: ${what}`);
}
