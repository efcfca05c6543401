/** Runs the programs in a page; those that need an engine share one. */
import * as webllm from 'web-llm';
import {
  createEngine,
  isAutoglmError,
  type Engine,
  type EngineOptions,
  type WebLlmOptions,
} from '../../src/engine/index.ts';
import { programs } from './programs.ts';

let engine: webllm.MLCEngineInterface | undefined;

let held: Engine | undefined;

const SESSION_REQUEST = { temperature: 0, max_tokens: 6, ignore_eos: true };

/** With the settings of the drop-in, so that both share one engine in the shared worker. */
function joinEngine(modelId: string): Promise<Engine> {
  return createEngine({ model: `models/${modelId}/` });
}

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
  serviceWorker: async (modelId: string): Promise<unknown> => {
    const registration = await navigator.serviceWorker.register(
      new URL('./service-worker.ts', import.meta.url),
      { type: 'module' },
    );
    try {
      return await programs.serviceWorker(modelId);
    } finally {
      await registration.unregister();
    }
  },
  /** A load by `backend="web-llm"`: how it ended, and how many milliseconds it took. */
  webLlmBackend: async (options: Omit<EngineOptions, 'backend'>, abortAfterMs?: number): Promise<unknown> => {
    const startedAt = performance.now();
    let message = '';
    const signal = abortAfterMs === undefined ? undefined : AbortSignal.timeout(abortAfterMs);
    const outcome = await createEngine({ ...options, backend: 'web-llm', signal }).then(
      () => 'loaded',
      (error: unknown) => {
        message = String(error);
        return isAutoglmError(error) ? error.code : message;
      },
    );
    return { outcome, message, ms: performance.now() - startedAt };
  },
  /** The same by the element: the code of its `autoglm-error`. */
  webLlmElement: async ({ model, webLlm }: { model: string; webLlm?: WebLlmOptions }): Promise<unknown> => {
    await import('../../src/element/index.ts');
    const chat = document.createElement('autoglm-chat');
    chat.backend = 'web-llm';
    chat.model = model;
    chat.historyKey = '';
    chat.webLlm = webLlm ?? null;
    const failed = new Promise((resolve) =>
      chat.addEventListener(
        'autoglm-error',
        ({ error }) => resolve(isAutoglmError(error) ? error.code : error),
        {
          once: true,
        },
      ),
    );
    document.body.append(chat);
    try {
      return await Promise.race([
        failed,
        chat.load().then(
          () => 'loaded',
          () => failed,
        ),
      ]);
    } finally {
      chat.remove();
    }
  },
  /** Saves a conversation and says what comes next. */
  saveSession: async (modelId: string): Promise<unknown> => {
    const loaded = await joinEngine(modelId);
    const session = loaded.sessions?.create({ id: 'kept', request: SESSION_REQUEST });
    await session?.send('Open the settings, please, and then go back to where I was.');
    const saved = await session?.save();
    const next = await session?.send('Go on.');
    await loaded.unload();
    return { tokens: saved?.tokenCount, text: next?.choices[0]?.message.content };
  },
  /** The same after a reload: from what was saved, without computing it again. The engine stays for others. */
  restoreSession: async (modelId: string): Promise<unknown> => {
    const loaded = await joinEngine(modelId);
    const metrics: number[] = [];
    loaded.onMetrics?.(({ cachedTokens }) => metrics.push(cachedTokens));
    const session = await loaded.sessions?.restore('kept', { request: SESSION_REQUEST });
    const next = await session?.send('Go on.');
    // While nobody asks for anything, what is certain of the next prompt.
    const request = { messages: session?.messages ?? [], replaces: next?.id };
    const ahead = await loaded.prefill?.(request);
    await session?.send('Stop.');
    await loaded.sessions?.delete('kept');
    engine = await webllm.CreateMLCEngine(modelId);
    await loaded.unload();
    const { extra } = next?.usage ?? {};
    return { cached: extra?.cachedTokens, ahead, metrics, text: next?.choices[0]?.message.content };
  },
  /** Runs an example of the documentation, and gives what it prints. */
  example: async (name: string): Promise<unknown> => {
    const lines: unknown[] = [];
    const original = console.log;
    console.log = (...words: unknown[]) => void lines.push(words.join(' '));
    try {
      await import(/* @vite-ignore */ `/examples/${name}.js`);
      return lines;
    } finally {
      console.log = original;
    }
  },
  /** Holds the engine that the examples ask for, so that it is loaded once. */
  holdEngine: async (modelId: string): Promise<void> => {
    held = await createEngine({ model: `models/${modelId}` });
  },
  letGo: async (): Promise<void> => {
    await held?.unload();
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
