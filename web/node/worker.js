// A thread of the player in Node.js: a browser's names for what a worker has, then its module.

import { parentPort, workerData } from "node:worker_threads";

/** @type {any} */
const worker = globalThis;
worker.postMessage = parentPort.postMessage.bind(parentPort);
Object.defineProperty(worker, "navigator", { value: {} }); // no locks: Node tells when a thread ends
await import(workerData);
parentPort.on("message", (data) => worker.onmessage?.({ data }));
