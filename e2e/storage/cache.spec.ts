import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BrowserContext, Page } from '@playwright/test';
import { startFaultServer, type FaultServer } from '../fault-server.ts';
import { createRandomModelFolder, shardKey, type RandomModelFolder } from '../model-folder.ts';
import { expect, listShards, load, openPage, shardBytesServed, test } from './fixtures.ts';
import { launchKillableBrowser } from './killable-browser.ts';

const MIB = 1024 * 1024;
const FIRST = 'params_shard_0.bin';
/** 64 KiB in 40 ms: the first shard takes six seconds. */
const SLOW = { kind: 'slow', millisecondsPerChunk: 40 } as const;
const SLOW_BYTES_PER_SECOND = (64 * 1024) / 0.04;
/** What three shards in flight lose when their tab dies: two seconds, and the piece that was not full. */
const MOST_LOST_BYTES = 3 * (2 * SLOW_BYTES_PER_SECOND + 4 * MIB);

test.describe('a complete model', () => {
  for (const cache of ['indexeddb', 'opfs'] as const) {
    test(`loads without its server (${cache})`, async ({ folder, server, openTab }) => {
      expect((await load(await openTab(), { url: server.url, cache })).error).toBeUndefined();
      await server.close();
      const result = await load(await openTab(), { url: server.url, cache });
      expect(result.error).toBeUndefined();
      expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
    });

    for (const damage of ['flipped', 'shortened', 'deleted'] as const) {
      test(`fetches a shard that was ${damage} again, alone (${cache})`, async ({
        folder,
        server,
        openTab,
      }) => {
        const page = await openTab();
        await load(page, { url: server.url, cache });
        await damageShard(page, cache, shardKey(folder.files.get(FIRST) as Uint8Array), damage);
        server.clear();
        const result = await load(page, { url: server.url, cache });
        expect(result.error).toBeUndefined();
        expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
        expect(server.requests.map(({ path, sentBytes }) => [path, sentBytes])).toEqual([
          [FIRST, folder.files.get(FIRST)?.byteLength],
        ]);
      });
    }
  }

  test('says so when a damaged shard cannot be fetched again, and recovers', async ({
    folder,
    server,
    openTab,
  }) => {
    const page = await openTab();
    const request = { url: server.url, cache: 'indexeddb' } as const;
    await load(page, request);
    await damageShard(page, 'indexeddb', shardKey(folder.files.get(FIRST) as Uint8Array), 'flipped');
    server.planFaults = () => ({ kind: 'status', status: 503 });
    expect((await load(page, request)).error).toMatchObject({ code: 'http-status' });
    server.planFaults = () => undefined;
    expect((await load(page, request)).tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
  });

  test('is noticed to have changed at its source, and only what differs is fetched', async ({
    folder,
    server,
    openTab,
  }) => {
    const page = await openTab();
    const request = { url: server.url, cache: 'indexeddb' } as const;
    await load(page, request);
    server.clear();
    // The manifest alone is asked for, by its tag: nothing is sent.
    expect((await load(page, { ...request, refresh: 'auto' })).error).toBeUndefined();
    expect(server.requests.map(({ path, status, sentBytes }) => ({ path, status, sentBytes }))).toEqual([
      { path: 'tensor-cache.json', status: 304, sentBytes: 0 },
    ]);

    const revision = createRandomModelFolder([9 * MIB + 10, 100, 4 * MIB, 5 * MIB + 2, MIB], 1);
    for (const [path, bytes] of revision.files) server.files.set(path, bytes);
    server.files.set(FIRST, revision.files.get(FIRST) as Uint8Array);
    server.clear();
    const result = await load(page, { ...request, refresh: 'auto' });
    expect(result.tensorHashes).toEqual(Object.fromEntries(revision.tensorHashes));
    expect(shardBytesServed(server, revision)).toBe(MIB);
    expect(folder.shardPaths).toHaveLength(revision.shardPaths.length - 1);

    // A source that is away, broken or another's sign-in page is no new revision.
    for (const fault of [
      { kind: 'html' },
      { kind: 'status', status: 500 },
      { kind: 'status', status: 404 },
      { kind: 'stall', afterBytes: 0 },
      { kind: 'truncate', byteLength: 40 },
    ] as const) {
      server.planFaults = () => fault;
      const { tensorHashes } = await load(page, { ...request, refresh: 'auto', isHashed: true });
      expect(tensorHashes).toEqual(Object.fromEntries(revision.tensorHashes));
    }
    await server.close();
    const offline = await load(page, { ...request, refresh: 'auto' });
    expect(offline.tensorHashes).toEqual(Object.fromEntries(revision.tensorHashes));
  });

  test('asks for no file that its folder does not list', async ({ server, openTab }) => {
    await load(await openTab(), { url: server.url, cache: 'indexeddb' });
    expect(server.requests.filter(({ status }) => status === 404)).toEqual([]);
  });

  for (const damage of ['flipped', 'deleted'] as const) {
    test(`survives a file of the browser's profile that was ${damage}`, async ({
      folder,
      server,
      pageUrl,
      playwright,
      launchOptions,
      headless,
      profile,
    }) => {
      const launch = (): Promise<BrowserContext> =>
        playwright.chromium.launchPersistentContext(profile, { ...launchOptions, headless });
      const before = await launch();
      await load(await openPage(before, pageUrl), { url: server.url, cache: 'indexeddb' });
      await before.close();
      const path = await findFileOfSize(profile, folder.files.get(FIRST)?.byteLength ?? 0);
      if (damage === 'deleted') await rm(path);
      else await flipByteOfFile(path, 3 * MIB);

      server.clear();
      const after = await launch();
      const result = await load(await openPage(after, pageUrl), { url: server.url, cache: 'indexeddb' });
      await after.close();
      expect(result.error).toBeUndefined();
      expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
      expect(shardBytesServed(server, folder)).toBe(folder.files.get(FIRST)?.byteLength);
    });
  }
});

test.describe('a download that is interrupted', () => {
  for (const cache of ['indexeddb', 'opfs'] as const) {
    test(`goes on inside a shard after its tab was closed (${cache})`, async ({
      folder,
      server,
      openTab,
    }) => {
      server.planFaults = () => SLOW;
      const page = await openTab();
      void load(page, { url: server.url, cache }).catch(() => {});
      const observer = await openTab();
      await waitForPartial(observer, cache);
      await page.close();
      await expectToResume(observer, server, folder, cache);
    });
  }

  test('goes on inside a shard after a reload', async ({ folder, server, openTab, pageUrl }) => {
    server.planFaults = () => SLOW;
    const page = await openTab();
    void load(page, { url: server.url, cache: 'indexeddb' }).catch(() => {});
    await waitForPartial(await openTab(), 'indexeddb');
    await page.goto(pageUrl);
    await page.waitForFunction(() => 'storageTest' in window);
    await expectToResume(page, server, folder, 'indexeddb');
  });

  for (const cache of ['indexeddb', 'opfs'] as const) {
    test(`goes on inside a shard after the browser was killed (${cache})`, async ({
      folder,
      server,
      pageUrl,
      launchOptions,
      headless,
      playwright,
      profile,
    }) => {
      server.planFaults = () => SLOW;
      const killable = await launchKillableBrowser(playwright.chromium, launchOptions, headless, profile);
      const page = await openPage(killable.context, pageUrl);
      void load(page, { url: server.url, cache }).catch(() => {});
      await waitForPartial(await openPage(killable.context, pageUrl), cache);
      await killable.kill();

      const context = await playwright.chromium.launchPersistentContext(profile, {
        ...launchOptions,
        headless,
      });
      await expectToResume(await openPage(context, pageUrl), server, folder, cache);
      await context.close();
    });
  }

  test('starts anew when the part that was kept is wrong', async ({ openTab }) => {
    // Without a list of pieces only the shard's end tells.
    const folder = createRandomModelFolder([9 * MIB + 10, 100], 3, { isPlain: true });
    const server = await startFaultServer(folder.files);
    const stall = (start: number) => ({ kind: 'stall', afterBytes: start === 0 ? 6 * MIB : 0 }) as const;
    server.planFaults = ({ path, start }) =>
      path === FIRST ? [stall(start), { kind: 'flip', offset: 100 }] : undefined;
    const page = await openTab();
    const request = { url: server.url, cache: 'indexeddb', stallTimeoutMs: 500 } as const;
    expect((await load(page, request)).error).toMatchObject({ code: 'network' });
    expect(sum((await listShards(page)).filter(({ isWhole }) => !isWhole))).toBe(4 * MIB);

    server.planFaults = () => undefined;
    server.clear();
    const result = await load(page, request);
    expect(result.error).toBeUndefined();
    expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
    const starts = server.requests.filter(({ path }) => path === FIRST).map(({ start }) => start);
    expect(starts).toEqual([4 * MIB, 0]);
    await server.close();
  });

  for (const cache of ['indexeddb', 'opfs'] as const) {
    test(`keeps what it has when the quota is exceeded (${cache})`, async ({
      folder,
      server,
      openTab,
      context,
      pageUrl,
    }) => {
      const page = await openTab();
      const devtools = await context.newCDPSession(page);
      const { origin } = new URL(pageUrl);
      await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 14 * MIB });
      const failed = await load(page, { url: server.url, cache });
      expect(failed.error).toMatchObject({ code: 'quota-exceeded', cure: expect.any(String) });
      const keptBytes = sum(await listShards(page, cache));
      expect(keptBytes).toBeGreaterThan(0);
      expect(failed.error?.value).toBeGreaterThan(0);
      expect(failed.error?.value).toBeLessThan(folder.byteLength);

      await devtools.send('Storage.overrideQuotaForOrigin', { origin });
      server.clear();
      const result = await load(page, { url: server.url, cache });
      expect(result.error).toBeUndefined();
      expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
      expect(shardBytesServed(server, folder)).toBe(folder.byteLength - keptBytes);
    });
  }

  test('is told beforehand that the model does not fit', async ({ openTab, context, pageUrl }) => {
    const page = await openTab();
    const devtools = await context.newCDPSession(page);
    const { origin } = new URL(pageUrl);
    await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 100 * MIB });
    const fits = await page.evaluate(
      (sizes) => Promise.all(sizes.map((byteLength) => window.storageTest.probeQuota(byteLength))),
      [50 * MIB, 200 * MIB],
    );
    expect(fits).toEqual([true, false]);
  });
});

