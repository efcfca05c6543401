import { describe, expect, it } from 'vitest';
import { mergeAnswers } from './merge-answers.ts';

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/** Counts, and notes when it is ended; `fail` throws after so many. */
function createCounter(
  count: number,
  { fail = Infinity, ended }: { fail?: number; ended: string[] },
  name: string,
) {
  return (async function* () {
    try {
      for (let index = 0; index < count; index++) {
        await turn();
        if (index === fail) throw new Error(`${name} failed`);
        yield `${name}${index}`;
      }
      return name;
    } finally {
      ended.push(name);
    }
  })();
}

describe('mergeAnswers', () => {
  it('gives all items with the number of their stream, and what each returned', async () => {
    const ended: string[] = [];
    const merged = mergeAnswers(
      [createCounter(3, { ended }, 'a'), createCounter(1, { ended }, 'b'), createCounter(0, { ended }, 'c')],
      () => expect.fail('nobody left'),
    );
    const seen: string[][] = [[], [], []];
    let next = await merged.next();
    for (; !next.done; next = await merged.next()) seen[next.value.index]?.push(next.value.item);
    expect(seen).toEqual([['a0', 'a1', 'a2'], ['b0'], []]);
    expect(next.value).toEqual(['a', 'b', 'c']);
  });

  it('aborts and ends every stream when the reader leaves', async () => {
    const ended: string[] = [];
    let aborts = 0;
    const merged = mergeAnswers(
      [createCounter(99, { ended }, 'a'), createCounter(99, { ended }, 'b')],
      () => void aborts++,
    );
    for await (const { item } of merged) if (item === 'a1') break;
    expect([aborts, ended.toSorted()]).toEqual([1, ['a', 'b']]);
  });

  it('throws the fault of one and ends the others', async () => {
    const ended: string[] = [];
    const merged = mergeAnswers(
      [createCounter(99, { ended }, 'a'), createCounter(99, { ended, fail: 2 }, 'b')],
      () => {},
    );
    await expect(
      (async () => {
        for await (const _ of merged);
      })(),
    ).rejects.toThrow('b failed');
    expect(ended.toSorted()).toEqual(['a', 'b']);
  });
});
