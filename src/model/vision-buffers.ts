import { roundUp } from '../base/maths.ts';
import { K_UNIT } from '../kernels/kernel.ts';
import type { VisionConfig } from './config.ts';

/** Names of the buffers through which the host and the vision Plans meet. */
export const VISION_BUFFERS = {
  /** [P, `paddedPatchLength`] f32 */
  patches: 'vision.patches',
  /** `Step` of the tower: P rows */
  step: 'vision.step',
  /** `Step` of the merger: P / spatialMergeSize^2 rows */
  mergedStep: 'vision.merged-step',
  /** [positions, D / 4] cosine and sine */
  rope: 'vision.rope',
  /** [C, `paddedPatchLength`] f32 */
  foldedWeight: 'vision.folded-patch-weight',
  /** [P, C] residual stream */
  hidden: 'vision.hidden',
  /** [P, C] output of the patch embedding */
  embedded: 'vision.projected',
  /** [P / merge^2, C * merge^2] after the last norm */
  normed: 'vision.normed',
  /** [P / merge^2, outC] after the downsampling convolution */
  downsampled: 'vision.downsampled',
  /** [P / merge^2, outC] */
  features: 'vision.features',
} as const;

/** Patches that one side of an image may have: the rope table's length. */
export const MAX_GRID_SIDE = 1024;

/** Values of a patch of one frame, padded to a unit of K. */
export function paddedPatchLength({ inChannels, patchSize }: VisionConfig): number {
  return roundUp(inChannels * patchSize ** 2, K_UNIT);
}
