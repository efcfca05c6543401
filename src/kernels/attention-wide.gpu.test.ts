import { attentionWide, ATTENTION_WIDE_BYTES } from './attention-wide.ts';
import { attentionWideReference } from './attention-wide.reference.ts';
import { describeAttention } from './attention-parity.test-support.ts';

const text = { isCausal: true, cacheFormat: 'f16', D: 128 } as const;
const vision = { isCausal: false, cacheFormat: 'f32', D: 128 } as const;

// Less than a tile of 64 queries and of 128 keys, and more; keys that end with half a tile; maxima that rise in a later one.
describeAttention(
  'AttentionWide',
  {
    attention: attentionWide,
    reference: attentionWideReference,
    tolerance: { plain: 2e-6, scaled: 1e-4 },
    device: { workgroupStorageBytes: ATTENTION_WIDE_BYTES },
  },
  [
    { rows: 1, H: 2, KV: 2, context: 8, ...text },
    { rows: 33, H: 4, KV: 2, context: 160, ...text, slots: 3, slot: 1, cacheStart: 95 },
    { rows: 100, H: 2, KV: 1, context: 128, ...text, cacheFormat: 'q8', cacheStart: 1 },
    { rows: 130, H: 1, KV: 1, context: 0, ...vision },
    { rows: 70, H: 1, KV: 1, context: 70, ...vision, scale: 300 },
    { rows: 64, H: 1, KV: 1, context: 0, ...vision },
    { rows: 64, H: 1, KV: 1, context: 192, ...text, cacheStart: 128 },
    { rows: 70, H: 1, KV: 1, context: 200, ...text, cacheStart: 130, scale: 300 },
  ],
);
