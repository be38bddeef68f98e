// Archives that the Python and the JavaScript readers share, in pieces of any size.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { entriesOf } from "../../web/zip.js";

const url = new URL("../../tests/vectors/archive.json", import.meta.url);
const cases = JSON.parse(readFileSync(url, "utf8"));

function readerOf(bytes) {
  const reader = {
    at: 0,
    read: async (count) => {
      const part = bytes.slice(reader.at, reader.at + count);
      reader.at += part.length;
      return part;
    },
    skip: async (count) => { reader.at = Math.min(reader.at + count, bytes.length); },
  };
  return reader;
}

for (const { name, base64, error, names } of cases) {
  test(`an archive: ${name}`, async () => {
    const bytes = new Uint8Array(Buffer.from(base64, "base64"));
    const walk = async () => {
      const found = [];
      for await (const entry of entriesOf(readerOf(bytes), "x.webrt")) found.push(entry.name);
      return found;
    };
    if (error === null) assert.deepEqual(await walk(), names);
    else await assert.rejects(walk, { name: "PackError", message: `x.webrt: ${error}` });
  });
}
