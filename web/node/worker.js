// A thread of the player in Node.js: a browser's names for what a worker has, then its module.

import { parentPort, workerData } from "node:worker_threads";

const page = /** @type {import("node:worker_threads").MessagePort} */ (parentPort);
/** @type {any} */
const worker = globalThis;
worker.postMessage = page.postMessage.bind(page);
Object.defineProperty(worker, "navigator", { value: {} }); // no locks: Node tells when a thread ends
await import(workerData);
page.on("message", (data) => worker.onmessage?.({ data }));
