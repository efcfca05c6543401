/** CPU twin of `attention-split.wgsl` followed by `attention-combine.wgsl`: the same numbers as `attention-decode`. */
export { attentionDecodeReference as attentionSplitReference } from './attention-decode.reference.ts';
