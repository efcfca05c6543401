import { describe, expect, it } from 'vitest';
import { attentionTile } from './attention-tile.ts';
import { attentionTileReference } from './attention-tile.reference.ts';
import { packCache, unpackCache } from './cache-packing.test-support.ts';
import type { CacheFormat } from './kernel.ts';
import { expectClose, randomFloats, ref, runKernel, stepWords, useDevice } from './parity.test-support.ts';

interface Case {
  readonly rows: number;
  readonly H: number;
  readonly KV: number;
  readonly D: number;
  readonly context: number;
  readonly isCausal: boolean;
  readonly cacheFormat: CacheFormat;
  readonly slots?: number;
  readonly slot?: number;
  readonly cacheStart?: number;
  /** Standard deviation of q; scores grow with it. */
  readonly scale?: number;
}

/** A value that no attention gives, to see what stays untouched. */
const UNTOUCHED = 12345;

describe('AttentionTile', () => {
  const device = useDevice();
  const text = { isCausal: true, cacheFormat: 'f16' } as const;
  const vision = { isCausal: false, cacheFormat: 'f32' } as const;
  const cases: readonly Case[] = [
    { rows: 1, H: 2, KV: 2, D: 16, context: 8, ...text },
    { rows: 65, H: 2, KV: 1, D: 32, context: 80, ...text },
    { rows: 33, H: 4, KV: 2, D: 64, context: 160, ...text, slots: 3, slot: 1, cacheStart: 95 },
    { rows: 100, H: 4, KV: 1, D: 24, context: 128, isCausal: true, cacheFormat: 'q8', cacheStart: 1 },
    { rows: 20, H: 2, KV: 2, D: 128, context: 64, ...text, cacheStart: 31 },
    { rows: 40, H: 2, KV: 2, D: 16, context: 64, ...text, cacheStart: 20, scale: 300 },
    { rows: 1, H: 1, KV: 1, D: 32, context: 4, ...vision },
    // A context of 0 stands for the number of rows.
    { rows: 67, H: 3, KV: 3, D: 32, context: 0, ...vision },
    { rows: 32, H: 2, KV: 2, D: 16, context: 32, isCausal: false, cacheFormat: 'f16' },
    { rows: 130, H: 2, KV: 2, D: 24, context: 200, ...vision },
    { rows: 129, H: 1, KV: 1, D: 128, context: 129, ...vision, scale: 300 },
    { rows: 16, H: 1, KV: 1, D: 80, context: 40, ...vision },
  ];
  for (const one of cases) {
    const { rows, H, KV, D, isCausal, cacheFormat } = one;
    const context = one.context || rows;
    const { slots = 1, slot = 0, cacheStart = 0, scale = 1 } = one;
    const name =
      `${rows} rows, ${isCausal ? `causal from ${cacheStart} in slot ${slot}` : 'full'}, ` +
      `${H} heads on ${KV} of ${D}, ${cacheFormat} cache, q of ${scale}`;
    it(`matches the reference for ${name}`, async () => {
      const q = randomFloats(rows * H * D, 1, scale);
      const used = isCausal ? cacheStart + rows : rows;
      const shape = { slots, KV, context, D, slot, used };
      const keys = packCache(fillCache(shape, 2), cacheFormat);
      const values = packCache(fillCache(shape, 3), cacheFormat);
      const output = new Float32Array((rows + 1) * H * D).fill(UNTOUCHED);
      const call = attentionTile({
        label: 'test',
        rows: 'tokens',
        H,
        KV,
        D,
        cacheFormat,
        context: one.context,
        isCausal,
        step: ref('step'),
        q: ref('q'),
        keys: ref('keys'),
        values: ref('values'),
        output: ref('output'),
      });
      const step = stepWords({ rowCount: rows, slot, cacheStart });
      const results = await runKernel(
        device(),
        call,
        { step, q, keys, values, output },
        {
          rows,
          outputs: ['output'],
        },
      );
      const actual = new Float32Array(results.output);
      const expected = attentionTileReference(
        q,
        unpackCache(keys.buffer, cacheFormat),
        unpackCache(values.buffer, cacheFormat),
        { H, KV, D, context, isCausal, slot, cacheStart },
      );
      // The error of a share is that of its score, which is as large as the scores are.
      expectClose(actual.subarray(0, rows * H * D), expected, scale > 1 ? 1e-4 : 2e-6);
      expect(actual.subarray(rows * H * D)).toEqual(new Float32Array(H * D).fill(UNTOUCHED));
    });
  }
});

/** Random cache values [slots, KV, context, D]; NaN wherever the queries must not look. */
function fillCache(
  shape: { slots: number; KV: number; context: number; D: number; slot: number; used: number },
  seed: number,
): Float32Array<ArrayBuffer> {
  const { slots, KV, context, D, slot, used } = shape;
  return randomFloats(slots * KV * context * D, seed).map((value, i) => {
    const position = Math.floor(i / D) % context;
    const ownSlot = Math.floor(i / (D * context * KV));
    return ownSlot === slot && position < used ? value : NaN;
  });
}
