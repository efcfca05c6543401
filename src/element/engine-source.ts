import type { Engine, LoadProgress } from '../engine/engine.ts';

export type { Engine, EngineInfo, LoadPhase, LoadProgress } from '../engine/engine.ts';

/** Where an answer is computed. */
export type Backend = 'auto' | 'webgpu' | 'helper' | 'web-llm' | 'remote';

/** What the element asks of `createEngine`. */
export interface EngineOptions {
  /** Absolute URL of the model folder. */
  readonly model: string;
  readonly backend: Backend;
  readonly helperUrl?: string;
  /** Tokens; default: what the model and the memory allow. */
  readonly contextWindow?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** Makes an engine; the real one is `createEngine`. */
export type CreateEngine = (options: EngineOptions) => Promise<Engine>;

/** Loads the real engine's code only when it is needed: a page that never loads a model never pays for it. */
export const createEngineLazily: CreateEngine = async (options) => {
  const { createEngine } = await import('../engine/create-engine.ts');
  return createEngine(options);
};
