import { describe, expect, it } from 'vitest';
import type { StoredArray } from '../model/quantization.ts';
import { planShards } from './shard-plan.ts';

function arrayOf(name: string, byteLength: number): StoredArray {
  return { name, shape: [byteLength / 2], dtype: 'float16', byteLength };
}

describe('planShards', () => {
  it('fills shards in order up to the cap and gives a larger array one of its own', () => {
    const lengths = [40, 60, 2, 250, 10, 90, 1];
    const shards = planShards(
      lengths.map((length, i) => arrayOf(String(i), length)),
      100,
    );
    expect(shards.map(({ arrays }) => arrays.map(({ name }) => name).join('+'))).toEqual([
      '0+1',
      '2',
      '3',
      '4',
      '5+6',
    ]);
    expect(shards.map(({ dataPath }) => dataPath)).toEqual(
      [0, 1, 2, 3, 4].map((i) => `params_shard_${i}.bin`),
    );
    expect(shards.map(({ byteLength }) => byteLength)).toEqual([100, 2, 250, 10, 93]);
  });

  it('starts every array at a multiple of 4 bytes', () => {
    const [shard] = planShards([arrayOf('a', 2), arrayOf('b', 6), arrayOf('c', 4)]);
    expect(shard!.arrays.map(({ byteOffset }) => byteOffset)).toEqual([0, 4, 12]);
    expect(shard!.byteLength).toBe(16);
  });

  it('makes no shard of nothing', () => {
    expect(planShards([])).toEqual([]);
  });
});
