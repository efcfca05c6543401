import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startFaultServer, type FaultServer } from '../../e2e/fault-server.ts';
import { createRandomModelFolder, hashOf, type RandomModelFolder } from '../../e2e/model-folder.ts';
import { createHttpSource } from './http-source.ts';
import { openModel } from './model-loader.ts';
import { createNodeFolderSource } from './node-folder-source.ts';
import { createNodeSha256 } from './node-sha256.ts';
import type { ShardSource } from './shard-source.ts';

const MIB = 1024 * 1024;
let folder: RandomModelFolder;
let server: FaultServer;

beforeEach(async () => {
  folder = createRandomModelFolder([9 * MIB + 10, 100, 4 * MIB, 5 * MIB + 2]);
  server = await startFaultServer(folder.files);
});

afterEach(() => server.close());

/** Loads all tensors and returns the hash of each, as a consumer sees them. */
async function loadHashes(source: ShardSource): Promise<Map<string, string>> {
  const model = await openModel(source, { createSha256: createNodeSha256 });
  const tensors = new Map<string, Uint8Array>();
  await model.streamTensors({
    onTensorBytes: async (tensor, byteOffset, bytes) => {
      expect(byteOffset % 4).toBe(0);
      const target = tensors.get(tensor.name) ?? new Uint8Array(tensor.byteLength);
      tensors.set(tensor.name, target);
      target.set(bytes, byteOffset);
    },
  });
  return new Map([...tensors].map(([name, bytes]) => [name, hashOf(bytes)]));
}

describe('openModel', () => {
  it('streams every tensor from a server', async () => {
    expect(await loadHashes(createHttpSource(server.url))).toEqual(folder.tensorHashes);
  });

  it('streams every tensor from a folder on disk', async () => {
    const path = await mkdtemp(join(tmpdir(), 'autoglm-storage-'));
    try {
      for (const [name, bytes] of folder.files) await writeFile(join(path, name), bytes);
      expect(await loadHashes(createNodeFolderSource(path))).toEqual(folder.tensorHashes);
    } finally {
      await rm(path, { recursive: true });
    }
  });

  it('streams every tensor over connections that break', async () => {
    let cutCount = 0;
    server.planFaults = ({ path }) => {
      if (!path.endsWith('.bin') || cutCount === 20) return undefined;
      cutCount += 1;
      return { kind: 'cut', afterBytes: 300_001 + 10_000 * cutCount };
    };
    const source = createHttpSource(server.url, { retry: { baseDelayMs: 5 } });
    expect(await loadHashes(source)).toEqual(folder.tensorHashes);
    expect(cutCount).toBe(20);
  });

  it('delivers a damaged shard once more', async () => {
    server.planFaults = ({ path, attempt }) =>
      path === 'params_shard_0.bin' && attempt === 0 ? { kind: 'flip', offset: 5 * MIB } : undefined;
    expect(await loadHashes(createHttpSource(server.url))).toEqual(folder.tensorHashes);
    expect(server.bytesServed('params_shard_0.bin')).toBe(2 * (9 * MIB + 10));
  });

  it('gives up a shard that stays damaged', async () => {
    server.planFaults = ({ path }) =>
      path === 'params_shard_2.bin' ? { kind: 'flip', offset: 1 } : undefined;
    await expect(loadHashes(createHttpSource(server.url))).rejects.toMatchObject({ code: 'shard-corrupt' });
  });

  it('says that a folder without a manifest is no model', async () => {
    server.files.delete('tensor-cache.json');
    await expect(openModel(createHttpSource(server.url))).rejects.toMatchObject({ code: 'file-missing' });
  });
});
