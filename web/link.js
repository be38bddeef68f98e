// Runs the player's modules from their text alone, where no server has them: in Pyodide out of the
// wheel, in a notebook out of messages. Each becomes a blob whose imports name the others' blobs.

/** What the player's sources say of one another: imports, imports when needed, and workers. */
const REFERENCES = /\b(from |import )"\.\/([\w-]+\.js)"|\bawait import\("\.\/([\w-]+\.js)"\)|\bnew URL\("\.\/([\w-]+\.js)", import\.meta\.url\)/g;

/** Where modules find what they import when they need it, in a page and in each of its workers. */
const LINKED = "webrt linked modules";

/** @param {string} text */
const blobOf = (text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));

/**
 * The URLs of modules, for `import(url)`; they and those that they need stay until the page goes.
 * Throws an Error for a module that isn't among `sources`, or that imports itself.
 * @param {Record<string, string>} sources texts by file name @param {readonly string[]} entries
 * @returns {Record<string, string>} URLs by file name
 */
export function link(sources, entries) {
  /** @type {Map<string, string | null>} null while a module's own imports are linked */
  const urls = new Map();
  /** @type {Map<string, string>} */
  const workers = new Map();
  /** @param {string} name @returns {string} */
  const urlOf = (name) => {
    const known = urls.get(name);
    if (known) return known;
    if (known === null) throw new Error(`the player's module ${name} imports itself`);
    if (!Object.hasOwn(sources, name)) throw new Error(`the player's module ${name} is missing`);
    urls.set(name, null);
    const text = sources[name].replace(REFERENCES, (_, how, fixed, lazy, worker) => {
      if (fixed) return `${how}${JSON.stringify(urlOf(fixed))}`;
      const found = `globalThis[Symbol.for("${LINKED}")][${number}]`;
      return lazy ? `await import(${found}.urlOf("${lazy}"))` : `new URL(${found}.workerOf("${worker}"))`;
    });
    const url = blobOf(text);
    urls.set(name, url);
    return url;
  };
  /** A worker links its modules itself, where it has more than one. @param {string} name */
  const workerOf = (name) => {
    const alone = sources[name].search(REFERENCES) < 0;
    const url = workers.get(name) ?? (alone ? urlOf(name) : blobOf(`
import { link } from ${JSON.stringify(blobOf(sources["link.js"]))};
const name = ${JSON.stringify(name)};
await import(link(${JSON.stringify(sources)}, [name])[name]);`));
    workers.set(name, url);
    return url;
  };
  const scope = /** @type {any} */ (globalThis);
  const number = (scope[Symbol.for(LINKED)] ??= []).push({ urlOf, workerOf }) - 1;
  return Object.fromEntries(entries.map((name) => [name, urlOf(name)]));
}
