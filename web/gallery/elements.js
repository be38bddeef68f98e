// Small things that every page of the gallery needs of a document.

/** @template {Element} E @param {string} selector @returns {E} */
export const find = (selector) => /** @type {E} */ (document.querySelector(selector));

/** @param {string} tag @param {Record<string, unknown>} [properties] @param {...(Node | string)} children */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** @param {string} tag @param {Record<string, string | number>} [attributes] @param {string} [text] */
export function drawn(tag, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.textContent = text;
  return made;
}

/** @param {number} ms */
export const showMs = (ms) => (ms >= 1e3 ? `${(ms / 1e3).toFixed(ms < 1e4 ? 2 : 1)} s`
  : `${ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : Math.round(ms)} ms`);

/** @param {number} bytes */
export const showMb = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

/** A bar of a share of its width. @param {number} share from 0 to 1 */
export function bar(share) {
  const inner = element("span");
  inner.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  const outer = element("span", { className: "bar" }, inner);
  outer.setAttribute("aria-hidden", "true");
  return outer;
}

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Files that are dropped on a target, or chosen with an input.
 * @param {HTMLElement} target @param {HTMLInputElement} input @param {(files: File[]) => void} take */
export function onFiles(target, input, take) {
  input.addEventListener("change", () => {
    take([...input.files ?? []]);
    input.value = ""; // the same file may be chosen again
  });
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    target.addEventListener(type, (event) => {
      event.preventDefault();
      target.classList.toggle("over", type === "dragenter" || type === "dragover");
      const { dataTransfer } = /** @type {DragEvent} */ (event);
      if (type === "drop" && dataTransfer) take([...dataTransfer.files]);
    });
  }
}
