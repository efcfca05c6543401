import { patchPlaceReference } from './patch-place.reference.ts';

/** Sizes that `rope-vision.wgsl` computes with. */
export interface RopeVisionSizes {
  readonly H: number;
  readonly D: number;
  readonly spatialMergeSize: number;
  readonly gridColumns: number;
}

/**
 * CPU twin of `rope-vision.wgsl`: qkv [P, 3, H, D] and rope [positions, D / 4] (cosine, sine) to q [P, H, D]
 * and keys, values [H, P, D]. Dimensions i and i + D / 2 turn together, by the patch's row for i < D / 4 and
 * by its column beyond.
 */
export function ropeVisionReference(
  qkv: Float32Array,
  rope: Float32Array,
  { H, D, spatialMergeSize, gridColumns }: RopeVisionSizes,
): Record<'q' | 'keys' | 'values', Float32Array> {
  const P = qkv.length / (3 * H * D);
  const result = {
    q: new Float32Array(P * H * D),
    keys: new Float32Array(P * H * D),
    values: new Float32Array(P * H * D),
  };
  for (let patch = 0; patch < P; patch++) {
    const place = patchPlaceReference(patch, gridColumns, spatialMergeSize);
    for (let head = 0; head < H; head++) {
      const vector = (part: number): Float32Array => {
        const first = ((patch * 3 + part) * H + head) * D;
        return qkv.subarray(first, first + D);
      };
      result.q.set(rotate(vector(0), rope, place), (patch * H + head) * D);
      result.keys.set(rotate(vector(1), rope, place), (head * P + patch) * D);
      result.values.set(vector(2), (head * P + patch) * D);
    }
  }
  return result;
}

function rotate(
  vector: Float32Array,
  rope: Float32Array,
  { row, column }: { row: number; column: number },
): Float64Array {
  const half = vector.length / 2;
  const quarter = half / 2;
  const turned = new Float64Array(vector.length);
  for (let i = 0; i < half; i++) {
    const entry = (i < quarter ? row * quarter + i : column * quarter + i - quarter) * 2;
    const [cosine, sine] = [rope[entry], rope[entry + 1]];
    turned[i] = vector[i] * cosine - vector[i + half] * sine;
    turned[i + half] = vector[i + half] * cosine + vector[i] * sine;
  }
  return turned;
}
