export type Answer = import("./tune-worker.js").Answer;
export type Order = import("./tune-worker.js").Order;
export type TuneRecord = import("./records.js").TuneRecord;
export type Request = {
    seconds: number;
    open: Order & {
        type: "open";
    };
    dims: import("./dims.js").Bindings;
    records: () => object;
    silence: number;
    planted: readonly unknown[];
    assets: string | URL | undefined;
};
export type Heard = {
    type: "opened";
} | {
    type: "trying" | "tried" | "lost";
    problem: number;
    record: TuneRecord;
};
/** Whose turn it is: the page's runs go first. */
export declare class Turns {
    #private;
    /** Runs that are queued or under way. */
    runs: number;
    /** @type {{since: number, go: () => void} | null} the worker waits */
    asking: {
        since: number;
        go: () => void;
    } | null;
    working: boolean;
    /** Until when the worker goes on in spite of runs that wait. */
    until: number;
    /** Milliseconds that the worker has waited in all. */
    waited: number;
    /** @type {(() => void) | null} */
    ended: (() => void) | null;
    constructor();
    enter(): void;
    leave(): void;
    /** The worker asks for its next turn: the one that it had is over. @param {() => void} go */
    ask(go: () => void): void;
    /** The worker isn't at work any more. */
    over(): void;
    /** Before a run: let the worker finish its turn, and have its share where it has waited for long. */
    before(): Promise<void>;
}
/** A worker at its trials. */
export declare class Trials {
    #private;
    request: Request;
    turns: Turns;
    hear: (heard: Heard) => void;
    /** @type {Worker | null} */
    worker: Worker | null;
    /** @type {{problem: number, record: TuneRecord} | null} what is being tried */
    trying: {
        problem: number;
        record: TuneRecord;
    } | null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    watch: ReturnType<typeof setTimeout> | undefined;
    /** @type {{settle: (answer: Answer) => void, fail: (error: Error) => void} | null} */
    waiting: {
        settle: (answer: Answer) => void;
        fail: (error: Error) => void;
    } | null;
    stopped: boolean;
    /** @param {Request} request @param {Turns} turns @param {(heard: Heard) => void} hear */
    constructor(request: Request, turns: Turns, hear: (heard: Heard) => void);
    /** Try until the time is up; gives why it ended early, or null. @returns {Promise<string | null>} */
    run(): Promise<string | null>;
    /** End now. */
    stop(): void;
}
