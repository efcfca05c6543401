import { AutoglmError } from '../base/errors.ts';

/** Merged patches of an image: what its run of image tokens stands for. */
export interface MergedGrid {
  readonly rows: number;
  readonly columns: number;
}

/** Positions of a prompt for M-RoPE. */
export interface PositionIds {
  /** [T, 3]: time, row and column position of each token. */
  readonly positions: Uint32Array<ArrayBuffer>;
  /** Position of a later token minus its index in the sequence; at most 0. */
  readonly ropeDelta: number;
}

/**
 * M-RoPE positions for any mix of text and images. Text advances all three positions by one; an image's
 * tokens share the time position, count rows and columns from it, and advance the next text by the larger
 * side only. Source: `get_rope_index` of transformers' Glm4v.
 *
 * @param grids merged patch grids of the images, in the order of the prompt
 * @throws AutoglmError `message-invalid` when the runs of image tokens do not fit the grids
 */
export function computePositionIds(
  tokenIds: ArrayLike<number>,
  imageTokenId: number,
  grids: readonly MergedGrid[],
): PositionIds {
  const positions = new Uint32Array(tokenIds.length * 3);
  let next = 0;
  let index = 0;
  let imageIndex = 0;
  while (index < tokenIds.length) {
    if (tokenIds[index] !== imageTokenId) {
      positions.fill(next, index * 3, index * 3 + 3);
      next++;
      index++;
      continue;
    }
    const grid = grids[imageIndex++];
    if (!grid) {
      const value = grids.length;
      throw mismatch(`The prompt has places for more than the ${value} images that were given.`, {
        value,
        limit: imageIndex,
      });
    }
    requireRun(tokenIds, index, imageTokenId, grid);
    for (let row = 0; row < grid.rows; row++) {
      for (let column = 0; column < grid.columns; column++) {
        positions.set([next, next + row, next + column], index * 3);
        index++;
      }
    }
    next += Math.max(grid.rows, grid.columns);
  }
  if (imageIndex !== grids.length) {
    throw mismatch(`The prompt has places for ${imageIndex} images and ${grids.length} were given.`, {
      value: grids.length,
      limit: imageIndex,
    });
  }
  return { positions, ropeDelta: next - tokenIds.length };
}

function requireRun(
  tokenIds: ArrayLike<number>,
  start: number,
  imageTokenId: number,
  grid: MergedGrid,
): void {
  const count = grid.rows * grid.columns;
  let run = 0;
  while (run < count && tokenIds[start + run] === imageTokenId) run++;
  if (run === count) return;
  const message = `An image of ${count} tokens has only ${run} image tokens in the prompt.`;
  throw mismatch(message, { value: run, limit: count });
}

function mismatch(message: string, details: { value: number; limit: number }): AutoglmError {
  return new AutoglmError('message-invalid', message, {
    ...details,
    cure: 'Give exactly one image for each image part, and expand its token once for each merged patch.',
  });
}
