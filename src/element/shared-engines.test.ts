import { describe, expect, it } from 'vitest';
import { AutoglmError } from '../base/errors.ts';
import type { LoadProgress } from '../engine/engine.ts';
import type { CreateEngine, EngineOptions } from './engine-source.ts';
import { createScriptedEngine } from './scripted-engine.test-support.ts';
import { leaseEngine } from './shared-engines.ts';

/** Loads when told to, and counts what is alive. */
function createLoader() {
  const loads: { options: EngineOptions; finish(): void; fail(error: Error): void }[] = [];
  const unloaded: number[] = [];
  const create: CreateEngine = (options) =>
    new Promise((resolve, reject) => {
      const index = loads.length;
      const engine = {
        ...createScriptedEngine({ answers: ['x'] }),
        unload: async () => void unloaded.push(index),
      };
      options.signal?.addEventListener('abort', () => reject(options.signal?.reason));
      loads.push({ options, finish: () => resolve(engine), fail: reject });
    });
  return { loads, unloaded, create };
}

const settle = () => new Promise((resolve) => setTimeout(resolve));
const never = new AbortController().signal;
const ignore = () => {};
let modelCount = 0;
const nextModel = () => ({ model: `https://models.test/${modelCount++}`, backend: 'auto' as const });

describe('leaseEngine', () => {
  it('loads once for equal settings, and again for others', async () => {
    const { loads, create } = createLoader();
    const options = nextModel();
    const both = Promise.all([
      leaseEngine(create, options, never, ignore),
      leaseEngine(create, { ...options }, never, ignore),
    ]);
    void leaseEngine(create, { ...options, contextWindow: 1024 }, never, ignore);
    expect(loads).toHaveLength(2);
    loads[0]?.finish();
    const [first, second] = await both;
    expect(second?.engine).toBe(first?.engine);
  });

  it('unloads when the last holder gives it back, once', async () => {
    const { loads, unloaded, create } = createLoader();
    const options = nextModel();
    const pending = [0, 1].map(() => leaseEngine(create, options, never, ignore));
    loads[0]?.finish();
    const [first, second] = await Promise.all(pending);
    first?.release();
    first?.release();
    await settle();
    expect(unloaded).toEqual([]);
    second?.release();
    await settle();
    expect(unloaded).toEqual([0]);
  });

  it('shows a late comer the progress so far, and goes on with the load when one of two leaves', async () => {
    const { loads, create } = createLoader();
    const options = nextModel();
    const leaver = new AbortController();
    const left = leaseEngine(create, options, leaver.signal, ignore);
    const progress: LoadProgress = { phase: 'downloading', loadedBytes: 1, totalBytes: 2, bytesPerSecond: 0 };
    loads[0]?.options.onProgress?.(progress);
    const seen: LoadProgress[] = [];
    const stayed = leaseEngine(create, options, never, (report) => seen.push(report));
    expect(seen).toEqual([progress]);
    leaver.abort();
    await expect(left).rejects.toThrow('aborted');
    expect(loads[0]?.options.signal?.aborted).toBe(false);
    loads[0]?.finish();
    expect((await stayed).engine).toBeDefined();
  });

  it('aborts the load when everybody leaves, and loads afresh afterwards', async () => {
    const { loads, create } = createLoader();
    const options = nextModel();
    const leaver = new AbortController();
    const left = leaseEngine(create, options, leaver.signal, ignore);
    leaver.abort();
    await expect(left).rejects.toThrow('aborted');
    expect(loads[0]?.options.signal?.aborted).toBe(true);
    void leaseEngine(create, options, never, ignore);
    expect(loads).toHaveLength(2);
  });

  it('loads afresh after a failure, and after the engine was discarded', async () => {
    const { loads, create } = createLoader();
    const options = nextModel();
    const failed = leaseEngine(create, options, never, ignore);
    loads[0]?.fail(new AutoglmError('network', 'No.'));
    await expect(failed).rejects.toMatchObject({ code: 'network' });
    const second = leaseEngine(create, options, never, ignore);
    expect(loads).toHaveLength(2);
    loads[1]?.finish();
    (await second).discard();
    void leaseEngine(create, options, never, ignore);
    expect(loads).toHaveLength(3);
  });

  it('runs the tasks of all holders one after another, also after one that fails', async () => {
    const { loads, create } = createLoader();
    const options = nextModel();
    const pending = [0, 1].map(() => leaseEngine(create, options, never, ignore));
    loads[0]?.finish();
    const [first, second] = await Promise.all(pending);
    const log: string[] = [];
    const task = (name: string, fails: boolean) => async () => {
      log.push(`${name} begins`);
      await settle();
      log.push(`${name} ends`);
      if (fails) throw new AutoglmError('internal', name);
    };
    const results = await Promise.allSettled([
      first?.queue(task('a', true), never),
      second?.queue(task('b', false), never),
    ]);
    expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });
});
