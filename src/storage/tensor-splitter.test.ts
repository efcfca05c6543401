import { describe, expect, it } from 'vitest';
import { parseManifest, type ShardEntry } from './manifest.ts';
import { TensorSplitter } from './tensor-splitter.ts';

/** Tensors of 10, 0, 14 and 4 bytes; the third starts off a word boundary, and five bytes belong to nobody. */
const SIZES = [10, 0, 14, 4] as const;
const OFFSETS = [0, 10, 10, 29] as const;
const SHARD_BYTES = 33;

function createShard(): ShardEntry {
  const records = SIZES.map((nbytes, index) => ({
    name: `t${index}`,
    shape: [nbytes / 2],
    dtype: 'float16',
    format: 'raw',
    nbytes,
    byteOffset: OFFSETS[index],
  }));
  const shard = { dataPath: 'params_shard_0.bin', format: 'raw-shard', nbytes: SHARD_BYTES, records };
  return parseManifest(JSON.stringify({ records: [shard] })).shards[0] as ShardEntry;
}

describe('TensorSplitter', () => {
  it.each([1, 2, 3, 5, 7, 11, 16, 33])('deals pieces of %i bytes out to their tensors', async (step) => {
    const bytes = Uint8Array.from({ length: SHARD_BYTES }, (_, index) => index + 1);
    const received = new Map<string, number[]>();
    const splitter = new TensorSplitter(createShard(), (tensor, byteOffset, part) => {
      const before = received.get(tensor.name) ?? [];
      expect(byteOffset).toBe(before.length);
      expect(byteOffset % 4).toBe(0);
      const isEnd = byteOffset + part.byteLength === tensor.byteLength;
      if (!isEnd) expect(part.byteLength % 4).toBe(0);
      received.set(tensor.name, [...before, ...part]);
    });
    for (let start = 0; start < SHARD_BYTES; start += step) {
      await splitter.push(bytes.slice(start, start + step));
    }
    const expected = SIZES.map((size, index) => [
      `t${index}`,
      [...bytes.subarray(OFFSETS[index], (OFFSETS[index] as number) + size)],
    ]).filter(([, content]) => (content as number[]).length > 0);
    expect([...received]).toEqual(expected);
  });

  it('waits for the consumer', async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const splitter = new TensorSplitter(createShard(), () => gate);
    let isTaken = false;
    const pushing = splitter.push(new Uint8Array(SHARD_BYTES)).then(() => {
      isTaken = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(isTaken).toBe(false);
    release();
    await pushing;
    expect(isTaken).toBe(true);
  });
});
