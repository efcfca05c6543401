import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test as base, type BrowserContext, type Page } from '@playwright/test';
import { createServer } from 'vite';
import { startFaultServer, type FaultServer } from '../fault-server.ts';
import { createRandomModelFolder, type RandomModelFolder } from '../model-folder.ts';
import type { ShardListing } from '../../src/storage/shard-cache.ts';
import type { LoadRequest, LoadResult } from './load-model.ts';

const MIB = 1024 * 1024;

interface StorageFixtures {
  /** Shards of 9 MiB, 100 bytes, 4 MiB and 5 MiB: with and without a broken last piece. */
  folder: RandomModelFolder;
  server: FaultServer;
  /** Opens another tab of the same profile. */
  openTab: (context?: BrowserContext) => Promise<Page>;
  /** A folder for a browser profile that outlives its browser. */
  profile: string;
}

interface StorageWorkerFixtures {
  /** Address of the test page. */
  pageUrl: string;
}

/** Playwright's `test` with a page server, a model folder and a server that misbehaves. */
export const test = base.extend<StorageFixtures, StorageWorkerFixtures>({
  pageUrl: [
    // oxlint-disable-next-line no-empty-pattern -- Playwright reads a fixture's needs from this pattern.
    async ({}, use) => {
      const cacheDir = await mkdtemp(join(tmpdir(), 'autoglm-vite-'));
      const server = await createServer({
        root: resolve(import.meta.dirname, '../..'),
        configFile: false,
        cacheDir,
        logLevel: 'error',
        server: { port: 0, host: '127.0.0.1', hmr: false, watch: null },
        // Found while a test runs, they would reload its page.
        optimizeDeps: {
          noDiscovery: true,
          include: ['idb-keyval', 'hash-wasm', '@noble/hashes/sha2.js', '@noble/hashes/utils.js'],
        },
      });
      await server.listen();
      await use(`${server.resolvedUrls?.local[0]}e2e/storage/page.html`);
      await server.close();
      await rm(cacheDir, { recursive: true, force: true });
    },
    { scope: 'worker' },
  ],
  // oxlint-disable-next-line no-empty-pattern -- as above.
  folder: async ({}, use) => {
    await use(createRandomModelFolder([9 * MIB + 10, 100, 4 * MIB, 5 * MIB + 2]));
  },
  server: async ({ folder }, use) => {
    const server = await startFaultServer(folder.files);
    await use(server);
    await server.close();
  },
  openTab: async ({ context, pageUrl }, use) => {
    await use((other = context) => openPage(other, pageUrl));
  },
  // oxlint-disable-next-line no-empty-pattern -- as above.
  profile: async ({}, use) => {
    const path = await mkdtemp(join(tmpdir(), 'autoglm-profile-'));
    await use(path);
    await rm(path, { recursive: true, force: true });
  },
});

/** Opens the test page and waits until its script has run. */
export async function openPage(context: BrowserContext, pageUrl: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(pageUrl);
  await page.waitForFunction(() => 'storageTest' in window);
  return page;
}

/** Loads the model in a worker of the page. */
export function load(page: Page, request: LoadRequest): Promise<LoadResult> {
  return page.evaluate((options) => window.storageTest.loadInWorker(options), request);
}

/** What the cache holds, whole and partial. */
export function listShards(page: Page, kind: LoadRequest['cache'] = 'indexeddb'): Promise<ShardListing[]> {
  return page.evaluate(async (name) => (await window.storageTest.createCache(name)?.list()) ?? [], kind);
}

/** Bytes of all shards that the server sent. */
export function shardBytesServed(server: FaultServer, folder: RandomModelFolder): number {
  return folder.shardPaths.reduce((total, path) => total + server.bytesServed(path), 0);
}

export { expect } from '@playwright/test';
