import type { CDPSession } from '@playwright/test';
import { createRandomModelFolder } from '../model-folder.ts';
import { startFaultServer } from '../fault-server.ts';
import { test, load, openPage } from './fixtures.ts';

const MIB = 1024 * 1024;
/** Shards as MLC cuts them: 32 MiB, and one as large as the token embedding. */
const SHARD_BYTES = [...Array.from({ length: 7 }, () => 32 * MIB), 310_000_000];

/** Prints MB/s of each way that weights take. Not a test: `AUTOGLM_BENCH=1 npx playwright test -c e2e/storage`. */
test('speed of the ways that weights take', async ({ playwright, launchOptions, pageUrl, profile }) => {
  test.setTimeout(600_000);
  // A profile on disk: Playwright's own contexts are private windows, which keep everything in memory.
  const context = await playwright.chromium.launchPersistentContext(profile, launchOptions);
  const folder = createRandomModelFolder(SHARD_BYTES);
  const server = await startFaultServer(folder.files);
  const rows: Record<string, string> = {};
  const note = (name: string, milliseconds: number): void => {
    rows[name] = `${Math.round(folder.byteLength / 1000 / milliseconds)} MB/s`;
  };
  try {
    for (const cache of ['none', 'indexeddb', 'opfs'] as const) {
      const page = await openPage(context, pageUrl);
      const request = { url: server.url, cache, isHashed: false, stallTimeoutMs: 30_000 };
      const cold = await load(page, request);
      if (cold.error) throw new Error(cold.error.message);
      note(`network -> ${cache} -> consumer`, cold.milliseconds);
      if (cache === 'none') continue;
      for (const round of [1, 2, 3]) {
        note(`${cache} -> consumer, run ${round}`, (await load(page, request)).milliseconds);
      }
      const raw = await page.evaluate((kind) => window.storageTest.readRaw(kind), cache);
      note(`${cache} -> raw read`, raw);
      await page.close();
    }
    const page = await openPage(context, pageUrl);
    const devtools = await context.newCDPSession(page);
    await devtools.send('HeapProfiler.collectGarbage');
    for (const from of ['cache', 'network'] as const) {
      if (from === 'network') await page.evaluate(() => window.storageTest.clear());
      const watch = watchHeap(devtools);
      await page.evaluate(
        (url) => window.storageTest.loadInPage({ url, cache: 'indexeddb', isHashed: false }),
        server.url,
      );
      rows[`peak JS heap with array buffers, from ${from}`] = `${Math.round((await watch()) / 1e6)} MB`;
    }
  } finally {
    await context.close();
    await server.close();
  }
  console.table(rows);
});

/** Samples the page's heap until called back. */
function watchHeap(devtools: CDPSession): () => Promise<number> {
  let peakBytes = 0;
  const stop = new AbortController();
  const done = (async () => {
    while (!stop.signal.aborted) {
      const usage = (await devtools.send('Runtime.getHeapUsage')) as {
        usedSize: number;
        backingStorageSize?: number;
      };
      peakBytes = Math.max(peakBytes, usage.usedSize + (usage.backingStorageSize ?? 0));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  return async () => {
    stop.abort();
    await done;
    return peakBytes;
  };
}
