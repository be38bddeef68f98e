export type TuneOptions = {
    tune?: "off" | "background" | "now";
    dims?: Record<string, number>;
    budget?: number;
    pyodide?: string | URL;
    wheel?: string | URL;
    records?: string | URL;
    keepRecords?: boolean;
    postRecords?: string | URL;
    _trials?: {
        planted?: readonly unknown[];
        silence?: number;
        pause?: number;
    };
};
export type TuneProgress = {
    status: "tune";
    name: string;
    state: "loading" | "trial" | "rejected" | "swapped" | "failed" | "done";
    loaded: number;
    total: number;
    progress: number;
    trials: number;
    rejected: number;
    seconds: number;
    beforeMs: number;
    afterMs: number;
    problem?: string;
    reason?: string;
};
/**
 * `tune`: "off" (the default), "background" (once a run is over and none follows) or "now".
 * `dims`: the shape to tune, by the model's names; that of the last run if not given.
 * `budget`: seconds of trials. `pyodide`, `wheel`: where they are; `pyodide/` and `webrt.whl` beside
 * the player if not given. `records`: a file of records (….json), or a folder with a file a device.
 * `keepRecords: false` leaves IndexedDB alone. `postRecords`: a server that gets what was found here.
 * `_trials` is for tests only.
 * @typedef {{tune?: "off" | "background" | "now", dims?: Record<string, number>, budget?: number,
 *   pyodide?: string | URL, wheel?: string | URL, records?: string | URL, keepRecords?: boolean,
 *   postRecords?: string | URL,
 *   _trials?: {planted?: readonly unknown[], silence?: number, pause?: number}}} TuneOptions */
/**
 * `state`: Pyodide is loading, a trial was done, a schedule was rejected, a kernel was swapped in,
 * tuning failed (the session goes on) or is done. `loaded` and `total` are seconds; `beforeMs` and
 * `afterMs` add up the kernels of a run.
 * @typedef {{status: "tune", name: string,
 *   state: "loading" | "trial" | "rejected" | "swapped" | "failed" | "done",
 *   loaded: number, total: number, progress: number, trials: number, rejected: number,
 *   seconds: number, beforeMs: number, afterMs: number, problem?: string, reason?: string}} TuneProgress */
export {};