test('a change of several records happens whole or not at all', async ({ openTab }) => {
  const page = await openTab();
  const keys = await page.evaluate(async () => {
    const { store } = window.storageTest.createCache('indexeddb') as NonNullable<
      ReturnType<typeof window.storageTest.createCache>
    >;
    await store.set([['old', 1]]);
    const bad = store.set(
      [
        ['new', 1],
        ['a function cannot be kept', () => {}],
      ],
      ['old'],
    );
    const code = await bad.catch((error: { code: string }) => error.code);
    const afterBad = await store.keysBelow('');
    await store.set([['new', 1]], ['old']);
    return { code, afterBad, afterGood: await store.keysBelow('') };
  });
  expect(keys).toEqual({ code: 'storage-unavailable', afterBad: ['old'], afterGood: ['new'] });
});

test('a write that the browser refuses is tried again', async ({ folder, server, openTab }) => {
  const page = await openTab();
  await page.evaluate(() => {
    const { prototype } = IDBObjectStore;
    const { put } = prototype;
    let left = 3;
    // Chromium now and then refuses a Blob so.
    prototype.put = function (...args) {
      if (!(args[0] instanceof Blob) || left === 0) return put.apply(this, args);
      left -= 1;
      throw new DOMException('Failed to write blobs.', 'DataError');
    };
  });
  const result = await loadInPage(page, server);
  expect(result.error).toBeUndefined();
  expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
  expect(shardBytesServed(server, folder)).toBe(folder.byteLength);
});

