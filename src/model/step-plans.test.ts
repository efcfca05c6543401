import { describe, expect, it } from 'vitest';
import type { DecodeReach } from './compile-options.ts';
import type { LanguageModel } from './language-model.ts';
import { StepPlans } from './step-plans.ts';
import type { TextModel } from './text-model.ts';

/** A model that compiles a step when the test says so, and notes which were wanted and recorded. */
function createModel(farKeys: number | undefined, mostFarColumns = 1) {
  const farKeysOf = (columns: number): number | undefined =>
    columns <= mostFarColumns ? farKeys : undefined;
  const wanted: string[] = [];
  const recorded: string[] = [];
  const compiling: { resolve: () => void; fail: () => void }[] = [];
  const text: Partial<TextModel> = {
    farKeys: (columns) => farKeysOf(columns),
    reachFor: (columns, keyCount) => (keyCount >= (farKeysOf(columns) ?? Infinity) ? 'far' : 'near'),
    prepareDecode: (columns: number, reach: DecodeReach = 'near') => {
      const name = `${columns} ${reach}`;
      wanted.push(name);
      return new Promise((resolve, reject) => {
        compiling.push({
          resolve: () => resolve(() => recorded.push(name)),
          fail: () => reject(new Error(name)),
        });
      });
    },
  };
  const record = async () => () => undefined;
  const model = { text, sampler: { prepareSample: record }, ranker: { prepareStep: record } };
  let readyCount = 0;
  const plans = new StepPlans(model as unknown as LanguageModel, () => readyCount++);
  const finish = async (how: 'resolve' | 'fail' = 'resolve'): Promise<void> => {
    for (const one of compiling.splice(0)) one[how]();
    await new Promise((resolve) => setTimeout(resolve));
  };
  const step = (most: number, keyCount: number): string => {
    plans.widest(most, 0, keyCount).decode({} as never);
    return recorded.at(-1) as string;
  };
  const prepare = async (): Promise<void> => {
    const prepared = plans.prepare(1, 0);
    await finish();
    await prepared;
  };
  return { plans, wanted, step, prepare, finish, countReady: () => readyCount };
}

describe('StepPlans', () => {
  it('compiles what many keys need at half of them, and uses it from them on', async () => {
    const { wanted, step, prepare, finish, countReady } = createModel(100);
    await prepare();
    expect(step(1, 49)).toBe('1 near');
    expect(wanted).toEqual(['1 near']);
    expect(step(1, 50)).toBe('1 near');
    expect(step(1, 51)).toBe('1 near');
    expect(wanted).toEqual(['1 near', '1 far']);
    await finish();
    expect(countReady()).toBe(1);
    expect([99, 100, 101, 20].map((keyCount) => step(1, keyCount))).toEqual([
      '1 near',
      '1 far',
      '1 far',
      '1 near',
    ]);
    expect(wanted).toEqual(['1 near', '1 far']);
  });

  it('goes on with the other while it is not compiled, or does not compile', async () => {
    const { step, prepare, finish, countReady } = createModel(100);
    await prepare();
    expect(step(1, 1000)).toBe('1 near');
    await finish('fail');
    expect(step(1, 1001)).toBe('1 near');
    expect(countReady()).toBe(0);
  });

  it('begins to compile with a long prompt', async () => {
    const { plans, wanted, step, prepare, finish } = createModel(100);
    await prepare();
    plans.expectKeys(40, 0);
    expect(wanted).toHaveLength(1);
    plans.expectKeys(1000, 0);
    expect(wanted).toEqual(['1 near', '1 far']);
    await finish();
    expect(step(1, 1000)).toBe('1 far');
  });

  it('has one form where the model has', async () => {
    const { wanted, step, prepare } = createModel(undefined);
    await prepare();
    expect(step(1, 1_000_000)).toBe('1 near');
    expect(wanted).toEqual(['1 near']);
  });

  it('gives many sequences the widest step that is compiled', async () => {
    const { wanted, step, prepare, finish } = createModel(100);
    await prepare();
    expect(step(3, 1000)).toBe('1 near');
    expect(wanted).toEqual(['1 near', '3 near']);
    await finish();
    expect(step(3, 1000)).toBe('3 near');
    expect(step(4, 1000)).toBe('3 near');
  });

  it('goes over to what many keys need for many sequences, too', async () => {
    const { wanted, step, prepare, finish } = createModel(100, 3);
    await prepare();
    step(3, 49);
    await finish();
    expect(step(3, 50)).toBe('3 near');
    expect(wanted).toEqual(['1 near', '3 near', '3 far']);
    expect(step(3, 100)).toBe('3 near');
    await finish();
    expect([99, 100, 20].map((keyCount) => step(3, keyCount))).toEqual(['3 near', '3 far', '3 near']);
    expect(wanted).toEqual(['1 near', '3 near', '3 far']);
  });

  it('compiles one form of a width that begins with many keys, and keeps to it until the other is there', async () => {
    const { wanted, step, prepare, finish } = createModel(100, 3);
    await prepare();
    step(2, 1000);
    expect(wanted).toEqual(['1 near', '2 far']);
    await finish();
    expect(step(2, 1000)).toBe('2 far');
    expect(step(2, 20)).toBe('2 far');
    expect(wanted).toEqual(['1 near', '2 far', '2 near']);
    await finish();
    expect(step(2, 20)).toBe('2 near');
  });

  it('gives exactly a width, when it is compiled', async () => {
    const { plans, wanted, prepare, finish } = createModel(100, 4);
    await prepare();
    expect(plans.exactly(4, 0, 1000)).toBeUndefined();
    await finish();
    expect(plans.exactly(4, 0, 1000)?.columns).toBe(4);
    expect(plans.exactly(3, 0, 1000)).toBeUndefined();
    expect(wanted).toEqual(['1 near', '4 far', '3 far']);
  });
});
