import { InferenceSession } from "./session.js";
export type Sent = {
    type: string;
    dims: readonly number[] | null;
    array?: any;
};
export type SentError = {
    name: string;
    message: string;
    stack?: string;
};
export type State = Pick<InferenceSession, "deviceInfo" | "float16" | "compiledKernels">;
export type Fixed = "inputNames" | "outputNames" | "inputMetadata" | "outputMetadata";
export type Signature = Pick<InferenceSession, Fixed>;
export type Request = {
    type: "create";
    id: number;
    lock: string;
    source: any;
    options: any;
} | {
    type: "run";
    id: number;
    feeds: Record<string, Sent | null>;
    fetches?: readonly string[];
} | {
    type: "call";
    id: number;
    method: string;
    args: unknown[];
} | {
    type: "abort";
    id: number | null;
} | {
    type: "release";
    id: number;
};
export type Reply = {
    type: "held";
} | {
    type: "progress";
    info: import("./progress.js").ProgressInfo;
} | {
    type: "tuned";
    value: import("./records.js").Outcome | null;
} | {
    type: "compared";
    value: import("./auto.js").Times | null;
} | {
    type: "answer";
    id: number;
    value?: any;
} | {
    type: "error";
    id: number;
    error: SentError;
};
