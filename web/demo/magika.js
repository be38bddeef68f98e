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

/** @typedef {{file: File, name: string | null, order: {label: string, score: number}[]}} Judged */

/** @returns {Promise<Config>} */
export const configHere = async () => (await fetch(new URL("magika.json", import.meta.url))).json();

/** What each file is; no name where there is too little of it to tell.
 * @param {readonly File[]} files @param {Config} config
 * @param {(feeds: {bytes: Tensor}) => Promise<Record<string, Tensor>>} run
 * @returns {Promise<Judged[]>} */
export async function classify(files, config, run) {
  const known = files.filter((f) => f.size >= config.least);
  /** @type {Map<File, Judged>} */
  const judged = new Map();
  if (known.length) {
    const parts = await Promise.all(known.map((f) => read(f, config)));
    const data = new Int32Array(known.length * 2 * config.size);
    parts.forEach((part, j) => data.set(part, j * part.length));
    const { target_label } = await run(
      { bytes: new Tensor("int32", data, [known.length, 2 * config.size]) });
    const scores = /** @type {Float32Array} */ (await target_label.getData());
    const width = config.labels.length;
    known.forEach((file, j) => (
      judged.set(file, { file, ...judge(scores.subarray(j * width, (j + 1) * width), config) })));
  }
  return files.map((file) => judged.get(file) ?? { file, name: null, order: [] });
}

/** Set the drop area up, where the model is magika.
 * @param {import("../webrt.js").InferenceSession} session @param {Page} page */
export async function classifier(session, page) {
  const input = session.inputMetadata.find((i) => i.name === "bytes" && i.shape[1] === 2048);
  const output = session.outputMetadata.find((o) => o.name === "target_label");
  if (!input || !output) return;
  const config = await configHere();
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
    let ms = 0;
    const judged = await classify(files, config, async (feeds) => {
      const start = performance.now();
      const outputs = await session.run(feeds, ["target_label"]);
      ms = performance.now() - start;
      return outputs;
    });
    const small = judged.filter(({ name }) => name === null).map(({ file }) => (
      page.element("li", {}, `${file.name}: too small to tell`)));
    const known = judged.filter(({ name }) => name !== null).map(({ file, name, order }) => {
      const others = order.slice(0, 4).map((o) => `${o.label} ${(100 * o.score).toFixed(1)} %`);
      return page.element("li", {}, page.element("strong", {}, name ?? ""), ` ${file.name}`,
        page.element("div", { className: "others" }, others.join(" · ")));
    });
    page.list.replaceChildren(...small, ...known);
    if (known.length) {
      page.list.append(page.element("li", { className: "others" }, `${known.length} in ${page.showMs(ms)}`));
    }
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
