import { PIECE_BYTES } from '../../src/storage/pieces.ts';
import { createCache, type LoadRequest } from './load-model.ts';

/** Reads every shard of a cache as fast as the store gives them. */
addEventListener('message', async ({ data }: MessageEvent<LoadRequest['cache']>) => {
  const cache = createCache(data);
  const shards = (await cache?.list()) ?? [];
  const startMs = performance.now();
  let buffer = new ArrayBuffer(PIECE_BYTES);
  for (const { key } of shards) {
    const cached = await cache?.get(key);
    if (cached === undefined) continue;
    const reader = await cached.openReader();
    for (;;) {
      const { byteLength, buffer: memory } = await reader.read(buffer);
      buffer = memory;
      if (byteLength === 0) break;
    }
    await reader.close();
  }
  postMessage({ milliseconds: performance.now() - startMs });
});
