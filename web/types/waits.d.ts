export type Range = readonly [number, number];
/**
 * For each step, given as what it reads and what it writes, whether it waits for all before: where
 * it reads what a step since the last wait writes, or writes what one since then reads or writes.
 * @param {readonly (readonly [readonly Range[], readonly Range[]])[]} steps @returns {boolean[]}
 */
export declare function waits(steps: readonly (readonly [readonly Range[], readonly Range[]])[]): boolean[];
