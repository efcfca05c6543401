import { createCache, type LoadRequest } from './load-model.ts';
import { readRaw } from './read-raw.ts';

addEventListener('message', async ({ data }: MessageEvent<LoadRequest['cache']>) => {
  const cache = createCache(data);
  postMessage(cache && (await readRaw(cache)));
});
