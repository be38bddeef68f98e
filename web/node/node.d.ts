// What of Node.js is used here: its own types would be the checks' largest package.

declare module "node:fs" {
  export function createReadStream(path: string): import("node:stream").Readable;
}
declare module "node:fs/promises" {
  export function stat(path: string): Promise<{ isFile(): boolean }>;
}
declare module "node:os" {
  export function availableParallelism(): number;
}
declare module "node:stream" {
  export class Readable {
    static toWeb(stream: Readable): ReadableStream<Uint8Array<ArrayBuffer>>;
  }
}
declare module "node:url" {
  export function fileURLToPath(url: URL): string;
  export function pathToFileURL(path: string): URL;
}
declare module "node:worker_threads" {
  interface Port {
    postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void;
    on(event: "message", hear: (data: any) => void): void;
  }
  export class Worker implements Port {
    constructor(module: URL, options: { workerData: unknown });
    postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void;
    on(event: "message", hear: (data: any) => void): void;
    on(event: "error", hear: (error: Error) => void): void;
    on(event: "exit", hear: (code: number) => void): void;
    ref(): void;
    unref(): void;
    terminate(): Promise<number>;
  }
  /** Null in the main thread only. */
  export const parentPort: Port;
  export const workerData: any;
}
