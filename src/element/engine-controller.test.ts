import { describe, expect, it, vi } from 'vitest';
import type { Engine } from '../engine/engine.ts';
import type { EngineOptions } from '../engine/engine-options.ts';
import { EngineController } from './engine-controller.ts';
import { createScriptedEngine } from './scripted-engine.test-support.ts';

/** A controller whose loads end when the test says so. */
function createController() {
  const attempts: { readonly options: EngineOptions; finish(engine: Engine): void }[] = [];
  const create = (options: EngineOptions): Promise<Engine> =>
    new Promise((resolve, reject) => {
      options.signal?.addEventListener('abort', () => reject(options.signal?.reason));
      attempts.push({ options, finish: resolve });
    });
  const host = {
    addController: () => {},
    removeController: () => {},
    requestUpdate: () => {},
    updateComplete: Promise.resolve(true),
  };
  const listener = { onProgress: vi.fn(), onReady: vi.fn(), onGone: vi.fn(), onFailure: vi.fn() };
  const controller = new EngineController(host, listener, create);
  return { controller, attempts, listener };
}

const settings = () => ({
  model: [] as readonly File[],
  backend: 'auto' as const,
  helperUrl: '',
  contextWindow: null,
});

describe('EngineController', () => {
  it('pauses and resumes a load for which somebody goes on waiting', async () => {
    const { controller, attempts, listener } = createController();
    const loaded = controller.load(settings());
    await vi.waitFor(() => expect(attempts).toHaveLength(1));
    attempts[0]?.options.onProgress?.({
      phase: 'downloading',
      loadedBytes: 5,
      totalBytes: 10,
      bytesPerSecond: 1,
    });
    controller.pause();
    await new Promise((resolve) => setTimeout(resolve));
    expect(attempts[0]?.options.signal?.aborted).toBe(true);
    expect(controller.state).toMatchObject({ kind: 'loading', isPaused: true, progress: { loadedBytes: 5 } });
    expect(attempts).toHaveLength(1);
    controller.resume();
    await vi.waitFor(() => expect(attempts).toHaveLength(2));
    const engine = createScriptedEngine({ answers: [] });
    attempts[1]?.finish(engine);
    expect(await loaded).toBe(engine);
    expect(listener.onFailure).not.toHaveBeenCalled();
  });

  it('takes a pause that is over before the load has noticed it', async () => {
    const { controller, attempts } = createController();
    const loaded = controller.load(settings());
    await vi.waitFor(() => expect(attempts).toHaveLength(1));
    controller.pause();
    controller.resume();
    await vi.waitFor(() => expect(attempts).toHaveLength(2));
    attempts[1]?.finish(createScriptedEngine({ answers: [] }));
    await loaded;
    expect(controller.state.kind).toBe('ready');
  });

  it('cancels a paused load', async () => {
    const { controller, attempts } = createController();
    const loaded = controller.load(settings()).catch((error: unknown) => error);
    await vi.waitFor(() => expect(attempts).toHaveLength(1));
    controller.pause();
    await new Promise((resolve) => setTimeout(resolve));
    controller.cancel();
    expect(await loaded).toMatchObject({ name: 'AbortError' });
    expect(controller.state.kind).toBe('idle');
  });
});
