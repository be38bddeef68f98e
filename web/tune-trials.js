// The page's side of the worker that tunes: when it may work, what it found, and when it is given up.

import { messageOf } from "./errors.js";
import { readRecords } from "./records.js";
import { assetWorker, checkOrigin, firstReady, wrappedWorker } from "./threads.js";

/** @typedef {import("./tune-worker.js").Answer} Answer */
/** @typedef {import("./tune-worker.js").Order} Order */
/** @typedef {import("./records.js").TuneRecord} TuneRecord */
/** `seconds` to try, `open` tells the worker where everything is, `records` what is known so far;
 * a trial that says nothing for `silence` milliseconds is given up. `planted` is for tests.
 * @typedef {{seconds: number, open: Order & {type: "open"}, dims: import("./dims.js").Bindings,
 *   records: () => object, silence: number, planted: readonly unknown[],
 *   assets: string | URL | undefined}} Request */
/** What the page hears: `trying` and `tried` hold one trial; `lost` is one that took the device.
 * @typedef {{type: "opened"} | {type: "trying" | "tried" | "lost", problem: number,
 *   record: TuneRecord}} Heard */

/** Milliseconds: for Pyodide to be loaded, for the worker to plan, and to end what it was told to. */
const OPENING_MS = 180_000, PLANNING_MS = 120_000, ENDING_MS = 3000;

/** Workers, or devices of theirs, that may be lost before tuning is given up. */
const MOST_LOSSES = 6;

/** A run waits so long at most for the worker's turn to end. */
const TURN_MS = 50;

/** A worker that the page's runs have left no turn for so long gets a share of that time. */
const PATIENCE_MS = 1000, SHARE = 0.1;

/** Whose turn it is: the page's runs go first. */
export class Turns {
  constructor() {
    /** Runs that are queued or under way. */
    this.runs = 0;
    /** @type {{since: number, go: () => void} | null} the worker waits */
    this.asking = null;
    this.working = false;
    /** Until when the worker goes on in spite of runs that wait. */
    this.until = 0;
    /** Milliseconds that the worker has waited in all. */
    this.waited = 0;
    /** @type {(() => void) | null} */
    this.ended = null;
  }

  enter() {
    this.runs += 1;
  }

  leave() {
    this.runs -= 1;
    if (!this.runs) this.#grant();
  }

  /** The worker asks for its next turn: the one that it had is over. @param {() => void} go */
  ask(go) {
    this.asking = { since: performance.now(), go };
    if (!this.runs || performance.now() < this.until) this.#grant();
    else this.over();
  }

  #grant() {
    if (!this.asking) return;
    this.waited += performance.now() - this.asking.since;
    this.working = true;
    this.asking.go();
    this.asking = null;
  }

  /** The worker isn't at work any more. */
  over() {
    this.working = false;
    this.ended?.();
    this.ended = null;
  }

  /** Before a run: let the worker finish its turn, and have its share where it has waited for long. */
  async before() {
    const now = performance.now();
    const waited = this.asking ? now - this.asking.since : 0;
    if (waited > PATIENCE_MS) {
      this.until = now + SHARE * waited;
      this.#grant();
    }
    if (this.working) {
      await new Promise((resolve) => {
        this.ended = () => resolve(undefined);
        setTimeout(resolve, Math.max(TURN_MS, this.until - now));
      });
    }
    this.until = 0;
  }
}

/** A worker at its trials. */
export class Trials {
  /** @param {Request} request @param {Turns} turns @param {(heard: Heard) => void} hear */
  constructor(request, turns, hear) {
    this.request = request;
    this.turns = turns;
    this.hear = hear;
    /** @type {Worker | null} */
    this.worker = null;
    /** @type {{problem: number, record: TuneRecord} | null} what is being tried */
    this.trying = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.watch = undefined;
    /** @type {{settle: (answer: Answer) => void, fail: (error: Error) => void} | null} */
    this.waiting = null;
    this.stopped = false;
  }

