// For magika, which tells a file's type from its bytes: drop files, see their types.
// The features are those of magika 1.0, `Magika._extract_features_from_seekable`.

import { Tensor } from "../webrt.js";

/** @typedef {{size: number, block: number, padding: number, least: number, threshold: number,
 *   thresholds: Record<string, number>, overwrite: Record<string, string>, labels: string[]}} Config */
/** @typedef {{drop: HTMLElement, file: HTMLElement, list: HTMLElement, section: HTMLElement,
 *   element: (tag: string, properties?: Record<string, unknown>, ...children: (Node | string)[]) => HTMLElement,
 *   showMs: (ms: number) => string, sayError: (error: unknown) => void}} Page */

/** @param {number} byte: Python's `bytes.isspace` */
const isSpace = (byte) => byte === 32 || (byte >= 9 && byte <= 13);

/**
 * The model's input: the first and the last bytes, stripped of white space, padded in between.
 * @param {Uint8Array} head the file's first block @param {Uint8Array} tail its last block
 * @param {Config} config @returns {Int32Array<ArrayBuffer>}
 */
export function features(head, tail, { size, padding }) {
  const start = head.findIndex((byte) => !isSpace(byte));
  const first = start < 0 ? head.subarray(0, 0) : head.subarray(start, start + size);
  const end = tail.findLastIndex((byte) => !isSpace(byte)) + 1;
  const last = tail.subarray(Math.max(0, end - size), end);
  const all = new Int32Array(2 * size).fill(padding);
  all.set(first);
  all.set(last, 2 * size - last.length);
  return all;
}

/** Labels by falling score, and what to call the file: a doubtful label becomes a general one.
 * @param {Float32Array} scores @param {Config} config */
export function judge(scores, config) {
  const order = Array.from(scores, (score, j) => ({ label: config.labels[j], score }))
    .sort((a, b) => b.score - a.score);
  const [{ label, score }] = order;
  const sure = score >= (config.thresholds[label] ?? config.threshold);
  return { name: sure ? config.overwrite[label] ?? label : `unsure: ${label}?`, order };
}

/** @param {File} file @param {Config} config */
async function read(file, config) {
  /** @param {Blob} blob */
  const bytes = async (blob) => new Uint8Array(await blob.arrayBuffer());
  const head = await bytes(file.slice(0, config.block));
  const tail = await bytes(file.slice(Math.max(0, file.size - config.block)));
  return features(head, tail, config);
}

/** Set the drop area up, where the model is magika.
 * @param {import("../webrt.js").InferenceSession} session @param {Page} page */
export async function classifier(session, page) {
  const input = session.inputMetadata.find((i) => i.name === "bytes" && i.shape[1] === 2048);
  const output = session.outputMetadata.find((o) => o.name === "target_label");
  if (!input || !output) return;
  /** @type {Config} */
  const config = await (await fetch(new URL("magika.json", import.meta.url))).json();
  /** @param {Iterable<File>} files */
  const take = async (files) => {
    try {
      await show([...files]);
    } catch (error) {
      page.sayError(error);
    }
  };
  /** @param {File[]} files */
  const show = async (files) => {
    const known = files.filter((f) => f.size >= config.least);
    const small = files.filter((f) => f.size < config.least)
      .map((f) => page.element("li", {}, `${f.name}: too small to tell`));
    page.list.replaceChildren(...small);
    if (!known.length) return;
    const parts = await Promise.all(known.map((f) => read(f, config)));
    const data = new Int32Array(known.length * 2 * config.size);
    parts.forEach((part, j) => data.set(part, j * part.length));
    const start = performance.now();
    const { target_label } = await session.run(
      { bytes: new Tensor("int32", data, [known.length, 2 * config.size]) }, ["target_label"]);
    const ms = page.showMs(performance.now() - start);
    const scores = /** @type {Float32Array} */ (await target_label.getData());
    const width = config.labels.length;
    known.forEach((file, j) => {
      const { name, order } = judge(scores.subarray(j * width, (j + 1) * width), config);
      const others = order.slice(0, 4).map((o) => `${o.label} ${(100 * o.score).toFixed(1)} %`);
      page.list.append(page.element("li", {}, page.element("strong", {}, name), ` ${file.name}`,
        page.element("div", { className: "others" }, others.join(" · "))));
    });
    page.list.append(page.element("li", { className: "others" }, `${known.length} in ${ms}`));
  };
  const chooser = /** @type {HTMLInputElement} */ (page.file);
  chooser.addEventListener("change", () => take(chooser.files ?? []));
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    page.drop.addEventListener(type, (event) => {
      event.preventDefault();
      page.drop.classList.toggle("over", type === "dragenter" || type === "dragover");
      const { dataTransfer } = /** @type {DragEvent} */ (event);
      if (type === "drop" && dataTransfer) take(dataTransfer.files);
    });
  }
  page.section.hidden = false;
}
