import { describe, it } from 'vitest';
import { packCache, unpackCache } from './cache-packing.test-support.ts';
import { expectClose, randomFloats, ref, runKernel, stepWords, useDevice } from './parity.test-support.ts';
import { ropeVision } from './rope-vision.ts';
import { ropeVisionReference } from './rope-vision.reference.ts';

describe('RopeVision', () => {
  const device = useDevice();
  const cases = [
    { gridRows: 2, gridColumns: 2, H: 1, D: 4, spatialMergeSize: 2, cacheFormat: 'f32' },
    { gridRows: 4, gridColumns: 6, H: 3, D: 32, spatialMergeSize: 2, cacheFormat: 'f16' },
    { gridRows: 3, gridColumns: 5, H: 2, D: 20, spatialMergeSize: 1, cacheFormat: 'f32' },
    { gridRows: 6, gridColumns: 2, H: 2, D: 128, spatialMergeSize: 2, cacheFormat: 'f16' },
  ] as const;
  for (const { gridRows, gridColumns, cacheFormat, ...sizes } of cases) {
    const { H, D, spatialMergeSize } = sizes;
    const name = `${gridRows}x${gridColumns} patches, ${H} heads of ${D}, merge ${spatialMergeSize}, ${cacheFormat}`;
    it(`matches the reference for ${name}`, async () => {
      const P = gridRows * gridColumns;
      const qkv = randomFloats(P * 3 * H * D, 1);
      // Any numbers do for a table: they show where each pair reads.
      const rope = randomFloats((Math.max(gridRows, gridColumns) * D) / 2, 2);
      const empty = new Float32Array(P * H * D);
      const call = ropeVision({
        label: 'test',
        ...sizes,
        cacheFormat,
        step: ref('step'),
        qkv: ref('qkv'),
        rope: ref('rope'),
        q: ref('q'),
        keys: ref('keys'),
        values: ref('values'),
      });
      const arrays = {
        step: stepWords({ rowCount: P, gridRows, gridColumns }),
        qkv,
        rope,
        q: empty,
        keys: packCache(empty, cacheFormat),
        values: packCache(empty, cacheFormat),
      };
      const results = await runKernel(device(), call, arrays, { rows: P, outputs: ['q', 'keys', 'values'] });
      const expected = ropeVisionReference(qkv, rope, { ...sizes, gridColumns });
      const tolerance = cacheFormat === 'f16' ? 5e-4 : 1e-6;
      expectClose(new Float32Array(results.q), expected.q, 1e-6);
      expectClose(unpackCache(results.keys, cacheFormat), expected.keys, tolerance);
      expectClose(unpackCache(results.values, cacheFormat), expected.values, tolerance);
    });
  }
});
