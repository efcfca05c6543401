import { patchPlaceReference } from './patch-place.reference.ts';
import { rmsNormReference } from './rms-norm.reference.ts';

/** Sizes that `embed-patches.wgsl` computes with. */
export interface PatchGrid {
  readonly C: number;
  readonly epsilon: number;
  readonly positionSide: number;
  readonly spatialMergeSize: number;
  readonly gridRows: number;
  readonly gridColumns: number;
}

/**
 * CPU twin of `embed-patches.wgsl`: x [P, C], weight [C] and position table [positionSide^2, C] to [P, C].
 * The table is sampled as torch's `grid_sample` does with bicubic interpolation, `align_corners=False` and
 * border padding.
 */
export function embedPatchesReference(
  x: Float32Array,
  weight: Float32Array,
  positions: Float32Array,
  { C, epsilon, positionSide, spatialMergeSize, gridRows, gridColumns }: PatchGrid,
): Float32Array {
  const hidden = rmsNormReference(x, weight, { C, epsilon });
  for (let patch = 0; patch < x.length / C; patch++) {
    const place = patchPlaceReference(patch, gridColumns, spatialMergeSize);
    const rowTaps = tapsOf(place.row, gridRows, positionSide);
    const columnTaps = tapsOf(place.column, gridColumns, positionSide);
    for (let c = 0; c < C; c++) {
      let sampled = 0;
      for (const row of rowTaps) {
        for (const column of columnTaps) {
          const value = positions[(row.index * positionSide + column.index) * C + c];
          sampled += row.weight * column.weight * value;
        }
      }
      hidden[patch * C + c] += sampled;
    }
  }
  return hidden;
}

/** The four table lines that patch `place` of `count` along an axis reads, and their weights. */
function tapsOf(place: number, count: number, side: number): { index: number; weight: number }[] {
  const centre = ((place + 0.5) / count) * side - 0.5;
  const below = Math.floor(centre);
  return [-1, 0, 1, 2].map((offset) => ({
    index: Math.min(Math.max(below + offset, 0), side - 1),
    weight: cubicKernel(Math.abs(centre - below - offset)),
  }));
}

/** Keys' cubic convolution kernel with torch's A = -0.75. */
function cubicKernel(distance: number): number {
  const a = -0.75;
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance ** 2 + 1;
  return a * (distance ** 3 - 5 * distance ** 2 + 8 * distance - 4);
}
