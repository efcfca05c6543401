import type { Engine } from '../engine/engine.ts';
import type { EngineOptions } from '../engine/engine-options.ts';

export type { EngineOptions } from '../engine/engine-options.ts';

/** Makes an engine; the real one is `createEngine`. */
export type CreateEngine = (options: EngineOptions) => Promise<Engine>;

/** Loads the real engine's code only when it is needed: a page that never loads a model never pays for it. */
export const createEngineLazily: CreateEngine = async (options) => {
  const { createEngine } = await import('../engine/create-engine.ts');
  return createEngine(options);
};
