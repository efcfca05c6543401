import type { Engine, LoadProgress } from '../engine/engine.ts';
import type { EngineOptions } from '../engine/engine-options.ts';
import type { OpenEngine } from './engine-host.ts';

/** An engine that is loaded or loading, and how many hold it. */
interface Entry {
  readonly loaded: Promise<Engine>;
  readonly abort: AbortController;
  readonly listeners: Set<(progress: LoadProgress) => void>;
  lastProgress: LoadProgress | undefined;
  holders: number;
}

/**
 * The engines of a worker that several pages share: equal settings give the same engine, which is unloaded when
 * the last page has given it back.
 */
export class EngineRegistry {
  readonly #open: OpenEngine;
  readonly #entries = new Map<string, Entry>();

  constructor(open: OpenEngine) {
    this.#open = open;
  }

  /** Engines that are loaded or loading. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Loads an engine, or joins one; its `unload` gives back this share alone. A load is aborted when all who wait
   * for it have aborted.
   *
   * @throws what the load throws; the signal's `AbortError`
   */
  async open(options: EngineOptions): Promise<Engine> {
    const { signal, onProgress, ...settings } = options;
    signal?.throwIfAborted();
    const key = JSON.stringify(settings, Object.keys(settings).toSorted());
    const entry = this.#entries.get(key) ?? this.#start(key, settings);
    entry.holders += 1;
    const listener = (progress: LoadProgress): void => onProgress?.(progress);
    entry.listeners.add(listener);
    if (entry.lastProgress) listener(entry.lastProgress);
    try {
      return this.#share(key, entry, await withAbort(entry.loaded, signal));
    } catch (error) {
      await this.#drop(key, entry);
      throw error;
    } finally {
      entry.listeners.delete(listener);
    }
  }

  #start(key: string, settings: Omit<EngineOptions, 'signal' | 'onProgress'>): Entry {
    const abort = new AbortController();
    const listeners: Entry['listeners'] = new Set();
    const onProgress = (progress: LoadProgress): void => {
      entry.lastProgress = progress;
      for (const listener of listeners) listener(progress);
    };
    // A turn later, so that the first report finds its listeners.
    const loaded = Promise.resolve().then(() =>
      this.#open({ ...settings, signal: abort.signal, onProgress }),
    );
    const entry: Entry = { loaded, abort, listeners, lastProgress: undefined, holders: 0 };
    this.#entries.set(key, entry);
    const forget = (): void => this.#forget(key, entry);
    loaded.then((engine) => {
      // Nobody new gets an engine whose device is gone.
      const { lost } = engine as { readonly lost?: Promise<unknown> };
      void lost?.then(forget, forget);
    }, forget);
    return entry;
  }

  #share(key: string, entry: Entry, engine: Engine): Engine {
    let isHeld = true;
    const unload = async (): Promise<void> => {
      if (!isHeld) return;
      isHeld = false;
      await this.#drop(key, entry);
    };
    return new Proxy(engine, {
      get: (target, name) => {
        if (name === 'unload') return unload;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
      },
    });
  }

  async #drop(key: string, entry: Entry): Promise<void> {
    entry.holders -= 1;
    if (entry.holders > 0) return;
    this.#forget(key, entry);
    entry.abort.abort();
    const engine = await entry.loaded.catch(() => undefined);
    await engine?.unload();
  }

  #forget(key: string, entry: Entry): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
  }
}

/** A promise that a signal cuts short for whoever waits for it; what it stands for goes on. */
function withAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
