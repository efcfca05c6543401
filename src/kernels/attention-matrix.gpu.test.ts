import { describe, expect, it } from 'vitest';
import { attentionMatrix, fitsAttentionMatrix, MATRIX_WORKGROUP_BYTES } from './attention-matrix.ts';
import { attentionMatrixReference } from './attention-matrix.reference.ts';
import { describeAttention } from './attention-parity.test-support.ts';
import { ref } from './parity.test-support.ts';
import { findProgramFaults } from './wgsl-validation.test-support.ts';

const text = { isCausal: true, cacheFormat: 'f16', D: 128 } as const;
const vision = { isCausal: false, cacheFormat: 'f16', D: 128 } as const;

describeAttention(
  'AttentionMatrix, on adapters that have matrices',
  {
    attention: attentionMatrix,
    reference: attentionMatrixReference,
    // Shares are f16.
    tolerance: { plain: 2e-3, scaled: 5e-3 },
    device: { workgroupStorageBytes: MATRIX_WORKGROUP_BYTES },
    // Others never get it: see the compile options' tests.
    isFor: ({ hasSubgroupMatrix }) => hasSubgroupMatrix,
  },
  [
    { rows: 1, H: 2, KV: 2, context: 8, ...text },
    { rows: 33, H: 4, KV: 2, context: 160, ...text, slots: 3, slot: 1, cacheStart: 95 },
    { rows: 200, H: 2, KV: 1, context: 400, ...text, cacheStart: 170 },
    { rows: 131, H: 2, KV: 2, context: 0, ...vision },
    { rows: 129, H: 1, KV: 1, context: 129, ...vision, scale: 30 },
    { rows: 64, H: 1, KV: 1, context: 64, ...text },
  ],
);

describe('AttentionMatrix', () => {
  it('is a valid program', async () => {
    const buffers = { step: ref('step'), q: ref('q'), keys: ref('k'), values: ref('v'), output: ref('o') };
    const sizes = { H: 2, KV: 1, context: 64, ...text };
    const { program } = attentionMatrix({ label: 'test', rows: 'tokens', ...sizes, ...buffers });
    expect(await findProgramFaults(program)).toEqual([]);
  });

  it.each([
    { D: 64, cacheFormat: 'f16', fits: false },
    { D: 128, cacheFormat: 'f16', fits: true },
    { D: 128, cacheFormat: 'q8', fits: false },
  ] as const)('takes heads of $D over a cache in $cacheFormat: $fits', ({ fits, ...attention }) => {
    expect(fitsAttentionMatrix(attention)).toBe(fits);
  });
});
