/** Sizes of an attention over a cache. */
export interface AttentionSizes {
  readonly H: number;
  readonly KV: number;
  readonly D: number;
  readonly context: number;
}

/** Which cache positions the queries of `attention-tile.wgsl` see. */
export interface TileAttention extends AttentionSizes {
  readonly isCausal: boolean;
  readonly slot: number;
  readonly cacheStart: number;
}

/**
 * CPU twin of `attention-tile.wgsl`: q [rows, H, D], keys and values [slots, KV, context, D] to [rows, H, D].
 * Causal: row r sees positions 0 to cacheStart + r of its slot; full: positions 0 to rows - 1.
 */
export function attentionTileReference(
  q: Float32Array,
  keys: Float32Array,
  values: Float32Array,
  attention: TileAttention,
): Float32Array {
  const { H, D, isCausal, slot, cacheStart } = attention;
  const rows = q.length / (H * D);
  const output = new Float32Array(q.length);
  for (let row = 0; row < rows; row++) {
    const keyCount = isCausal ? cacheStart + row + 1 : rows;
    for (let head = 0; head < H; head++) {
      const first = (row * H + head) * D;
      const query = q.subarray(first, first + D);
      output.set(attend(query, keys, values, firstOfCache(attention, slot, head), keyCount), first);
    }
  }
  return output;
}

/** Index of the first cache value that a query head of a slot sees. */
export function firstOfCache({ H, KV, D, context }: AttentionSizes, slot: number, head: number): number {
  return (slot * KV + Math.floor(head / (H / KV))) * context * D;
}

/** softmax(q . k / sqrt(D)) . v over `keyCount` keys from `first` on, in f64: query [D] to [D]. */
export function attend(
  query: Float32Array,
  keys: Float32Array,
  values: Float32Array,
  first: number,
  keyCount: number,
): Float64Array {
  const D = query.length;
  const scores = Float64Array.from({ length: keyCount }, (_, key) => {
    let product = 0;
    for (let d = 0; d < D; d++) product += query[d] * keys[first + key * D + d];
    return product / Math.sqrt(D);
  });
  const best = scores.reduce((a, b) => Math.max(a, b));
  const shares = scores.map((score) => Math.exp(score - best));
  const whole = shares.reduce((a, b) => a + b);
  const output = new Float64Array(D);
  for (let key = 0; key < keyCount; key++) {
    for (let d = 0; d < D; d++) output[d] += (shares[key] / whole) * values[first + key * D + d];
  }
  return output;
}