test.describe('a database that does not open', () => {
  test('is tried again', async ({ folder, server, openTab }) => {
    const page = await openTab();
    await failOpens(page, 2);
    const result = await loadInPage(page, server);
    expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
  });

  test('is reported, and the next load works without a reload', async ({ folder, server, openTab }) => {
    const page = await openTab();
    await failOpens(page, 1000);
    expect((await loadInPage(page, server)).error).toMatchObject({
      code: 'storage-unavailable',
      cure: expect.any(String),
    });
    await failOpens(page, 0);
    const result = await loadInPage(page, server);
    expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
  });
});

function loadInPage(page: Page, server: FaultServer) {
  return page.evaluate((url) => window.storageTest.loadInPage({ url, cache: 'indexeddb' }), server.url);
}

/** Makes the next opens fail as those of a damaged profile do. */
async function failOpens(page: Page, count: number): Promise<void> {
  await page.evaluate((openCount) => {
    const prototype = IDBFactory.prototype as IDBFactory & { original?: IDBFactory['open'] };
    prototype.original ??= prototype.open;
    const { original } = prototype;
    let left = openCount;
    prototype.open = function (...args) {
      if (left === 0) return original.apply(this, args);
      left -= 1;
      // A version below the present one is an error that the browser itself raises.
      original.call(this, `${args[0]}-broken`, 2);
      return original.call(this, `${args[0]}-broken`, 1);
    };
  }, count);
}

