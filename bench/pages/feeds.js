// Feeds and timing that both contestants share.

/** A BERT's three int64 inputs. @param {number} batch @param {number} length */
export function bertFeeds(batch, length) {
  const size = batch * length;
  /** @param {(j: number) => number} value */
  const fill = (value) => BigInt64Array.from({ length: size }, (_, j) => BigInt(value(j)));
  return {
    input_ids: fill((j) => 5 + ((j * 7919) % 995)),
    attention_mask: fill(() => 1),
    token_type_ids: fill(() => 0),
  };
}

/** @template T @param {() => Promise<T>} work @returns {Promise<{ms: number, value: T}>} */
export async function timed(work) {
  const start = performance.now();
  const value = await work();
  return { ms: performance.now() - start, value };
}
