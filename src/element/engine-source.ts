import type { Engine } from '../engine/engine.ts';
import type { EngineOptions } from '../engine/engine-options.ts';

export type { EngineOptions } from '../engine/engine-options.ts';

/** Makes an engine; the real one is `createEngine`. */
export type CreateEngine = (options: EngineOptions) => Promise<Engine>;

/** Takes a token that the helper's page left in the page's address. @returns whether there was one */
export async function takeHelperLink(): Promise<boolean> {
  if (!location.hash.includes('autoglm-helper=')) return false;
  const { takeLinkFromAddress } = await import('../engine/link-helper.ts');
  return takeLinkFromAddress();
}

/** Loads the real engine's code only when it is needed: a page that never loads a model never pays for it. */
export const createEngineLazily: CreateEngine = async (options) => {
  const { createEngine } = await import('../engine/create-engine.ts');
  return createEngine(options);
};
