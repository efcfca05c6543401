import { describe, expect, it } from 'vitest';
import { expectCacheClose, packCache, UNTOUCHED_CACHE } from './cache-packing.test-support.ts';
import { packQ8Reference } from './cache-q8.reference.ts';
import type { CacheFormat } from './kernel.ts';
import { expectClose, randomFloats, ref, rowWords, runKernel, useDevice } from './parity.test-support.ts';
import { ropeAppend } from './rope-append.ts';
import { ropeAppendReference, type RopeAppendSizes, type TokenPlace } from './rope-append.reference.ts';

interface Case extends RopeAppendSizes {
  readonly cacheFormat: CacheFormat;
  readonly tokens: readonly TokenPlace[];
}

describe('RopeAppend', () => {
  const device = useDevice();
  const cases: readonly Case[] = [
    {
      H: 1,
      KV: 1,
      D: 4,
      rotaryDimensions: 4,
      mropeSections: [2, 0, 0],
      context: 3,
      cacheFormat: 'f32',
      tokens: [{ position: [5, 5, 5], slot: 0, cacheIndex: 2 }],
    },
    {
      H: 4,
      KV: 2,
      D: 32,
      rotaryDimensions: 16,
      mropeSections: [2, 3, 3],
      context: 9,
      cacheFormat: 'f16',
      tokens: [
        { position: [3, 4, 6], slot: 0, cacheIndex: 4 },
        { position: [3, 5, 2], slot: 0, cacheIndex: 5 },
        { position: [19, 0, 7], slot: 0, cacheIndex: 6 },
      ],
    },
    {
      H: 2,
      KV: 2,
      D: 128,
      rotaryDimensions: 64,
      mropeSections: [8, 12, 12],
      context: 5,
      cacheFormat: 'q8',
      tokens: [
        { position: [7, 7, 7], slot: 2, cacheIndex: 0 },
        { position: [0, 1, 2], slot: 0, cacheIndex: 4 },
      ],
    },
    {
      H: 6,
      KV: 1,
      D: 24,
      rotaryDimensions: 12,
      mropeSections: [1, 2, 3],
      context: 4,
      cacheFormat: 'f16',
      tokens: [
        { position: [1, 2, 3], slot: 1, cacheIndex: 3 },
        { position: [9, 9, 9], slot: 3, cacheIndex: 1 },
      ],
    },
  ];
  for (const { cacheFormat, tokens, ...sizes } of cases) {
    const { H, KV, D, rotaryDimensions, mropeSections, context } = sizes;
    const title =
      `${tokens.length} tokens, ${H} heads on ${KV} of ${D}, ${rotaryDimensions} rotating ` +
      `in sections of ${mropeSections.join(', ')}, ${cacheFormat} cache`;
    it(`matches the reference for ${title}`, async () => {
      const width = (H + 2 * KV) * D;
      const slots = Math.max(...tokens.map(({ slot }) => slot)) + 1;
      const inputs = {
        qkv: randomFloats(tokens.length * width, 1),
        bias: randomFloats(width, 2),
        // Any numbers do for a table: they show where each pair reads.
        rope: randomFloats(20 * rotaryDimensions, 3),
      };
      const empty = new Float32Array(slots * KV * context * D).fill(UNTOUCHED_CACHE);
      const arrays = {
        ...inputs,
        rows: rowWords(tokens),
        q: new Float32Array(tokens.length * H * D),
        keys: packCache(empty, cacheFormat),
        values: packCache(empty, cacheFormat),
      };
      const call = ropeAppend({
        label: 'test',
        ...sizes,
        cacheFormat,
        qkv: ref('qkv'),
        bias: ref('bias'),
        rope: ref('rope'),
        rows: ref('rows'),
        q: ref('q'),
        keys: ref('keys'),
        values: ref('values'),
      });
      const results = await runKernel(device(), call, arrays, {
        rows: tokens.length,
        outputs: ['q', 'keys', 'values'],
      });
      const cache = { keys: empty.slice(), values: empty.slice() };
      const q = ropeAppendReference(inputs, tokens, cache, sizes);
      expectClose(new Float32Array(results.q), q, 1e-6);
      for (const name of ['keys', 'values'] as const) {
        expectCacheClose(results[name], cache[name], { format: cacheFormat, tolerance: 1e-6 });
      }
    });
  }

  it('writes a q8 cache bit for bit as its twin does, for zeros, ties, the tiny and the too large', async () => {
    const magnitudes = [
      1e-30,
      1e-6,
      2 ** -11,
      1.5 * 2 ** -11,
      0.03,
      0.0313,
      0.5,
      1,
      63.5,
      64,
      900,
      1024,
      5e4,
    ];
    const values = Float32Array.from({ length: 4 * 32 }, (_, i) => {
      const size = magnitudes[(i >> 2) % magnitudes.length];
      return i < 4 ? 0 : size * [1, -0.5, 0.3, -1.9][(i + (i >> 4)) % 4];
    });
    const D = values.length;
    const arrays = {
      qkv: Float32Array.from([...new Float32Array(2 * D), ...values]),
      bias: new Float32Array(3 * D),
      rope: new Float32Array(8),
      rows: rowWords([{ position: [0, 0, 0], slot: 0, cacheIndex: 0 }]),
      q: new Float32Array(D),
      keys: new Uint32Array(D / 4),
      values: new Uint32Array(D / 4),
    };
    const sizes = { H: 1, KV: 1, D, rotaryDimensions: 4, mropeSections: [2, 0, 0] as const, context: 1 };
    const [qkv, bias, rope, rows, q] = ['qkv', 'bias', 'rope', 'rows', 'q'].map(ref);
    const cache = { keys: ref('keys'), values: ref('values') };
    const call = ropeAppend({ label: 'q8', ...sizes, cacheFormat: 'q8', qkv, bias, rope, rows, q, ...cache });
    const results = await runKernel(device(), call, arrays, { rows: 1, outputs: ['values'] });
    expect(new Uint32Array(results.values)).toEqual(packQ8Reference(values));
  });
});
