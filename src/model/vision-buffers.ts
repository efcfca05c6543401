import { roundUp } from '../base/maths.ts';
import { K_UNIT, type RowPiece } from '../kernels/kernel.ts';
import type { VisionConfig } from './config.ts';

/**
 * Names of the buffers through which the host and the vision Plans meet. Some have the same name: what is no longer
 * needed makes room for what comes later, for a screenshot's activations are hundreds of megabytes.
 */
export const VISION_BUFFERS = {
  /** [P, `paddedPatchLength`] f32, read once at the start */
  patches: 'vision.wide',
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
  downsampled: 'vision.projected',
  /** [P / merge^2, outC] the merger's input, when the residual stream is done with */
  merged: 'vision.hidden',
  /** [P / merge^2, outC] when the convolution has read the last norm */
  features: 'vision.normed',
  /** [P, 3 C] queries, keys and values before rope; then [P, C] what attention gives; then the MLP's gate and up */
  wide: 'vision.wide',
  /** [P, C] queries; then [piece, F] what the MLP's second product takes */
  queries: 'vision.queries',
} as const;

/** `Step` of one piece of rows. */
export function pieceStep(step: string, index: number): string {
  return `${step}.${index}`;
}

/** Pieces have whole multiples of so many rows: tiles are full, and offsets are aligned. */
const PIECE_UNIT = 128;

/** Cuts rows of `2 F` words into pieces of about the same size, each of at most `mostWords` words. */
export function cutRows(rowCount: number, F: number, mostWords: number): RowPiece[] {
  const mostRows = Math.max(PIECE_UNIT, Math.floor(mostWords / (2 * F) / PIECE_UNIT) * PIECE_UNIT);
  const count = Math.ceil(rowCount / mostRows);
  const pieceRows = roundUp(Math.ceil(rowCount / count), PIECE_UNIT);
  return Array.from({ length: count }, (_, index) => {
    const firstRow = index * pieceRows;
    return { firstRow, rowCount: Math.min(pieceRows, rowCount - firstRow) };
  }).filter((piece) => piece.rowCount > 0);
}

/** Patches that one side of an image may have: the rope table's length. */
export const MAX_GRID_SIDE = 1024;

/** Values of a patch of one frame, padded to a unit of K. */
export function paddedPatchLength({ inChannels, patchSize }: VisionConfig): number {
  return roundUp(inChannels * patchSize ** 2, K_UNIT);
}
