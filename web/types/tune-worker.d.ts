export type Places = {
    pyodide: string;
    wheel: string;
};
export type Order = {
    type: "open";
    places: Places;
    manifest: string | Uint8Array;
    sha256: string;
    device: import("./devices.js").DeviceOptions;
} | {
    type: "serve";
    request: string;
} | {
    type: "go";
} | {
    type: "abandon";
};
export type Answer = {
    type: "opened";
} | {
    type: "want";
} | {
    type: "said";
    message: string;
} | {
    type: "done";
    report: string;
} | {
    type: "lost" | "failed";
    message: string;
};
