import { describe, it } from 'vitest';
import { attentionCombineInt8 } from './attention-combine-int8.ts';
import { attentionCombineInt8Reference } from './attention-combine-int8.reference.ts';
import { attentionCombineReference } from './attention-combine.reference.ts';
import { expectInt8Close, INT8_TARGET, int8Target } from './int8-parity.test-support.ts';
import { randomFloats, ref, rowWords, runKernel, useDevice } from './parity.test-support.ts';

describe('AttentionCombineInt8', () => {
  const device = useDevice();
  // A split takes whole tiles of 32 keys, so that few keys leave splits unused.
  const cases = [
    { H: 1, D: 32, splits: 1, keyCounts: [5], usedSplits: [1] },
    { H: 3, D: 64, splits: 4, keyCounts: [64, 128, 31], usedSplits: [2, 4, 1] },
    { H: 2, D: 128, splits: 8, keyCounts: [1000, 200], usedSplits: [8, 7] },
    { H: 5, D: 96, splits: 2, keyCounts: [33, 1, 2, 3, 4, 5, 6, 7], usedSplits: [2, 1, 1, 1, 1, 1, 1, 1] },
    { H: 2, D: 256, splits: 3, keyCounts: [96], usedSplits: [3] },
    // More than two for each team of the workgroup, and more than its invocations.
    { H: 2, D: 64, splits: 33, keyCounts: [2000, 500], usedSplits: [33, 16] },
    { H: 1, D: 32, splits: 132, keyCounts: [9000, 3300, 700], usedSplits: [132, 104, 22] },
  ];
  for (const [index, { H, D, splits, keyCounts, usedSplits }] of cases.entries()) {
    const reduction = index % 2 === 0 ? 'workgroup' : 'subgroup';
    it(`matches the reference for ${keyCounts.join(', ')} keys, ${H} heads of ${D}, ${splits} splits, ${reduction}`, async () => {
      const heads = keyCounts.length * H;
      const partialOutput = randomFloats(heads * splits * D, 1);
      const maxima = randomFloats(heads * splits, 2, 20);
      const sums = randomFloats(heads * splits, 3).map((value) => 1 + Math.abs(value));
      const partialStats = Float32Array.from({ length: heads * splits * 2 }, (_, i) => {
        return (i % 2 === 0 ? maxima : sums)[Math.floor(i / 2)];
      });
      // What an unused split holds is of no matter.
      for (let split = 0; split < heads * splits; split++) {
        if (split % splits < usedSplits[Math.floor(split / splits / H)]) continue;
        partialStats.fill(1e30, split * 2, split * 2 + 2);
        partialOutput.fill(1e30, split * D, (split + 1) * D);
      }
      const call = attentionCombineInt8({
        label: 'test',
        columns: keyCounts.length,
        H,
        D,
        splits,
        reduction,
        rows: ref('rows'),
        partialOutput: ref('partialOutput'),
        partialStats: ref('partialStats'),
        output: INT8_TARGET,
      });
      const rows = rowWords(keyCounts.map((keyCount) => ({ cacheIndex: keyCount - 1 })));
      const arrays = { rows, partialOutput, partialStats, ...int8Target(heads * D) };
      const results = await runKernel(device(), call, arrays, { outputs: ['codes', 'totals'] });
      const inputs = [partialOutput, partialStats, { H, D, splits, usedSplits }] as const;
      expectInt8Close(results, {
        exact: attentionCombineReference(...inputs),
        rounded: attentionCombineInt8Reference(...inputs),
        inputError: 1e-6,
        K: H * D,
      });
    });
  }
});
