import { describe, expect, it } from 'vitest';
import { withShardLock } from './shard-lock.ts';

// Node 20 has no Web Locks: this is the queue that stands in for them. Playwright tests the real ones.
describe('withShardLock', () => {
  it('runs one at a time, in order, and goes on after a failure', async () => {
    const log: string[] = [];
    const work = (name: string, fails = false) =>
      withShardLock('shard', {}, async () => {
        log.push(`${name} starts`);
        await new Promise((resolve) => setTimeout(resolve, 5));
        log.push(`${name} ends`);
        if (fails) throw new Error(name);
      });
    const results = await Promise.allSettled([work('a'), work('b', true), work('c')]);
    expect(log).toEqual(['a starts', 'a ends', 'b starts', 'b ends', 'c starts', 'c ends']);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('lets different shards run at once', async () => {
    let running = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running -= 1;
    };
    await Promise.all(['x', 'y'].map((name) => withShardLock(name, {}, work)));
    expect(most).toBe(2);
  });

  it('does not start after an abort', async () => {
    const controller = new AbortController();
    const first = withShardLock('shard', {}, () => new Promise((resolve) => setTimeout(resolve, 10)));
    const second = withShardLock('shard', { signal: controller.signal }, async () => 'ran');
    controller.abort();
    await first;
    await expect(second).rejects.toMatchObject({ name: 'AbortError' });
  });
});
