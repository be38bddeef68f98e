export type Call = {
    entry: number;
    args: number;
    units: number;
};
export type Operation = {
    kind: "write";
    address: number;
    data: Uint8Array;
} | {
    kind: "scatter";
    data: Uint8Array<ArrayBuffer>;
    parts: {
        address: number;
        from: number;
        bytes: number;
    }[];
} | {
    kind: "zero";
    address: number;
    bytes: number;
} | {
    kind: "read";
    address: number;
    bytes: number;
} | {
    kind: "replay";
    program: number;
    scratch: number;
    stride: number;
} | {
    kind: "exercise";
    calls: Call[];
    scratch: number;
    ms: number;
    left: number;
} | {
    kind: "park";
};
export type Message = {
    type: "start";
    worker: number;
    workers: number;
    memory: WebAssembly.Memory | null;
} | {
    type: "load";
    module: WebAssembly.Module;
} | {
    type: "run";
    id: number;
    pages: number;
    operations: Operation[];
};
export {};
