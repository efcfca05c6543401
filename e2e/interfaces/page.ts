/** Runs the programs in a page; those that need an engine share one. */
import * as webllm from 'web-llm';
import { programs } from './programs.ts';

let engine: webllm.MLCEngineInterface | undefined;

const runner = {
  /** A program that gets an engine. */
  withEngine: async (name: keyof typeof programs, modelId: string): Promise<unknown> => {
    engine ??= await webllm.CreateMLCEngine(modelId);
    const program = programs[name] as (given: unknown) => Promise<unknown>;
    return program({ engine, modelId });
  },
  /** A program that makes its own. */
  alone: async (name: keyof typeof programs, modelId: string): Promise<unknown> => {
    const program = programs[name] as (modelId: string) => Promise<unknown>;
    return program(modelId);
  },
  webWorker: async (modelId: string): Promise<unknown> => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    try {
      return await programs.webWorker(modelId, worker);
    } finally {
      worker.terminate();
    }
  },
  unload: async (): Promise<void> => {
    await engine?.unload();
    engine = undefined;
  },
};

declare global {
  interface Window {
    interfaces: typeof runner;
  }
}
window.interfaces = runner;
