import { describe, expect, it } from 'vitest';
import { isAutoglmError } from '../base/errors.ts';
import { computePositionIds, type MergedGrid } from './position-ids.ts';

const TEXT = 7;
const IMAGE = 99;

/** Runs of text by their length and images by their grid, as ids. */
function compose(...runs: readonly (number | MergedGrid)[]): { ids: number[]; grids: MergedGrid[] } {
  const grids = runs.filter((run): run is MergedGrid => typeof run !== 'number');
  const ids = runs.flatMap((run) =>
    typeof run === 'number'
      ? Array.from({ length: run }, () => TEXT)
      : Array.from({ length: run.rows * run.columns }, () => IMAGE),
  );
  return { ids, grids };
}

function compute(...runs: readonly (number | MergedGrid)[]) {
  const { ids, grids } = compose(...runs);
  const { positions, ropeDelta } = computePositionIds(ids, IMAGE, grids);
  const triples = ids.map((_, index) => [...positions.subarray(index * 3, index * 3 + 3)]);
  return { triples, ropeDelta, count: ids.length };
}

describe('computePositionIds', () => {
  it('counts text in all three axes', () => {
    expect(compute(3)).toEqual({
      triples: [
        [0, 0, 0],
        [1, 1, 1],
        [2, 2, 2],
      ],
      ropeDelta: 0,
      count: 3,
    });
  });

  it('counts rows and columns of an image from one time, and goes on after its larger side', () => {
    const { triples, ropeDelta } = compute(2, { rows: 2, columns: 3 }, 1);
    expect(triples).toEqual([
      [0, 0, 0],
      [1, 1, 1],
      [2, 2, 2],
      [2, 2, 3],
      [2, 2, 4],
      [2, 3, 2],
      [2, 3, 3],
      [2, 3, 4],
      [5, 5, 5],
    ]);
    expect(ropeDelta).toBe(6 - 9);
  });

  it('handles images in different shapes between texts, and one at either end', () => {
    const { triples, ropeDelta } = compute({ rows: 3, columns: 1 }, 2, { rows: 1, columns: 4 }, 1, {
      rows: 2,
      columns: 2,
    });
    expect(triples.map(([time]) => time)).toEqual([0, 0, 0, 3, 4, 5, 5, 5, 5, 9, 10, 10, 10, 10]);
    expect(triples.at(-1)).toEqual([10, 11, 11]);
    expect(ropeDelta).toBe(12 - 14);
  });

  it('tells two images apart that follow each other without text between', () => {
    const { triples } = compute({ rows: 1, columns: 2 }, { rows: 2, columns: 1 });
    expect(triples).toEqual([
      [0, 0, 0],
      [0, 0, 1],
      [2, 2, 2],
      [2, 3, 2],
    ]);
  });

  it('advances a 1080x2400 screenshot of 3108 tokens by 84', () => {
    const { triples, ropeDelta, count } = compute(5, { rows: 84, columns: 37 }, 1);
    expect(count).toBe(3114);
    expect(triples[5]).toEqual([5, 5, 5]);
    expect(triples[5 + 3107]).toEqual([5, 88, 41]);
    expect(triples.at(-1)).toEqual([89, 89, 89]);
    expect(ropeDelta).toBe(-3024);
  });

  it('continues at the next place of the text: index + ropeDelta', () => {
    const { triples, ropeDelta, count } = compute(4, { rows: 6, columns: 4 }, 3);
    expect(count + ropeDelta).toBe((triples.at(-1) as number[])[0] + 1);
  });

  it.each([
    ['more images than places', compose(2).ids, [{ rows: 1, columns: 1 }], 1, 0],
    ['more places than images', compose(1, { rows: 1, columns: 1 }, 1).ids, [], 0, 1],
    [
      'too few tokens for a grid',
      compose(1, { rows: 2, columns: 2 }, 1).ids,
      [{ rows: 2, columns: 3 }],
      4,
      6,
    ],
    ['too many tokens for a grid', compose({ rows: 2, columns: 3 }).ids, [{ rows: 2, columns: 2 }], 1, 2],
    [
      'tokens that end in the middle of an image',
      compose(1, { rows: 1, columns: 3 }).ids,
      [{ rows: 2, columns: 2 }],
      3,
      4,
    ],
  ])('refuses %s', (_, ids, grids, value, limit) => {
    let fault: unknown;
    try {
      computePositionIds(ids, IMAGE, grids);
    } catch (error) {
      fault = error;
    }
    expect(isAutoglmError(fault, 'message-invalid')).toBe(true);
    expect(fault).toMatchObject({ value, limit, cure: expect.stringContaining('one image') as string });
  });
});
