import { describe, expect, it } from 'vitest';
import { findFastest } from './tune-tilings.ts';

describe('findFastest', () => {
  const among = (...times: number[]): Promise<number> => findFastest(times, (time) => Promise.resolve(time));

  it.each([
    ['the fastest', [10, 8, 6, 7], 6],
    ['the present one where none is clearly faster', [10, 9.8, 9.75], 10],
    ['a slightly faster one than one that is clearly faster', [10, 9, 8.95], 8.95],
    ['the present one where no other runs', [10, Infinity], 10],
    ['another where the present one does not run', [Infinity, 12], 12],
  ])('gives %s', async (_, times, fastest) => {
    expect(await among(...times)).toBe(fastest);
  });

  it('measures no more when time is over', async () => {
    const measured: number[] = [];
    const best = await findFastest(
      [10, 8, 1],
      (time) => {
        measured.push(time);
        return Promise.resolve(time);
      },
      () => measured.length === 2,
    );
    expect([best, measured]).toEqual([8, [10, 8]]);
  });
});
