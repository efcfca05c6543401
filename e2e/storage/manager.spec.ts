import { createRandomModelFolder } from '../model-folder.ts';
import { startFaultServer } from '../fault-server.ts';
import { expect, listShards, load, test } from './fixtures.ts';

for (const cache of ['indexeddb', 'opfs'] as const) {
  test.describe(`the storage manager (${cache})`, () => {
    test('lists models, and deletes one without the shards that another uses', async ({
      folder,
      server,
      openTab,
    }) => {
      // A second model with one shard of its own beside all of the first one's.
      const extra = createRandomModelFolder([300_000], 7);
      const files = new Map(folder.files);
      const manifest = JSON.parse(
        Buffer.from(folder.files.get('tensor-cache.json') as Uint8Array).toString(),
      );
      const [record] = JSON.parse(
        Buffer.from(extra.files.get('tensor-cache.json') as Uint8Array).toString(),
      ).records;
      record.dataPath = 'params_shard_9.bin';
      for (const tensor of record.records) tensor.name = `extra.${tensor.name}`;
      manifest.records.push(record);
      files.set('tensor-cache.json', Buffer.from(JSON.stringify(manifest)));
      files.set(record.dataPath, extra.files.get('params_shard_0.bin') as Uint8Array);
      const other = await startFaultServer(files);
      try {
        const page = await openTab();
        await load(page, { url: server.url, cache });
        await load(page, { url: other.url, cache });
        expect(other.bytesServed('params_shard_0.bin')).toBe(0);

        const models = await page.evaluate(
          (kind) => window.storageTest.createManager(kind).listModels(),
          cache,
        );
        expect(models).toMatchObject([
          { id: other.url, isComplete: true, keptBytes: folder.byteLength + 300_000, ownBytes: 300_000 },
          { id: server.url, isComplete: true, keptBytes: folder.byteLength, ownBytes: 0 },
        ]);
        const freedBytes = await page.evaluate(
          ([kind, id]) => window.storageTest.createManager(kind).deleteModel(id),
          [cache, other.url] as const,
        );
        expect(freedBytes).toBe(300_000);
        const result = await load(page, { url: server.url, cache });
        expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
      } finally {
        await other.close();
      }
    });

    test('deletes shards that no model uses', async ({ folder, server, openTab }) => {
      const page = await openTab();
      await load(page, { url: server.url, cache });
      const freedBytes = await page.evaluate(async (kind) => {
        const manager = window.storageTest.createManager(kind);
        const before = await manager.deleteOrphans();
        const store = window.storageTest.createCache(kind)?.store;
        const keys = (await store?.keysBelow('model/')) ?? [];
        await store?.delete(keys.map((key) => `model/${key}`));
        return [before, await manager.deleteOrphans()];
      }, cache);
      expect(freedBytes).toEqual([0, folder.byteLength]);
      expect(await listShards(page, cache)).toEqual([]);
    });

    test('exports a model to a folder and imports it from there', async ({ folder, server, openTab }) => {
      const page = await openTab();
      await load(page, { url: server.url, cache });
      await server.close();
      await page.evaluate(
        async ([kind, id]) => {
          const manager = window.storageTest.createManager(kind);
          const root = await navigator.storage.getDirectory();
          const directory = await root.getDirectoryHandle('exported', { create: true });
          await manager.exportModel(id, directory);
          await manager.deleteModel(id);
          await manager.importModel(window.storageTest.createDirectorySource(directory), { id });
        },
        [cache, server.url] as const,
      );
      const result = await load(page, { url: server.url, cache });
      expect(result.error).toBeUndefined();
      expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
    });
  });
}
