import { describe, expect, it } from 'vitest';
import type { Capabilities } from '../gpu/capabilities.ts';
import type { AttentionTileOptions } from './attention-tile.ts';
import type { TileAttention } from './attention-tile.reference.ts';
import { packCache, unpackCache } from './cache-packing.test-support.ts';
import type { CacheFormat, KernelCall } from './kernel.ts';
import { expectClose, randomFloats, ref, runKernel, stepWords, useDevice } from './parity.test-support.ts';

/** An attention to compare. */
export interface AttentionCase {
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

/** A kernel and its twin. */
export interface AttentionSubject {
  readonly attention: (options: AttentionTileOptions) => KernelCall;
  readonly reference: (
    q: Float32Array,
    keys: Float32Array,
    values: Float32Array,
    attention: TileAttention,
  ) => Float32Array;
  /** Share of the largest magnitude; with a `scale` above 1 and without. */
  readonly tolerance: { readonly plain: number; readonly scaled: number };
  readonly device: Parameters<typeof useDevice>[0];
  /** Devices that it is for; all without it. */
  readonly isFor?: (capabilities: Capabilities) => boolean;
}

/** A value that no attention gives, to see what stays untouched. */
const UNTOUCHED = 12345;

/** Compares a kernel for attention of many queries with its twin. */
export function describeAttention(
  name: string,
  { attention, reference, tolerance, device: needs, isFor = () => true }: AttentionSubject,
  cases: readonly AttentionCase[],
): void {
  describe(name, () => {
    const device = useDevice(needs);
    for (const one of cases) {
      const { rows, H, KV, D, isCausal, cacheFormat } = one;
      const context = one.context || rows;
      const { slots = 1, slot = 0, cacheStart = 0, scale = 1 } = one;
      const title =
        `${rows} rows, ${isCausal ? `causal from ${cacheStart} in slot ${slot}` : 'full'}, ` +
        `${H} heads on ${KV} of ${D}, ${cacheFormat} cache, q of ${scale}`;
      it(`matches the reference for ${title}`, async () => {
        if (!isFor(device().capabilities)) return;
        const q = randomFloats(rows * H * D, 1, scale);
        const used = isCausal ? cacheStart + rows : rows;
        const shape = { slots, KV, context, D, slot, used };
        const keys = packCache(fillCache(shape, 2), cacheFormat);
        const values = packCache(fillCache(shape, 3), cacheFormat);
        const output = new Float32Array((rows + 1) * H * D).fill(UNTOUCHED);
        const call = attention({
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
        const expected = reference(
          q,
          unpackCache(keys.buffer, cacheFormat),
          unpackCache(values.buffer, cacheFormat),
          { H, KV, D, context, isCausal, slot, cacheStart },
        );
        // The error of a share is that of its score, which is as large as the scores are.
        expectClose(
          actual.subarray(0, rows * H * D),
          expected,
          scale > 1 ? tolerance.scaled : tolerance.plain,
        );
        expect(actual.subarray(rows * H * D)).toEqual(new Float32Array(H * D).fill(UNTOUCHED));
      });
    }
  });
}

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
