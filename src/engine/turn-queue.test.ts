import { describe, expect, it } from 'vitest';
import { isAbortError } from '../base/errors.ts';
import { TurnQueue } from './turn-queue.ts';

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

describe('TurnQueue', () => {
  it('lets one in at a time, in the order of asking', async () => {
    const queue = new TurnQueue();
    const entered: number[] = [];
    let inside = 0;
    await Promise.all(
      [3, 1, 2].map(async (ticks, index) => {
        const leave = await queue.enter();
        entered.push(index);
        expect(++inside).toBe(1);
        for (let tick = 0; tick < ticks; tick++) await settle();
        inside--;
        leave();
      }),
    );
    expect(entered).toEqual([0, 1, 2]);
  });

  it('lets go of one who gives up waiting, without holding or hurrying the others', async () => {
    const queue = new TurnQueue();
    const leaveFirst = await queue.enter();
    const controller = new AbortController();
    const second = queue.enter(controller.signal);
    let hasThird = false;
    const third = queue.enter().then((leave) => {
      hasThird = true;
      return leave;
    });
    controller.abort();
    await expect(second).rejects.toSatisfy(isAbortError);
    await settle();
    expect(hasThird).toBe(false);
    leaveFirst();
    (await third)();
    (await queue.enter())();
  });

  it('refuses a signal that was aborted before, with its reason', async () => {
    const queue = new TurnQueue();
    const reason = new Error('enough');
    await expect(queue.enter(AbortSignal.abort(reason))).rejects.toBe(reason);
    (await queue.enter(new AbortController().signal))();
  });

  it('ignores an abort that comes after entering', async () => {
    const queue = new TurnQueue();
    const controller = new AbortController();
    const leave = await queue.enter(controller.signal);
    controller.abort();
    let hasNext = false;
    const next = queue.enter().then((leaveNext) => {
      hasNext = true;
      return leaveNext;
    });
    await settle();
    expect(hasNext).toBe(false);
    leave();
    (await next)();
  });
});
