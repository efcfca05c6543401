import { abortable } from '../base/abortable.ts';
import type { Engine, LoadProgress } from '../engine/engine.ts';
import type { CreateEngine, EngineOptions } from './engine-source.ts';

/** A share of a loaded engine; the last one given back unloads it. */
export interface EngineLease {
  readonly engine: Engine;
  /** True where somebody else owns the engine and unloads it. */
  readonly isBorrowed: boolean;
  /** Runs tasks of all holders one after another: an engine answers one conversation at a time. */
  queue<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /** Idempotent. */
  release(): void;
  /** Gives the share back and makes sure that nobody new gets this engine, because it failed. */
  discard(): void;
}

interface Entry {
  readonly loaded: Promise<Engine>;
  readonly abort: AbortController;
  readonly listeners: Set<(progress: LoadProgress) => void>;
  lastProgress: LoadProgress | undefined;
  holders: number;
  tail: Promise<unknown>;
}

/** All engines of this page, by what they were made from: elements with the same settings share one. */
const entries = new Map<string, Entry>();

/**
 * Loads an engine, or joins one that is loaded or loading with the same options.
 *
 * The load is aborted once everybody who waits for it has aborted.
 *
 * @throws what `create` throws, or the signal's `AbortError`.
 */
export async function leaseEngine(
  create: CreateEngine,
  options: Omit<EngineOptions, 'signal' | 'onProgress'>,
  signal: AbortSignal,
  onProgress: (progress: LoadProgress) => void,
): Promise<EngineLease> {
  signal.throwIfAborted();
  const key = JSON.stringify([
    keyOf(options.model),
    options.backend,
    options.helperUrl,
    options.contextWindow,
  ]);
  const entry = entries.get(key) ?? startLoad(key, create, options);
  entry.holders++;
  entry.listeners.add(onProgress);
  if (entry.lastProgress !== undefined) onProgress(entry.lastProgress);
  try {
    const engine = await abortable(entry.loaded, signal);
    return createLease(key, entry, engine);
  } catch (error) {
    dropHolder(key, entry);
    throw error;
  } finally {
    entry.listeners.delete(onProgress);
  }
}

const chosen = new WeakMap<object, string>();

/** Folders and files have no name that tells them apart; the same object is the same model. */
function keyOf(model: EngineOptions['model']): string {
  if (typeof model === 'string') return model;
  const key = chosen.get(model) ?? `chosen:${crypto.randomUUID()}`;
  chosen.set(model, key);
  return key;
}

function startLoad(
  key: string,
  create: CreateEngine,
  options: Omit<EngineOptions, 'signal' | 'onProgress'>,
): Entry {
  const abort = new AbortController();
  const listeners = new Set<(progress: LoadProgress) => void>();
  const onProgress = (progress: LoadProgress) => {
    entry.lastProgress = progress;
    for (const listener of listeners) listener(progress);
  };
  const loaded = create({ ...options, signal: abort.signal, onProgress });
  const entry: Entry = {
    loaded,
    abort,
    listeners,
    lastProgress: undefined,
    holders: 0,
    tail: Promise.resolve(),
  };
  entries.set(key, entry);
  loaded.catch(() => forget(key, entry));
  return entry;
}

function createLease(key: string, entry: Entry, engine: Engine): EngineLease {
  let held = true;
  const release = () => {
    if (!held) return;
    held = false;
    dropHolder(key, entry);
  };
  return {
    engine,
    isBorrowed: false,
    queue: (task, signal) => {
      const run = entry.tail.then(() => {
        signal.throwIfAborted();
        return task();
      });
      entry.tail = run.catch(() => {});
      return abortable(run, signal);
    },
    release,
    discard: () => {
      forget(key, entry);
      release();
    },
  };
}

function dropHolder(key: string, entry: Entry): void {
  entry.holders--;
  if (entry.holders > 0) return;
  forget(key, entry);
  entry.abort.abort();
  entry.loaded.then(
    (engine) => engine.unload(),
    () => {},
  );
}

function forget(key: string, entry: Entry): void {
  if (entries.get(key) === entry) entries.delete(key);
}
