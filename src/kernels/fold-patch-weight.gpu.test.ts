import { describe, it } from 'vitest';
import { foldPatchWeight } from './fold-patch-weight.ts';
import { foldPatchWeightReference } from './fold-patch-weight.reference.ts';
import { expectClose, ref, runKernel, useDevice } from './parity.test-support.ts';
import { packMatrix } from './weight-packing.test-support.ts';

describe('FoldPatchWeight', () => {
  const device = useDevice();
  const cases = [
    { C: 1, inChannels: 1, patchSize: 2, temporalPatchSize: 2, paddedK: 8, format: 'f32' },
    { C: 5, inChannels: 3, patchSize: 14, temporalPatchSize: 2, paddedK: 592, format: 'f16' },
    { C: 3, inChannels: 3, patchSize: 4, temporalPatchSize: 4, paddedK: 64, format: 'q4' },
    { C: 2, inChannels: 2, patchSize: 8, temporalPatchSize: 1, paddedK: 128, format: 'q8' },
    {
      C: 7,
      inChannels: 3,
      patchSize: 4,
      temporalPatchSize: 2,
      paddedK: 48,
      format: 'f16',
      partRows: [4, 2, 1],
    },
  ] as const;
  for (const { C, inChannels, patchSize, temporalPatchSize, paddedK, format, ...parts } of cases) {
    const shape = `${C}x${inChannels}x${temporalPatchSize}x${patchSize}x${patchSize}`;
    const { partRows = [C] } = parts as { partRows?: readonly number[] };
    it(`matches the reference for ${shape} ${format}, rows of ${paddedK}, in ${partRows.length} parts`, async () => {
      const area = patchSize ** 2;
      const K = inChannels * temporalPatchSize * area;
      const source = packMatrix('source', { N: C, K, format, seed: 1, partRows });
      const sizes = { inChannels, temporalPatchSize, patchSize, paddedK };
      const call = foldPatchWeight({ label: 'test', ...sizes, source: source.matrix, folded: ref('folded') });
      const folded = new Float32Array(C * paddedK).fill(NaN);
      const results = await runKernel(device(), call, { ...source.arrays, folded }, { outputs: ['folded'] });
      const layout = { inChannels, frames: temporalPatchSize, area, paddedK };
      expectClose(new Float32Array(results.folded), foldPatchWeightReference(source.values, layout), 1e-6);
    });
  }
});
