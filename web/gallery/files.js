// What kind of file is it? Google's magika, on files that stay on the device.

import { classify, configHere } from "../demo/magika.js";
import { bar, element, find, onFiles } from "./elements.js";
import { Gallery } from "./page.js";

/** Files of this very site, for visitors who have none at hand. */
const SAMPLES = ["index.html", "webrt/gallery/files.js", "webrt/gallery/gallery.css",
  "webrt/demo/magika.json", "packs/magika/kernels.wasm"];

/** Files at a time. */
const BATCH = 16;

const gallery = new Gallery(["magika"]);

/** @param {import("../demo/magika.js").Judged} judged */
function shown({ file, name, order }) {
  if (name === null) {
    return element("li", {}, element("span", { className: "row" }, element("strong", {}, "too small to tell"),
      element("span", { className: "score" })), element("div", { className: "others" }, file.name));
  }
  const [best] = order;
  const others = order.slice(1, 4).filter((o) => o.score >= 0.001)
    .map((o) => `${o.label} ${(100 * o.score).toFixed(1)} %`);
  return element("li", {},
    element("span", { className: "row" }, element("strong", {}, name),
      element("span", { className: "score" }, `${(100 * best.score).toFixed(1)} %`)),
    element("div", { className: "others file-name" }, file.name),
    bar(best.score),
    ...(others.length ? [element("div", { className: "others" }, `or ${others.join(" · ")}`)] : []));
}

/** @param {string} path */
async function fetched(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: HTTP status ${answer.status}`);
  return new File([await answer.blob()], path);
}

await gallery.open(async () => {
  const config = await configHere();
  const list = find("#labels");
  const take = gallery.handler(async (/** @type {File[]} */ files) => {
    if (!files.length) return;
    list.replaceChildren();
    for (let j = 0; j < files.length; j += BATCH) {
      gallery.say(`Looking at ${Math.min(j + BATCH, files.length)} of ${files.length} files …`, true);
      const judged = await classify(files.slice(j, j + BATCH), config,
        (feeds) => gallery.run("magika", feeds));
      list.append(...judged.map(shown));
    }
    gallery.ready();
  });
  onFiles(find("#drop"), find("#file"), take);
  find("#sample").addEventListener("click", async () => {
    take(await Promise.all(SAMPLES.map(fetched)).catch(() => []));
  });
  /** @type {HTMLElement} */ (find("#tool")).hidden = false;
});
