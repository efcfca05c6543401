import { roundUp } from '../base/maths.ts';
import type { StoredArray } from '../model/quantization.ts';

/** MLC's cap of a shard; a larger array gets a shard of its own. */
export const SHARD_CAP_BYTES = 32 * 1024 * 1024;

/** Where one array lies in its shard. */
export interface PlannedArray extends StoredArray {
  readonly byteOffset: number;
}

/** One `params_shard_N.bin`. */
export interface PlannedShard {
  readonly dataPath: string;
  readonly byteLength: number;
  readonly arrays: readonly PlannedArray[];
}

/**
 * Distributes arrays over shards in their order. Offsets are multiples of 4, so that each array can be copied
 * to a GPU buffer straight from the shard's bytes.
 */
export function planShards(
  arrays: readonly StoredArray[],
  capBytes = SHARD_CAP_BYTES,
): readonly PlannedShard[] {
  const shards: PlannedShard[] = [];
  let pending: PlannedArray[] = [];
  let length = 0;
  const commit = (): void => {
    if (pending.length === 0) return;
    shards.push({ dataPath: `params_shard_${shards.length}.bin`, byteLength: length, arrays: pending });
    pending = [];
    length = 0;
  };
  for (const array of arrays) {
    const byteOffset = roundUp(length, 4);
    if (byteOffset + array.byteLength > capBytes) commit();
    const offset = pending.length === 0 ? 0 : byteOffset;
    pending.push({ ...array, byteOffset: offset });
    length = offset + array.byteLength;
  }
  commit();
  return shards;
}
