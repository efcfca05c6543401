import { describe, expect, it } from 'vitest';
import { supportsAttentionSplit, type SplitTiling } from './attention-split.ts';

const TILING: SplitTiling = { workgroup: 128, keyLanes: 8, keys: 8, headGroups: 4 };
const REAL = { H: 32, KV: 2, D: 128, cacheFormat: 'f16' } as const;

describe('supportsAttentionSplit', () => {
  it('takes the heads of the real model with a cache that every device has room for', () => {
    expect(supportsAttentionSplit(REAL, TILING)).toBe(true);
    expect(supportsAttentionSplit({ ...REAL, cacheFormat: 'q8' }, TILING)).toBe(true);
  });

  it('leaves what does not fit 16 KiB of workgroup memory to the other kernel', () => {
    expect(supportsAttentionSplit({ ...REAL, cacheFormat: 'f32' }, TILING)).toBe(false);
    expect(supportsAttentionSplit({ ...REAL, cacheFormat: 'f32', D: 64 }, TILING)).toBe(true);
  });

  it('takes tiles of which a run of keys has a whole number alone', () => {
    expect(supportsAttentionSplit(REAL, { ...TILING, keys: 4 })).toBe(true);
    expect(supportsAttentionSplit(REAL, { ...TILING, workgroup: 256 })).toBe(false);
    expect(supportsAttentionSplit(REAL, { ...TILING, workgroup: 256, keys: 4 })).toBe(true);
  });

  it('takes sixteen query heads a KV head, and sizes that are powers of two, at most', () => {
    expect(supportsAttentionSplit({ ...REAL, H: 64 }, TILING)).toBe(false);
    expect(supportsAttentionSplit({ ...REAL, D: 96 }, TILING)).toBe(false);
    expect(supportsAttentionSplit({ ...REAL, D: 32 }, TILING)).toBe(false);
  });
});
