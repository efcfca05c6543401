import { PIECE_BYTES } from '../../src/storage/pieces.ts';
import type { ShardCache } from '../../src/storage/shard-cache.ts';

/** What reading a whole store came to. */
export interface RawRead {
  readonly byteLength: number;
  readonly milliseconds: number;
}

/** Reads every shard of a cache as fast as the store gives them. */
export async function readRaw(cache: ShardCache): Promise<RawRead> {
  const shards = await cache.list();
  const startMs = performance.now();
  let buffer = new ArrayBuffer(PIECE_BYTES);
  let total = 0;
  for (const { key } of shards) {
    const cached = await cache.get(key);
    if (cached === undefined) continue;
    const reader = await cached.openReader();
    for (;;) {
      const { byteLength, buffer: memory } = await reader.read(buffer);
      buffer = memory.byteLength === PIECE_BYTES ? memory : new ArrayBuffer(PIECE_BYTES);
      total += byteLength;
      if (byteLength === 0) break;
    }
    await reader.close();
  }
  return { byteLength: total, milliseconds: performance.now() - startMs };
}
