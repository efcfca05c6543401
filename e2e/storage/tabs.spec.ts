import { expect, load, shardBytesServed, test } from './fixtures.ts';

const SLOW = { kind: 'slow', millisecondsPerChunk: 15 } as const;

for (const tabCount of [2, 5]) {
  for (const cache of ['indexeddb', 'opfs'] as const) {
    test(`${tabCount} tabs at once download each byte once (${cache})`, async ({
      folder,
      server,
      openTab,
    }) => {
      server.planFaults = () => SLOW;
      const tabs = await Promise.all(Array.from({ length: tabCount }, () => openTab()));
      const results = await Promise.all(tabs.map((tab) => load(tab, { url: server.url, cache })));
      for (const result of results) {
        expect(result.error).toBeUndefined();
        expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
      }
      expect(shardBytesServed(server, folder)).toBe(folder.byteLength);
      for (const path of folder.shardPaths) {
        expect(server.requests.filter((request) => request.path === path)).toHaveLength(1);
      }
    });
  }
}

test('a tab that waits shows the progress of the one that downloads', async ({ server, openTab }) => {
  server.planFaults = () => SLOW;
  const [first, second] = [await openTab(), await openTab()];
  const loads = [load(first, { url: server.url, cache: 'indexeddb' })];
  await first.waitForFunction(() => (window.storageTest.lastProgress?.loadedBytes ?? 0) > 0);
  loads.push(load(second, { url: server.url, cache: 'indexeddb' }));
  for (const result of await Promise.all(loads)) {
    const seen = result.progress.filter(({ phase }) => phase === 'downloading');
    // More reports than shards: it moved inside shards, not only when one was done.
    expect(new Set(seen.map(({ loadedBytes }) => loadedBytes)).size).toBeGreaterThan(4);
    expect(seen.at(-1)?.loadedBytes).toBe(seen.at(-1)?.totalBytes);
  }
});

test('the tab that waits takes over when the one that downloads is closed', async ({
  folder,
  server,
  openTab,
}) => {
  server.planFaults = () => SLOW;
  const [first, second] = [await openTab(), await openTab()];
  void load(first, { url: server.url, cache: 'indexeddb' }).catch(() => {});
  await first.waitForFunction(() => (window.storageTest.lastProgress?.loadedBytes ?? 0) > 0);
  const loading = load(second, { url: server.url, cache: 'indexeddb' });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await first.close();
  const result = await loading;
  expect(result.error).toBeUndefined();
  expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
});
