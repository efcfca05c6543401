import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer as createVite } from 'vite';
import { expect, test } from './fixtures.ts';
import { watchHeap } from './watch-heap.ts';

/**
 * Loads a model folder as the engine's worker does, from the network without and with a cache, and from the cache.
 * Not a test of every run: write a folder with `autoglm synth`, then
 * `AUTOGLM_BENCH=1 AUTOGLM_MODEL=folder npx playwright test -c e2e/storage load.bench`.
 */
const MODEL = process.env['AUTOGLM_MODEL'];
const LOADS = [
  ['network, nothing kept', 'none'],
  ['network, kept in IndexedDB', 'indexeddb'],
  ['IndexedDB', 'indexeddb'],
] as const;
const HEAP_BOUND = 200e6;

test('a model of the real widths loads within its bounds', async ({ playwright, launchOptions, profile }) => {
  test.skip(!MODEL, 'AUTOGLM_MODEL names no folder');
  test.setTimeout(1_800_000);
  const pages = await createVite({
    root: join(import.meta.dirname, '../..'),
    configFile: false,
    logLevel: 'error',
    server: {
      port: 0,
      host: '127.0.0.1',
      hmr: false,
      watch: null,
    },
  });
  await pages.listen();
  const files = await serveFolder(MODEL as string);
  const context = await playwright.chromium.launchPersistentContext(profile, {
    ...launchOptions,
    args: [...(launchOptions.args ?? []), '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  });
  try {
    const page = await context.newPage();
    await page.goto(`${pages.resolvedUrls?.local[0]}e2e/storage/engine-load.html`);
    await page.waitForFunction(() => 'loadEngine' in window, undefined, { timeout: 60_000 });
    for (const [name, cache] of LOADS) {
      const request = { url: files.url, cache, contextWindow: 512, outputTokens: 2 };
      const { result, peakHeapBytes, samples } = await watchHeap(page, () =>
        page.evaluate((options) => window.loadEngine(options), request),
      );
      const { storedBytes, streamMs, loadMs, gpuBytes, raw, plan, tokenIds } = result;
      const planned = (plan?.memory.totalBytes ?? 0) - (plan?.memory.visionBytes ?? 0);
      console.log(
        JSON.stringify({
          from: name,
          MB: Math.round(storedBytes / 1e6),
          MBps: Math.round(storedBytes / 1000 / streamMs),
          storeMBps: raw && Math.round(raw.byteLength / 1000 / raw.milliseconds),
          loadMs: Math.round(loadMs),
          peakHeapMB: Math.round(peakHeapBytes / 1e6),
          samples,
          gpuBytes,
          planned,
          tokenIds,
        }),
      );
      // Without an image its scratch is not there yet.
      expect(Math.abs(gpuBytes - planned)).toBeLessThanOrEqual(planned * 0.01);
      // A peak that was looked for at few moments of a load is none.
      expect(samples).toBeGreaterThanOrEqual(loadMs / 1000);
      expect(peakHeapBytes).toBeGreaterThan(0);
      expect(peakHeapBytes).toBeLessThanOrEqual(HEAP_BOUND);
    }
  } finally {
    await context.close();
    await files.close();
    await pages.close();
  }
});

/** A plain server over a folder on disk. */
async function serveFolder(folder: string): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer(async ({ url }, response) => {
    const path = join(folder, decodeURIComponent(new URL(url ?? '', 'http://x').pathname));
    response.setHeader('access-control-allow-origin', '*');
    const size = await stat(path).then(
      (file) => file.size,
      () => undefined,
    );
    if (size === undefined) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-length': size });
    createReadStream(path, { highWaterMark: 2 ** 20 }).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
