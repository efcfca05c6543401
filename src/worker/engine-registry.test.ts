import { describe, expect, it, vi } from 'vitest';
import type { LoadProgress } from '../engine/engine.ts';
import { createOpener, type CountingEngine } from './counting-engine.test-support.ts';
import { EngineRegistry } from './engine-registry.ts';

function create() {
  const opener = createOpener();
  return { ...opener, registry: new EngineRegistry(opener.open) };
}

const request = { messages: [{ role: 'user', content: 'count' }] } as const;

describe('EngineRegistry', () => {
  it('loads once for equal settings, in any order, and tells all who wait', async () => {
    const { registry, engines } = create();
    const seen: LoadProgress[][] = [[], []];
    const [first, second] = await Promise.all([
      registry.open({ model: 'm', contextWindow: 64, onProgress: (report) => seen[0]!.push(report) }),
      registry.open({ contextWindow: 64, model: 'm', onProgress: (report) => seen[1]!.push(report) }),
    ]);
    expect(engines).toHaveLength(1);
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[0]!.length).toBeGreaterThan(0);
    for (const engine of [first, second]) {
      const { choices } = await engine.chat.completions.create(request);
      expect(choices[0].message.content).toBe('1 2 3 ');
    }
  });

  it('loads again for other settings', async () => {
    const { registry, engines } = create();
    await registry.open({ model: 'm', contextWindow: 64 });
    await registry.open({ model: 'm', contextWindow: 32 });
    await registry.open({ model: 'n', contextWindow: 64 });
    expect(engines).toHaveLength(3);
    expect(registry.size).toBe(3);
  });

  it('unloads when the last share is given back, each only once', async () => {
    const { registry, engines } = create();
    const [first, second] = [await registry.open({ model: 'm' }), await registry.open({ model: 'm' })];
    await first.unload();
    await first.unload();
    expect((engines[0] as CountingEngine).isUnloaded).toBe(false);
    await second.unload();
    expect((engines[0] as CountingEngine).isUnloaded).toBe(true);
    expect(registry.size).toBe(0);
    await registry.open({ model: 'm' });
    expect(engines).toHaveLength(2);
  });

  it('aborts a load when all who wait for it have, and not before', async () => {
    const { registry, options } = create();
    const [first, second] = [new AbortController(), new AbortController()];
    const loads = [first, second].map(({ signal }) => registry.open({ model: 'slow', signal }));
    first.abort();
    await expect(loads[0]).rejects.toMatchObject({ name: 'AbortError' });
    expect(options[0]!.signal!.aborted).toBe(false);
    second.abort();
    await expect(loads[1]).rejects.toMatchObject({ name: 'AbortError' });
    expect(options[0]!.signal!.aborted).toBe(true);
    expect(registry.size).toBe(0);
  });

  it('tells all of a load that fails, and loads anew the next time', async () => {
    const { registry, options } = create();
    const loads = [registry.open({ model: 'missing' }), registry.open({ model: 'missing' })];
    for (const load of loads) await expect(load).rejects.toMatchObject({ code: 'file-missing' });
    expect(options).toHaveLength(1);
    await expect(registry.open({ model: 'missing' })).rejects.toMatchObject({ code: 'file-missing' });
    expect(options).toHaveLength(2);
  });

  it('gives nobody new an engine whose device is lost', async () => {
    const { open, engines } = createOpener();
    let lose = (): void => {};
    const lost = new Promise<void>((resolve) => (lose = resolve));
    const registry = new EngineRegistry(async (options) => Object.assign(await open(options), { lost }));
    const first = await registry.open({ model: 'm' });
    lose();
    await vi.waitFor(() => expect(registry.size).toBe(0));
    await registry.open({ model: 'm' });
    expect(engines).toHaveLength(2);
    await first.unload();
    expect((engines[0] as CountingEngine).isUnloaded).toBe(true);
    expect((engines[1] as CountingEngine).isUnloaded).toBe(false);
  });
});
