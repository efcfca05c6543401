import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { AutoglmError, toError } from '../base/errors.ts';
import type { Engine, LoadProgress } from '../engine/engine.ts';
import type { BackendChoice, ModelLocation } from '../engine/engine-options.ts';
import type { FitReport } from '../engine/fit-report.ts';
import { abortable } from '../base/abortable.ts';
import { createEngineLazily } from './engine-source.ts';
import type { CreateEngine } from './engine-source.ts';
import { leaseEngine } from './shared-engines.ts';
import type { EngineLease } from './shared-engines.ts';

/** What the element needs from its attributes to load. */
export interface EngineSettings {
  /** An address relative to the page, or a folder or files that the user chose. */
  readonly model: ModelLocation;
  readonly backend: BackendChoice;
  readonly helperUrl: string;
  readonly contextWindow: number | null;
}

/** Where the engine stands. */
export type EngineState =
  | { readonly kind: 'idle' }
  | {
      readonly kind: 'loading';
      readonly progress: LoadProgress | null;
      readonly startedAt: number;
      /** The user lets it rest; what has come is kept. */
      readonly isPaused: boolean;
      /** Known once it is proved that the model fits. */
      readonly plan: FitReport | null;
    }
  | { readonly kind: 'ready'; readonly engine: Engine }
  | { readonly kind: 'failed'; readonly error: AutoglmError };

/** Told about every change. */
export interface EngineListener {
  onProgress(progress: LoadProgress): void;
  onReady(engine: Engine): void;
  /** The engine went away: unloaded or lost. */
  onGone(): void;
  onFailure(error: AutoglmError): void;
}

/** Faults after which the engine does not answer any more. */
const FATAL_CODES = new Set(['device-lost', 'out-of-memory', 'engine-unloaded', 'helper-unreachable']);

/** True when this fault has ended the engine, so that only a new load helps. */
export function isFatal(error: AutoglmError): boolean {
  return FATAL_CODES.has(error.code);
}

