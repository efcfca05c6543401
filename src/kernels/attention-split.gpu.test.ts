import { describe, expect, it } from 'vitest';
import { attentionDecode } from './attention-decode.ts';
import { attentionSplitReference } from './attention-split.reference.ts';
import type { SplitTiling } from './attention-split.ts';
import { packCache, unpackCache } from './cache-packing.test-support.ts';
import type { CacheFormat } from './kernel.ts';
import { expectClose, randomFloats, ref, rowWords, runKernel, useDevice } from './parity.test-support.ts';

interface Case {
  readonly H: number;
  readonly KV: number;
  readonly D: number;
  readonly splits: number;
  readonly tiling: SplitTiling;
  readonly cacheFormat: CacheFormat;
  /** Keys that each sequence sees, and its slot. */
  readonly sequences: readonly (readonly [keyCount: number, slot: number])[];
  /** Standard deviation of q; scores grow with it. */
  readonly scale?: number;
}

describe('AttentionSplit', () => {
  const device = useDevice();
  const cases: readonly Case[] = [
    { H: 2, KV: 2, D: 32, splits: 1, tiling: tile(64, 8, 4), cacheFormat: 'f32', sequences: [[1, 0]] },
    { H: 4, KV: 2, D: 32, splits: 4, tiling: tile(64, 4, 2), cacheFormat: 'q8', sequences: [[31, 0]] },
    { H: 8, KV: 2, D: 64, splits: 2, tiling: tile(64, 4, 1), cacheFormat: 'f32', sequences: [[32, 0]] },
    { H: 12, KV: 1, D: 64, splits: 3, tiling: tile(128, 4, 2), cacheFormat: 'f16', sequences: [[33, 1]] },
    { H: 32, KV: 2, D: 128, splits: 8, tiling: tile(128, 4, 4), cacheFormat: 'f16', sequences: [[200, 0]] },
    { H: 32, KV: 2, D: 128, splits: 3, tiling: tile(128, 4, 8), cacheFormat: 'f16', sequences: [[300, 0]] },
    { H: 16, KV: 1, D: 32, splits: 5, tiling: tile(64, 8, 4), cacheFormat: 'f32', sequences: [[1000, 0]] },
    {
      H: 2,
      KV: 2,
      D: 64,
      splits: 7,
      tiling: tile(128, 4, 2),
      cacheFormat: 'f32',
      sequences: [[1000, 0]],
      scale: 300,
    },
    {
      H: 2,
      KV: 2,
      D: 128,
      splits: 7,
      tiling: tile(128, 4, 2),
      cacheFormat: 'f16',
      sequences: [[1000, 0]],
      scale: 300,
    },
    { H: 32, KV: 2, D: 128, splits: 3, tiling: tile(64, 4, 4), cacheFormat: 'q8', sequences: [[305, 0]] },
    {
      H: 8,
      KV: 2,
      D: 32,
      splits: 8,
      tiling: tile(128, 4, 4),
      cacheFormat: 'f16',
      sequences: [
        [1, 3],
        [1000, 0],
        [33, 2],
        [200, 4],
      ],
    },
  ];
  for (const { H, KV, D, splits, tiling, cacheFormat, sequences, scale = 1 } of cases) {
    const cached = sequences.map(([keyCount, slot]) => `${keyCount} keys in slot ${slot}`).join(', ');
    const name = `${cached}, ${splits} splits, ${describeTiling(tiling)}, ${H} heads on ${KV} of ${D}, ${cacheFormat}, q of ${scale}`;
    it(`matches the reference for ${name}`, async () => {
      const context = Math.max(...sequences.map(([keyCount]) => keyCount)) + 3;
      const columns = sequences.length;
      const q = randomFloats(columns * H * D, 1, scale);
      const keys = packCache(fillCache({ KV, context, D, sequences }, 2), cacheFormat);
      const values = packCache(fillCache({ KV, context, D, sequences }, 3), cacheFormat);
      const places = sequences.map(([keyCount, slot]) => ({ cacheIndex: keyCount - 1, slot }));
      const calls = attentionDecode({
        label: 'test',
        columns,
        H,
        KV,
        D,
        cacheFormat,
        context,
        splits,
        tiling,
        q: ref('q'),
        keys: ref('keys'),
        values: ref('values'),
        rows: ref('rows'),
        partialOutput: ref('partialOutput'),
        partialStats: ref('partialStats'),
        output: ref('output'),
      });
      expect(calls[0]?.program.shader).toBe('attention-split');
      const arrays = {
        q,
        keys,
        values,
        rows: rowWords(places),
        // Splits without keys leave the scratch as it was, and nothing may read it.
        partialOutput: new Float32Array(columns * H * splits * D).fill(NaN),
        partialStats: new Float32Array(columns * H * splits * 2).fill(NaN),
        output: new Float32Array(columns * H * D),
      };
      const results = await runKernel(device(), calls, arrays, { outputs: ['output'] });
      const cache = [keys, values].map(({ buffer }) => unpackCache(buffer, cacheFormat)) as [
        Float32Array,
        Float32Array,
      ];
      const expected = attentionSplitReference(q, ...cache, { H, KV, D, context }, places);
      // The error of a share is that of its score, which is as large as the scores are.
      expectClose(new Float32Array(results.output), expected, scale > 1 ? 1e-4 : 2e-6);
    });
  }
});

/** Random cache values [slots, KV, context, D]; NaN wherever no sequence may look. */
function fillCache(
  shape: { KV: number; context: number; D: number; sequences: Case['sequences'] },
  seed: number,
): Float32Array<ArrayBuffer> {
  const { KV, context, D, sequences } = shape;
  const slots = Math.max(...sequences.map(([, slot]) => slot)) + 1;
  const used = new Map(sequences.map(([keyCount, slot]) => [slot, keyCount]));
  return randomFloats(slots * KV * context * D, seed).map((value, i) => {
    const position = Math.floor(i / D) % context;
    const slot = Math.floor(i / (D * context * KV));
    return position < (used.get(slot) ?? 0) ? value : NaN;
  });
}

function tile(workgroup: number, keys: number, headGroups: number): SplitTiling {
  return { workgroup, keyLanes: 4, keys, headGroups };
}

/** A tiling in the words of a test's name. */
function describeTiling({ workgroup, keys, headGroups }: SplitTiling): string {
  return `${workgroup} threads with ${keys} keys and ${headGroups} teams`;
}