  /** Try until the time is up; gives why it ended early, or null. @returns {Promise<string | null>} */
  async run() {
    const { seconds } = this.request;
    let start = NaN;
    try {
      for (let losses = 0; ; losses++) {
        if (!this.worker) await this.#open();
        if (Number.isNaN(start)) start = performance.now() - this.turns.waited;
        const left = seconds - (performance.now() - start - this.turns.waited) / 1000;
        if (left <= 0 || this.stopped) return null;
        if (losses > MOST_LOSSES) return "too many trials took the device with them";
        const answer = await this.#serve(left);
        if (answer.type === "done") return null;
        if (answer.type !== "lost") return "message" in answer ? answer.message : "it stopped";
        if (this.trying) this.hear({ type: "lost", ...this.trying });
        this.trying = null;
      }
    } catch (error) {
      return this.stopped ? null : messageOf(error);
    } finally {
      this.stop();
    }
  }

  /** End now. */
  stop() {
    this.stopped = true;
    this.#end();
    this.waiting?.fail(new Error("it was stopped"));
    this.turns.asking = null;
    this.turns.over();
  }

  #end() {
    clearTimeout(this.watch);
    this.worker?.terminate();
    this.worker = null;
  }

  async #open() {
    this.worker = await startWorker(this.request.assets);
    if (this.stopped) return this.#end();
    this.worker.onmessage = ({ data }) => this.#heard(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.waiting?.fail(new Error(event.message || "the tuning worker stopped"));
    };
    const answer = await this.#ask(this.request.open, OPENING_MS);
    if (answer.type === "failed") throw new Error(answer.message);
    this.hear({ type: "opened" });
    return undefined;
  }

  /** @param {number} seconds @returns {Promise<Answer>} */
  async #serve(seconds) {
    const { dims, planted, records } = this.request;
    const request = JSON.stringify({ dims, seconds, planted, records: records() });
    try {
      return await this.#ask({ type: "serve", request }, PLANNING_MS);
    } catch (error) {
      if (!(error instanceof SilenceError) || this.stopped) throw error;
      return this.#abandon();
    }
  }

  /** The trial never ends. Taking its device away is quick, where the worker can still do it; else
   * the worker goes too. @returns {Promise<Answer>} */
  async #abandon() {
    try {
      const answer = await this.#ask({ type: "abandon" }, ENDING_MS);
      if (answer.type === "lost") return answer;
    } catch {
      // it doesn't answer any more
    }
    this.#end();
    return { type: "lost", message: "" };
  }

  /** What the worker answers at last. @param {Order} order @param {number} most milliseconds
   * @returns {Promise<Answer>} */
  #ask(order, most) {
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(this.watch);
        this.waiting = null;
        this.turns.over();
      };
      this.waiting = {
        settle: (answer) => { end(); resolve(answer); },
        fail: (error) => { end(); reject(error); },
      };
      this.worker?.postMessage(order);
      this.#expect(most);
    });
  }

  /** The worker has to say something within so many milliseconds. @param {number} most */
  #expect(most) {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.waiting?.fail(new SilenceError("the tuning worker is silent")), most);
  }

  /** @param {Answer} answer */
  #heard(answer) {
    const patience = () => (this.trying ? this.request.silence : PLANNING_MS);
    if (answer.type === "want") {
      clearTimeout(this.watch); // it is the page that lets it wait
      this.turns.ask(() => {
        this.worker?.postMessage({ type: "go" });
        this.#expect(patience());
      });
    } else if (answer.type === "said") {
      try {
        this.#said(answer.message);
        this.#expect(patience());
      } catch (error) {
        this.waiting?.fail(error instanceof Error ? error : new Error(messageOf(error)));
      }
    } else {
      this.waiting?.settle(answer);
    }
  }

  /** @param {string} message */
  #said(message) {
    const { type, problem, record: data } = JSON.parse(message);
    const form = { format: "webrt records", version: 1, records: [data] };
    const [record] = readRecords(form, "the tuning worker");
    const said = { problem: Number(problem), record };
    this.trying = type === "trying" ? said : null;
    this.hear({ type: type === "trying" ? "trying" : "tried", ...said });
  }
}

/** The worker said nothing for too long. */
class SilenceError extends Error {}

/** @param {string | URL} [assets] @returns {Promise<Worker>} */
function startWorker(assets) {
  return firstReady(assets ? [() => assetWorker("tune-worker.js", assets)]
    : [ownWorker, () => wrappedWorker(new URL("./tune-worker.js", import.meta.url))]);
}

function ownWorker() {
  checkOrigin(import.meta.url);
  // Bundlers know this very expression.
  return new Worker(new URL("./tune-worker.js", import.meta.url), { type: "module" });
}