/** Loads, shares, replaces and unloads the engine of one element. */
export class EngineController implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  readonly #listener: EngineListener;
  readonly #create: CreateEngine;
  #state: EngineState = { kind: 'idle' };
  #lease: EngineLease | null = null;
  /** The newest load; an older one that still ends is ignored. */
  #load: LoadRun | null = null;

  constructor(
    host: ReactiveControllerHost,
    listener: EngineListener,
    create: CreateEngine = createEngineLazily,
  ) {
    this.#host = host;
    this.#listener = listener;
    this.#create = create;
    host.addController(this);
  }

  hostConnected(): void {}

  get state(): EngineState {
    return this.#state;
  }

  /** True for an engine that the page handed in. */
  get isBorrowed(): boolean {
    return this.#lease?.isBorrowed ?? false;
  }

  get engine(): Engine | null {
    return this.#state.kind === 'ready' ? this.#state.engine : null;
  }

  /**
   * Loads, or joins the load that is under way.
   *
   * @throws AutoglmError, or `AbortError` when `cancel` or `unload` ended it.
   */
  load(settings: EngineSettings): Promise<Engine> {
    if (this.#state.kind === 'ready') return Promise.resolve(this.#state.engine);
    if (this.#load !== null) return this.#load.done;
    const load = new LoadRun();
    this.#load = load;
    load.done = this.#run(settings, load);
    return load.done;
  }

  /** Uses an engine that the page made and owns; it is never unloaded from here. */
  adopt(engine: Engine): void {
    this.unload();
    this.#lease = borrow(engine);
    this.#become({ kind: 'ready', engine });
    this.#listener.onReady(engine);
  }

  /** Runs a task when the engine is free. */
  queue<T>(task: (engine: Engine) => Promise<T>, signal: AbortSignal): Promise<T> {
    const lease = this.#lease;
    if (lease === null)
      throw new AutoglmError('engine-unloaded', 'No model is loaded.', { cure: 'Call load().' });
    return lease.queue(() => task(lease.engine), signal);
  }

  /** Resolves once no task runs or waits any more. */
  async settle(): Promise<void> {
    if (this.#lease !== null) await this.queue(async () => {}, new AbortController().signal);
  }

  /** Ends a load that is under way; what was downloaded stays cached. */
  cancel(): void {
    const load = this.#load;
    if (load === null) return;
    this.#load = null;
    load.abort();
    this.#become({ kind: 'idle' });
  }

  /** Lets the load rest: whoever waits for it goes on waiting. */
  pause(): void {
    if (this.#load === null || this.#state.kind !== 'loading') return;
    this.#load.pause();
    this.#become({ ...this.#state, isPaused: true });
  }

  /** Goes on where the load was paused; what is cached is not fetched again. */
  resume(): void {
    if (this.#load === null || this.#state.kind !== 'loading') return;
    this.#become({ ...this.#state, isPaused: false, startedAt: Date.now() });
    this.#load.resume();
  }

  /** Gives the engine back, or ends the load. Idempotent. */
  unload(): void {
    this.cancel();
    const lease = this.#lease;
    this.#lease = null;
    lease?.release();
    if (lease !== null) this.#listener.onGone();
    this.#become({ kind: 'idle' });
  }

  /** The engine has died: shows why, and lets `load()` make a new one. */
  fail(error: AutoglmError): void {
    this.#lease?.discard();
    this.#lease = null;
    this.#listener.onGone();
    this.#become({ kind: 'failed', error });
  }

  async #run(settings: EngineSettings, load: LoadRun): Promise<Engine> {
    const { signal } = load;
    this.#become({ kind: 'loading', progress: null, startedAt: Date.now(), isPaused: false, plan: null });
    try {
      checkModel(settings.model);
      const lease = await load.run((attempt) =>
        leaseEngine(this.#create, toOptions(settings), attempt, (progress) =>
          this.#report(progress, attempt),
        ),
      );
      this.#lease = lease;
      this.#become({ kind: 'ready', engine: lease.engine });
      this.#listener.onReady(lease.engine);
      return lease.engine;
    } catch (thrown) {
      const error = toError(thrown);
      if (!signal.aborted) this.#settleFailure(error);
      throw error;
    } finally {
      if (this.#load === load) this.#load = null;
    }
  }

  #settleFailure(error: Error): void {
    if (error instanceof AutoglmError) {
      this.#become({ kind: 'failed', error });
      this.#listener.onFailure(error);
    } else {
      this.#become({ kind: 'idle' });
    }
  }

  #report(progress: LoadProgress, signal: AbortSignal): void {
    if (signal.aborted || this.#state.kind !== 'loading') return;
    this.#become({ ...this.#state, progress, plan: progress.plan ?? this.#state.plan });
    this.#listener.onProgress(progress);
  }

  #become(state: EngineState): void {
    this.#state = state;
    this.#host.requestUpdate();
  }
}

/** One load, which may be paused and taken up again any number of times before it ends. */
class LoadRun {
  done: Promise<Engine> = Promise.reject(new Error('The load has not begun.'));
  readonly #ended = new AbortController();
  #attempt = new AbortController();
  #resumed: Signal | null = null;

  constructor() {
    // Only replaced, never waited for.
    this.done.catch(() => {});
  }

  /** Aborted once the load has ended for good. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  abort(): void {
    this.#ended.abort();
  }

  pause(): void {
    this.#resumed ??= createSignal();
    this.#attempt.abort();
  }

  resume(): void {
    this.#resumed?.give();
    this.#resumed = null;
  }

  /** Tries until it succeeds or fails while nobody has paused it. */
  async run<T>(attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
    for (;;) {
      const controller = new AbortController();
      this.#attempt = controller;
      try {
        return await attempt(AbortSignal.any([this.signal, controller.signal]));
      } catch (error) {
        if (!controller.signal.aborted || this.signal.aborted) throw error;
        // Taken up again already, where pause and resume were quicker than the abort.
        if (this.#resumed !== null) await abortable(this.#resumed.promise, this.signal);
      }
    }
  }
}

/** A promise that somebody else settles; browsers of 2023 lack `Promise.withResolvers`. */
interface Signal {
  readonly promise: Promise<void>;
  give(): void;
}

function createSignal(): Signal {
  let give = (): void => {};
  const promise = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { promise, give };
}

function checkModel(model: ModelLocation): void {
  if (model !== '') return;
  throw new AutoglmError('request-invalid', 'No model is named.', {
    cure: 'Set the model attribute to the URL of a model folder.',
  });
}

/** The model's URL is made absolute here, because a worker has another base than the page. */
function toOptions(settings: EngineSettings) {
  const model =
    typeof settings.model === 'string' ? new URL(settings.model, document.baseURI).href : settings.model;
  return {
    model,
    backend: settings.backend,
    ...(settings.helperUrl === '' ? {} : { helperUrl: settings.helperUrl }),
    ...(settings.contextWindow === null ? {} : { contextWindow: settings.contextWindow }),
  };
}

function borrow(engine: Engine): EngineLease {
  let tail: Promise<unknown> = Promise.resolve();
  return {
    engine,
    isBorrowed: true,
    queue: (task) => {
      const run = tail.then(task);
      tail = run.catch(() => {});
      return run;
    },
    release: () => {},
    discard: () => {},
  };
}
