/** Sizes that `rope-append.wgsl` computes with. */
export interface RopeAppendSizes {
  readonly H: number;
  readonly KV: number;
  readonly D: number;
  readonly rotaryDimensions: number;
  readonly mropeSections: readonly [number, number, number];
  readonly context: number;
}

/** Where a token is and where its key and value go. */
export interface TokenPlace {
  /** Time, row and column. */
  readonly position: readonly [number, number, number];
  readonly slot: number;
  readonly cacheIndex: number;
}

/**
 * CPU twin of `rope-append.wgsl`: qkv [T, (H + 2 KV) D], bias [(H + 2 KV) D] and rope [positions,
 * rotaryDimensions / 2] (cosine, sine) to q [T, H, D]; writes keys and values [slots, KV, context, D].
 */
export function ropeAppendReference(
  { qkv, bias, rope }: Record<'qkv' | 'bias' | 'rope', Float32Array>,
  tokens: readonly TokenPlace[],
  { keys, values }: Record<'keys' | 'values', Float32Array>,
  sizes: RopeAppendSizes,
): Float32Array {
  const { H, KV, D, context } = sizes;
  const q = new Float32Array(tokens.length * H * D);
  tokens.forEach(({ position, slot, cacheIndex }, t) => {
    for (let head = 0; head < H + 2 * KV; head++) {
      const first = head * D;
      const raw = Float64Array.from({ length: D }, (_, d) => {
        return qkv[t * bias.length + first + d] + bias[first + d];
      });
      const isValue = head >= H + KV;
      const vector = isValue ? raw : rotate(raw, rope, position, sizes);
      const kvHead = (head - H) % KV;
      if (head < H) q.set(vector, (t * H + head) * D);
      else (isValue ? values : keys).set(vector, ((slot * KV + kvHead) * context + cacheIndex) * D);
    }
  });
  return q;
}

/** Turns the first dimensions in interleaved pairs, each pair by the position of its section. */
function rotate(
  vector: Float64Array,
  rope: Float32Array,
  position: TokenPlace['position'],
  { rotaryDimensions, mropeSections }: RopeAppendSizes,
): Float64Array {
  const turned = vector.slice();
  const pairs = rotaryDimensions / 2;
  const axes = mropeSections.flatMap((count, axis) => Array.from({ length: count }, () => axis));
  for (let pair = 0; pair < pairs; pair++) {
    const entry = (position[axes[pair]] * pairs + pair) * 2;
    const [cosine, sine] = [rope[entry], rope[entry + 1]];
    const [even, odd] = [vector[pair * 2], vector[pair * 2 + 1]];
    turned[pair * 2] = even * cosine - odd * sine;
    turned[pair * 2 + 1] = odd * cosine + even * sine;
  }
  return turned;
}
