import { attentionTile } from './attention-tile.ts';
import { attentionTileReference } from './attention-tile.reference.ts';
import { describeAttention, type AttentionCase } from './attention-parity.test-support.ts';

const text = { isCausal: true, cacheFormat: 'f16' } as const;
const vision = { isCausal: false, cacheFormat: 'f32' } as const;
const CASES: readonly AttentionCase[] = [
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

describeAttention(
  'AttentionTile',
  {
    attention: attentionTile,
    reference: attentionTileReference,
    // The error of a share is that of its score, which is as large as the scores are.
    tolerance: { plain: 2e-6, scaled: 1e-4 },
    device: {},
  },
  CASES,
);
