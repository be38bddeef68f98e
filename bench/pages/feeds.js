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

/** What Python sends: an input's name, type, dims and bytes. @typedef {{name: string, type: string,
 * dims: number[], data: string}} Sent */

/** @type {Record<string, any>} */
const ARRAYS = {
  float32: Float32Array, float64: Float64Array, int64: BigInt64Array, int32: Int32Array,
  int8: Int8Array, uint8: Uint8Array, bool: Uint8Array,
};

/** Inputs as contestants' tensors. @template T @param {Sent[]} sent
 * @param {(type: any, data: any, dims: number[]) => T} tensor @returns {Record<string, T>} */
export function received(sent, tensor) {
  return Object.fromEntries(sent.map(({ name, type, dims, data }) => {
    const { buffer } = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    return [name, tensor(type, new ARRAYS[type](buffer), dims)];
  }));
}

/** @template T @param {() => Promise<T>} work @returns {Promise<{ms: number, value: T}>} */
export async function timed(work) {
  const start = performance.now();
  const value = await work();
  return { ms: performance.now() - start, value };
}
