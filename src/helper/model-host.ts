import type { Engine, EngineStats } from '../engine/engine.ts';
import { toError } from '../base/errors.ts';
import type { HelperHealth, HelperModelFacts } from '../protocol/helper-http.ts';
import { Refusal, retryAfter } from './refusal.ts';

/** A model that is loaded. */
export interface HostedModel {
  readonly engine: Engine;
  readonly fingerprint: string | undefined;
  /** Why it runs on the backend that it runs on. */
  readonly reason?: string;
}

/** Loads a model folder, or the URL that the command line named. */
export type OpenModel = (model: string, signal: AbortSignal) => Promise<HostedModel>;

type State =
  | { readonly kind: 'empty' }
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly hosted: HostedModel }
  | { readonly kind: 'failed'; readonly fault: string };

/** The one model that the helper runs. */
export class ModelHost {
  readonly #open: OpenModel;
  readonly #onReady: (hosted: HostedModel) => void;
  readonly #closing = new AbortController();
  #state: State = { kind: 'empty' };
  #load: Promise<void> = Promise.resolve();

  constructor(open: OpenModel, onReady: (hosted: HostedModel) => void = () => {}) {
    this.#open = open;
    this.#onReady = onReady;
  }

  get status(): HelperHealth['status'] {
    return this.#state.kind;
  }

  get fault(): string | undefined {
    return this.#state.kind === 'failed' ? this.#state.fault : undefined;
  }

  get facts(): HelperModelFacts | undefined {
    if (this.#state.kind !== 'ready') return undefined;
    const { engine, fingerprint } = this.#state.hosted;
    const { model, backend, adapter, isSoftware, contextWindow, gpuBytes, quantization } = engine.info;
    return {
      id: model,
      backend,
      adapter,
      isSoftware,
      contextWindow,
      gpuBytes,
      quantization,
      ...(fingerprint !== undefined && { fingerprint }),
    };
  }

  get stats(): EngineStats {
    const none = { gpuBytes: 0, cacheTokens: 0, cacheCapacity: 0 };
    return this.#state.kind === 'ready' ? (this.#state.hosted.engine.stats?.() ?? none) : none;
  }

  /** @throws Refusal 503 while there is no model. */
  requireEngine(): Engine {
    if (this.#state.kind === 'ready') return this.#state.hosted.engine;
    if (this.#state.kind === 'loading') {
      throw new Refusal(503, 'no-model', 'The model is still loading.', retryAfter(2000));
    }
    const fault = this.#state.kind === 'failed' ? ` ${this.#state.fault}` : '';
    throw new Refusal(503, 'no-model', `The helper has no model.${fault}`);
  }

  /**
   * Loads a model in place of the one that is loaded.
   *
   * @throws AutoglmError why it does not load
   */
  load(model: string): Promise<void> {
    this.#load = this.#load.catch(() => {}).then(() => this.#replace(model));
    return this.#load;
  }

  /** The engine lost its device: nothing answers until the model is loaded again. */
  fail(fault: string): void {
    this.#state = { kind: 'failed', fault };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#load.catch(() => {});
    await this.#unload();
  }

  async #replace(model: string): Promise<void> {
    this.#closing.signal.throwIfAborted();
    await this.#unload();
    this.#state = { kind: 'loading' };
    try {
      const hosted = await this.#open(model, this.#closing.signal);
      this.#state = { kind: 'ready', hosted };
      this.#onReady(hosted);
    } catch (error) {
      this.#state = { kind: 'failed', fault: toError(error).message };
      throw error;
    }
  }

  async #unload(): Promise<void> {
    if (this.#state.kind !== 'ready') return;
    const { engine } = this.#state.hosted;
    this.#state = { kind: 'empty' };
    await engine.unload();
  }
}
