import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startFaultServer, type FaultServer } from '../../e2e/fault-server.ts';
import { createRandomModelFolder, hashOf, type RandomModelFolder } from '../../e2e/model-folder.ts';
import { createHttpSource } from './http-source.ts';
import { openModel } from './model-loader.ts';
import { createNodeSha256 } from './node-sha256.ts';
import { createNodeShardCache } from './node-shard-cache.ts';

const MIB = 1024 * 1024;
let folder: RandomModelFolder;
let server: FaultServer;
let directory: string;

beforeEach(async () => {
  folder = createRandomModelFolder([5 * MIB + 10, 100, MIB]);
  server = await startFaultServer(folder.files);
  directory = await mkdtemp(join(tmpdir(), 'autoglm-cache-'));
});

afterEach(async () => {
  await server.close();
  await rm(directory, { recursive: true });
});

/** Loads through the cache and returns the hash of each tensor. */
async function load(): Promise<Record<string, string>> {
  const cache = createNodeShardCache(directory);
  const model = await openModel(createHttpSource(server.url), { cache, createSha256: createNodeSha256 });
  const tensors = new Map<string, Uint8Array>();
  await model.streamTensors({
    onTensorBytes: async (tensor, byteOffset, bytes) => {
      const target = tensors.get(tensor.name) ?? new Uint8Array(tensor.byteLength);
      tensors.set(tensor.name, target);
      target.set(bytes, byteOffset);
    },
  });
  return Object.fromEntries([...tensors].map(([name, bytes]) => [name, hashOf(bytes)]));
}

// A busy machine hashes slowly.
describe('createNodeShardCache', { timeout: 30_000 }, () => {
  it('gives the same tensors from the server and, without it, from the folder', async () => {
    const first = await load();
    expect(Object.keys(first).length).toBeGreaterThan(0);
    const shards = await createNodeShardCache(directory).list();
    expect(shards.every(({ isWhole }) => isWhole)).toBe(true);
    expect(shards).toHaveLength(3);
    const { url } = server;
    await server.close();
    const model = await openModel(createHttpSource(url), {
      cache: createNodeShardCache(directory),
      createSha256: createNodeSha256,
    });
    let bytes = 0;
    await model.streamTensors({
      onTensorBytes: async (_, _offset, piece) => void (bytes += piece.byteLength),
    });
    expect(bytes).toBeGreaterThan(6 * MIB);
    server = await startFaultServer(folder.files);
  });

  it('fetches a shard again that was changed or cut short on disk', async () => {
    const first = await load();
    const [file] = await readdir(join(directory, 'shards'));
    await writeFile(join(directory, 'shards', file), 'short');
    expect(await load()).toEqual(first);
  });

  it('goes on where a partial shard ended, and forgets what was discarded', async () => {
    const cache = createNodeShardCache(directory);
    const partial = await cache.openPartial('a/b');
    await partial.append(new Uint8Array(1000).fill(1), 'x');
    await partial.close();
    const again = await cache.openPartial('a/b');
    expect([again.byteLength, again.pieceDigests]).toEqual([1000, ['x']]);
    await again.append(new Uint8Array(10).fill(2), 'y');
    await again.commit();
    const whole = await cache.get('a/b');
    expect(whole?.byteLength).toBe(1010);
    const reader = await whole?.openReader();
    const bytes = await reader?.read(new ArrayBuffer(2000));
    await reader?.close();
    expect(bytes?.byteLength).toBe(1010);
    expect(bytes?.[1005]).toBe(2);
    const other = await cache.openPartial('c');
    await other.append(new Uint8Array(5), 'z');
    await other.discard();
    await other.close();
    expect(await cache.keptBytes('c')).toBe(0);
    await cache.delete('a/b');
    expect(await cache.get('a/b')).toBeUndefined();
  });
});
