// Runs the player's modules from their text alone, where no server has them: in Pyodide out of the
// wheel, in a notebook out of messages. Each becomes a blob whose imports name the others' blobs.

/** What the player's sources say of one another: imports, imports when needed, and workers. */
const REFERENCES = /\b(from |import )"\.\/([\w-]+\.js)"|\bawait import\("\.\/([\w-]+\.js)"\)|\bnew URL\("\.\/([\w-]+\.js)", import\.meta\.url\)/g;

const LINKED = Symbol.for("webrt linked modules");

/**
 * The URLs of modules, for `import(url)`; they and those that they need stay until the page goes.
 * Throws an Error for a module that isn't among `sources`, or that imports itself.
 * @param {Record<string, string>} sources texts by file name @param {readonly string[]} entries
 * @returns {Record<string, string>} URLs by file name
 */
export function link(sources, entries) {
  /** @type {Map<string, string | null>} null while a module's own imports are linked */
  const urls = new Map();
  const scope = /** @type {Record<symbol, Map<string, string | null>[]>} */ (
    /** @type {unknown} */ (globalThis));
  const number = (scope[LINKED] ??= []).push(urls) - 1;
  /** @param {string} name @returns {string | null} */
  const urlOf = (name) => {
    const known = urls.get(name);
    if (known !== undefined) return known;
    if (!Object.hasOwn(sources, name)) throw new Error(`the player's module ${name} is missing`);
    urls.set(name, null);
    const text = sources[name].replace(REFERENCES, (_, how, fixed, lazy, file) => {
      const url = urlOf(fixed ?? lazy ?? file);
      if (fixed && !url) throw new Error(`the player's module ${fixed} imports itself`);
      // What leads back to a module that isn't linked yet is looked up when it is needed.
      const later = `globalThis[Symbol.for("webrt linked modules")][${number}].get("${lazy ?? file}")`;
      const place = url ? JSON.stringify(url) : later;
      return fixed ? `${how}${place}` : lazy ? `await import(${place})` : `new URL(${place})`;
    });
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    urls.set(name, url);
    return url;
  };
  return Object.fromEntries(entries.map((name) => [name, /** @type {string} */ (urlOf(name))]));
}
