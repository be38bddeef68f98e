// Search by meaning: passages and a question become vectors of MiniLM, the nearest come first.

import { Tokenizer } from "../../assets/tokenizers.mjs";
import { Tensor } from "../webrt.js";
import { Gallery, element, find } from "./page.js";

/** Passages at a time, and the tokens of one at most. */
const BATCH = 8, LONGEST = 128;

const gallery = new Gallery(["minilm-l3"]);

/** @param {string} name */
const json = async (name) => (await fetch(`assets/${name}`)).json();

/** Unit vectors, one a text: the mean over its tokens.
 * @param {Tokenizer} tokenizer @param {string[]} texts @param {string} what */
async function embed(tokenizer, texts, what) {
  const encoded = texts.map((text) => tokenizer.encode(text).ids.slice(0, LONGEST));
  const length = Math.max(...encoded.map((ids) => ids.length));
  const shape = [texts.length, length];
  const ids = new BigInt64Array(texts.length * length);
  const mask = new BigInt64Array(ids.length);
  encoded.forEach((row, j) => row.forEach((id, k) => {
    ids[j * length + k] = BigInt(id);
    mask[j * length + k] = 1n;
  }));
  const feeds = {
    input_ids: new Tensor("int64", ids, shape),
    attention_mask: new Tensor("int64", mask, shape),
    token_type_ids: new Tensor("int64", new BigInt64Array(ids.length), shape),
  };
  const known = gallery.sessions.get("minilm-l3")?.inputNames ?? [];
  const wanted = Object.fromEntries(Object.entries(feeds).filter(([name]) => known.includes(name)));
  const outputs = await gallery.run("minilm-l3", wanted, what);
  const hidden = Object.values(outputs).find((tensor) => tensor.dims.length === 3);
  if (!hidden) throw new Error("the model has no output of a vector a token");
  const width = hidden.dims[2];
  const data = /** @type {Float32Array} */ (await hidden.getData());
  return encoded.map((row, j) => {
    const sum = new Float64Array(width);
    row.forEach((_, k) => {
      for (let d = 0; d < width; d++) sum[d] += data[(j * length + k) * width + d];
    });
    const size = Math.hypot(...sum);
    return sum.map((x) => x / size);
  });
}

/** Paragraphs; a single one is cut into sentences. @param {string} text */
function passagesOf(text) {
  const paragraphs = text.split(/\n\s*\n|\n/).map((p) => p.trim()).filter(Boolean);
  return paragraphs.length > 1 ? paragraphs : text.split(/(?<=[.!?])\s+/).filter((p) => p.trim());
}

await gallery.open(async () => {
  const tokenizer = new Tokenizer(await json("tokenizer.json"), await json("tokenizer_config.json"));
  const form = /** @type {HTMLFormElement} */ (find("#search"));
  const text = /** @type {HTMLTextAreaElement} */ (find("#text"));
  const question = /** @type {HTMLInputElement} */ (find("#question"));
  /** @type {Map<string, Float64Array>} */
  const vectors = new Map();
  const search = async () => {
    const passages = passagesOf(text.value);
    const unknown = [...new Set(passages)].filter((p) => !vectors.has(p));
    for (let j = 0; j < unknown.length; j += BATCH) {
      gallery.say(`Reading … ${j} of ${unknown.length} passages`);
      const part = unknown.slice(j, j + BATCH);
      const found = await embed(tokenizer, part, "Passages");
      part.forEach((p, k) => vectors.set(p, found[k]));
    }
    const [asked] = await embed(tokenizer, [question.value], "The question");
    const ranked = passages.map((passage) => {
      const vector = /** @type {Float64Array} */ (vectors.get(passage));
      return { passage, score: vector.reduce((sum, x, d) => sum + x * asked[d], 0) };
    }).sort((a, b) => b.score - a.score);
    find("#answers").replaceChildren(...ranked.slice(0, 5).map(({ passage, score }) => (
      element("li", {}, element("span", { className: "score" }, score.toFixed(3)), passage))));
    gallery.say("Ready.");
  };
  form.addEventListener("submit", gallery.handler(async (event) => {
    /** @type {Event} */ (event).preventDefault();
    if (text.value.trim() && question.value.trim()) await search();
  }));
  form.hidden = false;
});
