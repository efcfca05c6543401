import { describe, it } from 'vitest';
import { expectClose, randomFloats, ref, runKernel, useDevice } from './parity.test-support.ts';
import { swiglu } from './swiglu.ts';
import { swigluReference } from './swiglu.reference.ts';

describe('Swiglu', () => {
  const device = useDevice();
  const cases = [
    { rows: 1, F: 4, scale: 1 },
    { rows: 3, F: 260, scale: 1 },
    // Gates beyond +-88 overflow exp in f32.
    { rows: 2, F: 704, scale: 100 },
  ];
  for (const { rows, F, scale } of cases) {
    it(`matches the reference for ${rows}x${F} of ${scale}`, async () => {
      const x = randomFloats(rows * 2 * F, 1, scale);
      const y = new Float32Array(rows * F);
      const call = swiglu({ label: 'test', rows: 'tokens', F, x: ref('x'), y: ref('y') });
      const results = await runKernel(device(), call, { x, y }, { rows, outputs: ['y'] });
      expectClose(new Float32Array(results.y), swigluReference(x, F), 1e-6);
    });
  }
});
