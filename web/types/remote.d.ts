import { InferenceSession } from "./session.js";
export type Reply = import("./session-worker.js").Reply;
export type Request = import("./session-worker.js").Request;
export type Sent = import("./session-worker.js").Sent;
export type SentError = import("./session-worker.js").SentError;
export type State = import("./session-worker.js").State;
export type Signature = import("./session-worker.js").Signature;
export type Options = import("./session.js").Options;
export type Feeds = import("./bind.js").Feeds;
export type Outcome = import("./records.js").Outcome;
export type Times = import("./auto.js").Times;
export type Waiting = {
    resolve: (value: any) => void;
    reject: (error: unknown) => void;
};
/**
 * `InferenceSession.create` in a worker of its own.
 * @param {any} source @param {Options} options @returns {Promise<InferenceSession>}
 */
export declare function createRemote(source: any, { signal, onProgress, worker, ...options }: Options): Promise<InferenceSession>;
