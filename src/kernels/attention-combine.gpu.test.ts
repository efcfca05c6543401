import { describe, it } from 'vitest';
import { attentionCombine } from './attention-combine.ts';
import { attentionCombineReference } from './attention-combine.reference.ts';
import { expectClose, randomFloats, ref, rowWords, runKernel, useDevice } from './parity.test-support.ts';

describe('AttentionCombine', () => {
  const device = useDevice();
  // A split takes whole tiles of 32 keys, so that few keys leave splits unused.
  const cases = [
    { H: 1, D: 16, splits: 1, keyCounts: [5], usedSplits: [1] },
    { H: 3, D: 24, splits: 4, keyCounts: [64, 128, 31], usedSplits: [2, 4, 1] },
    { H: 2, D: 128, splits: 8, keyCounts: [1000, 200], usedSplits: [8, 7] },
  ];
  for (const { H, D, splits, keyCounts, usedSplits } of cases) {
    it(`matches the reference for ${keyCounts.join(', ')} keys, ${H} heads of ${D}, ${splits} splits`, async () => {
      const heads = keyCounts.length * H;
      const partialOutput = randomFloats(heads * splits * D, 1);
      const maxima = randomFloats(heads * splits, 2, 20);
      const sums = randomFloats(heads * splits, 3).map((value) => 1 + Math.abs(value));
      const partialStats = Float32Array.from({ length: heads * splits * 2 }, (_, i) => {
        return (i % 2 === 0 ? maxima : sums)[Math.floor(i / 2)];
      });
      const call = attentionCombine({
        label: 'test',
        columns: keyCounts.length,
        H,
        D,
        splits,
        rows: ref('rows'),
        partialOutput: ref('partialOutput'),
        partialStats: ref('partialStats'),
        output: ref('output'),
      });
      const rows = rowWords(keyCounts.map((keyCount) => ({ cacheIndex: keyCount - 1 })));
      const output = new Float32Array(heads * D);
      const results = await runKernel(
        device(),
        call,
        { rows, partialOutput, partialStats, output },
        {
          outputs: ['output'],
        },
      );
      const expected = attentionCombineReference(partialOutput, partialStats, { H, D, splits, usedSplits });
      expectClose(new Float32Array(results.output), expected, 1e-6);
    });
  }
});
