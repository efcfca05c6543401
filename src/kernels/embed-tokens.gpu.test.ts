import { describe, expect, it } from 'vitest';
import { embedTokens } from './embed-tokens.ts';
import { embedTokensReference, IMAGE_FLAG } from './embed-tokens.reference.ts';
import { randomFloats, ref, rowWords, runKernel, useDevice } from './parity.test-support.ts';
import { packMatrix } from './weight-packing.test-support.ts';

describe('EmbedTokens', () => {
  const device = useDevice();
  const cases = [
    { V: 7, C: 8, format: 'f32', tokens: [6, 0, 0, 3] },
    { V: 13, C: 536, format: 'f16', tokens: [12], partRows: [13] },
    {
      V: 40,
      C: 96,
      format: 'q4',
      tokens: [39, 0, 12, 13, IMAGE_FLAG + 2, 5, IMAGE_FLAG],
      partRows: [13, 27],
    },
    { V: 11, C: 64, format: 'q8', tokens: [IMAGE_FLAG + 1, 10, 4, 3], partRows: [4, 4, 3] },
  ] as const;
  for (const { V, C, format, tokens, ...options } of cases) {
    const parts = 'partRows' in options ? options.partRows : [V];
    it(`equals the reference for ${tokens.length} tokens of ${V}x${C} ${format} in ${parts.length} parts`, async () => {
      const table = packMatrix('table', { N: V, K: C, format, seed: 1, partRows: parts });
      const features = randomFloats(3 * C, 2);
      const calls = embedTokens({
        label: 'test',
        table: table.matrix,
        rows: ref('rows'),
        features: ref('features'),
        hidden: ref('hidden'),
      });
      const rows = rowWords(tokens.map((token) => ({ token })));
      const hidden = new Float32Array(tokens.length * C).fill(NaN);
      const results = await runKernel(
        device(),
        calls,
        { ...table.arrays, rows, features, hidden },
        { rows: tokens.length, outputs: ['hidden'] },
      );
      // A lookup computes nothing but (q - zero) * scale, which f32 holds exactly here.
      expect(new Float32Array(results.hidden)).toEqual(
        embedTokensReference(tokens, table.values, features, C),
      );
    });
  }
});