/** Waits until a part of the first shard would survive the loss of its tab. */
async function waitForPartial(observer: Page, cache: 'indexeddb' | 'opfs'): Promise<void> {
  await expect
    .poll(
      async () => (await listShards(observer, cache)).some((shard) => !shard.isWhole && shard.byteLength > 0),
      {
        timeout: 20_000,
        intervals: [100],
      },
    )
    .toBe(true);
}

/** A worker outlives its page by a moment, in which it may still keep a piece. */
async function waitForDeadTab(page: Page): Promise<void> {
  await page.waitForFunction(async () => {
    const { held = [] } = await navigator.locks.query();
    return !held.some(({ name }) => name?.startsWith('autoglm-shard/'));
  });
}

async function expectToResume(
  page: Page,
  server: FaultServer,
  folder: RandomModelFolder,
  cache: 'indexeddb' | 'opfs',
): Promise<void> {
  await waitForDeadTab(page);
  const keptBytes = sum(await listShards(page, cache));
  expect(keptBytes).toBeGreaterThan(0);
  const sentBefore = shardBytesServed(server, folder);
  expect(sentBefore - keptBytes).toBeLessThan(MOST_LOST_BYTES);
  server.planFaults = () => undefined;
  server.clear();
  const result = await load(page, { url: server.url, cache });
  expect(result.error).toBeUndefined();
  expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
  expect(shardBytesServed(server, folder)).toBe(folder.byteLength - keptBytes);
  expect(server.requests.some(({ path, start }) => path.endsWith('.bin') && start > 0)).toBe(true);
}

function sum(shards: readonly { byteLength: number }[]): number {
  return shards.reduce((total, { byteLength }) => total + byteLength, 0);
}

type Damage = 'flipped' | 'shortened' | 'deleted';

/** Changes a kept shard behind the cache's back. */
async function damageShard(
  page: Page,
  cache: 'indexeddb' | 'opfs',
  key: string,
  damage: Damage,
): Promise<void> {
  await page.evaluate(
    async ([kind, name, how]) => {
      const damaged = async (blob: Blob): Promise<Blob> => {
        if (how === 'shortened') return blob.slice(0, blob.size - 7);
        const bytes = new Uint8Array(await blob.arrayBuffer());
        bytes[5_000_000] = (bytes[5_000_000] as number) ^ 1;
        return new Blob([bytes]);
      };
      if (kind === 'indexeddb') {
        const { store } = window.storageTest.createCache(kind) as NonNullable<
          ReturnType<typeof window.storageTest.createCache>
        >;
        const blob = (await store.get<Blob>(`shard/${name}`)) as Blob;
        if (how === 'deleted') await store.delete([`shard/${name}`]);
        else await store.set([[`shard/${name}`, await damaged(blob)]]);
        return;
      }
      const root = await navigator.storage.getDirectory();
      const directory = await root.getDirectoryHandle('test-opfs');
      if (how === 'deleted') return directory.removeEntry(name);
      const handle = await directory.getFileHandle(name);
      const blob = await damaged(await handle.getFile());
      const writable = await handle.createWritable();
      await writable.write(blob);
      await writable.close();
    },
    [cache, key, damage] as const,
  );
}

async function findFileOfSize(folder: string, byteLength: number): Promise<string> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && (await stat(path)).size === byteLength) return path;
  }
  throw new Error(`No file of ${byteLength} bytes below ${folder}.`);
}

async function flipByteOfFile(path: string, offset: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[offset] = (bytes[offset] as number) ^ 1;
  await writeFile(path, bytes);
}
