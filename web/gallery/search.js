// Search by meaning: passages and a question become vectors of MiniLM, the nearest come first.

import { Tokenizer } from "../../assets/tokenizers.mjs";
import { Tensor } from "../webrt.js";
import { bar, element, find } from "./elements.js";
import { Gallery } from "./page.js";

/** Passages at a time, the tokens of one at most, and the answers that are shown. */
const BATCH = 8, LONGEST = 128, SHOWN = 5;

const gallery = new Gallery(["minilm-l3"]);

/** @param {string} name */
async function json(name) {
  const answer = await fetch(`assets/${name}`);
  if (!answer.ok) throw new Error(`assets/${name}: HTTP status ${answer.status}`);
  return answer.json();
}

/** A text's tokens; a long one loses its end, but not the token that ends it.
 * @param {Tokenizer} tokenizer @param {string} text */
function tokensOf(tokenizer, text) {
  const { ids } = tokenizer.encode(text);
  return ids.length > LONGEST ? [...ids.slice(0, LONGEST - 1), ids[ids.length - 1]] : ids;
}

/** Unit vectors, one a text: the mean over its tokens.
 * @param {Tokenizer} tokenizer @param {string[]} texts */
async function embed(tokenizer, texts) {
  const encoded = texts.map((text) => tokensOf(tokenizer, text));
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
  const known = gallery.session("minilm-l3").inputNames;
  const wanted = Object.fromEntries(Object.entries(feeds).filter(([name]) => known.includes(name)));
  const outputs = await gallery.run("minilm-l3", wanted);
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
  const paragraphs = text.split(/\n/).map((p) => p.trim()).filter(Boolean);
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
      gallery.say(`Reading ${j} of ${unknown.length} passages …`, true);
      const part = unknown.slice(j, j + BATCH);
      const found = await embed(tokenizer, part);
      part.forEach((p, k) => vectors.set(p, found[k]));
    }
    const [asked] = await embed(tokenizer, [question.value]);
    const ranked = [...new Set(passages)].map((passage) => {
      const vector = /** @type {Float64Array} */ (vectors.get(passage));
      return { passage, score: vector.reduce((sum, x, d) => sum + x * asked[d], 0) };
    }).sort((a, b) => b.score - a.score);
    find("#answers").replaceChildren(...ranked.slice(0, SHOWN).map(({ passage, score }, j) => (
      element("li", { className: j ? "" : "best-answer" },
        element("span", { className: "row" }, element("span", {}, passage),
          element("span", { className: "score", title: "cosine of the angle between the vectors" },
            score.toFixed(3))),
        bar(score)))));
    gallery.ready();
  };
  const asked = gallery.handler(async () => {
    if (text.value.trim() && question.value.trim()) await search();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    asked(undefined);
  });
  form.hidden = false;
});
