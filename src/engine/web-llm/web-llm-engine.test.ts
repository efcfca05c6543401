/**
 * `backend="web-llm"`: web-llm's own classes behind this package's interface. Answers come over web-llm's own worker
 * client from a handler that counts; loads that fail are web-llm's own, as far as Node takes them.
 */
import * as webllm from '@mlc-ai/web-llm';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createEngine } from '../create-engine.ts';
import type { Engine, LoadProgress } from '../engine.ts';
import type { ChatCompletion } from '../openai.ts';
import { createAutoglmRecord } from './app-config.ts';
import { createHandler } from './counting-handler.test-support.ts';
import { toOriginalFault } from './original-fault.ts';
import { toLoadProgress, WebLlmEngine } from './web-llm-engine.ts';

const ID = 'counting-q4f16_1-MLC';
const MESSAGES = [{ role: 'user' as const, content: 'count' }];

describe('an engine of backend "web-llm"', () => {
  let host: ReturnType<typeof createHandler>;
  let engine: Engine;
  const terminate = vi.fn();
  const progress: LoadProgress[] = [];

  beforeEach(async () => {
    host = createHandler();
    terminate.mockClear();
    progress.length = 0;
    host.handler.engine.getGPUVendor = async () => 'test';
    engine = await createEngine({
      model: ID,
      backend: 'web-llm',
      contextWindow: 64,
      webLlm: {
        appConfig: {
          model_list: [{ ...createAutoglmRecord(ID, 'http://127.0.0.1/counting/'), vram_required_MB: 5 }],
        },
        createWorker: () => Object.assign(host.worker, { terminate }) as unknown as Worker,
      },
      onProgress: (one) => progress.push(one),
    });
  });
  afterEach(async () => {
    await engine.unload();
    host[Symbol.dispose]();
  });

  it('tells what it runs, once it does', () => {
    expect(engine).toBeInstanceOf(WebLlmEngine);
    expect(engine.info).toMatchObject({
      model: ID,
      backend: 'web-llm',
      adapter: 'test',
      contextWindow: 64,
      gpuBytes: 5e6,
      quantization: 'q4f16_1',
      reason: { code: 'asked-for' },
    });
    expect(host.handler.chatOpts).toEqual([{ context_window_size: 64 }]);
    expect(progress[0]?.phase).toBe('checking');
    expect(progress.at(-1)?.phase).toBe('ready');
  });

  it('answers whole and streamed, with choices one after the other', async () => {
    const whole = await engine.chat.completions.create({ messages: MESSAGES, n: 2, seed: 7 });
    expect(whole.choices.map(({ message }) => message.content)).toEqual(['1 2 3 ', '1 2 3 ']);
    expect(whole.model).toBe(ID);
    expect(host.counting.requests.map(({ seed }) => seed)).toEqual([7, 8]);
    const texts = ['', ''];
    const chunks = await engine.chat.completions.create({ messages: MESSAGES, n: 2, stream: true });
    const finishes: unknown[] = [];
    for await (const { choices } of chunks) {
      for (const { index, delta, finish_reason: finish } of choices) {
        texts[index] += delta.content ?? '';
        if (finish) finishes.push(finish);
      }
    }
    expect(texts).toEqual(['1 2 3 ', '1 2 3 ']);
    expect(finishes).toHaveLength(2);
    const text = await engine.completions.create({ prompt: 'x', max_tokens: 2 });
    expect(text.choices[0]).toMatchObject({ text: '1 2 ', finish_reason: 'length' });
  });

  it('stops web-llm’s work when the reader leaves or aborts, and goes on with the next request', async () => {
    const endless = { messages: MESSAGES, max_tokens: 1e6 };
    for await (const { choices } of await engine.chat.completions.create({ ...endless, stream: true })) {
      if (choices[0]?.delta.content === '3 ') break;
    }
    expect(host.counting.outcomes).toHaveLength(1);
    expect(host.counting.outcomes).not.toContain('whole');
    const controller = new AbortController();
    const aborted = engine.chat.completions.create(endless, { signal: controller.signal });
    const waiting = engine.chat.completions.create({ messages: MESSAGES });
    setTimeout(() => controller.abort(new Error('enough')), 20);
    await expect(aborted).rejects.toThrow('enough');
    expect((await waiting).choices[0]?.message.content).toBe('1 2 3 ');
    expect(host.counting.outcomes).toHaveLength(3);
  });

  it('keeps what there is of interrupted answers, and nothing of those that wait', async () => {
    const stream = await engine.chat.completions.create({
      messages: MESSAGES,
      max_tokens: 1e6,
      stream: true,
    });
    let text = '';
    let finish: string | null | undefined;
    let waiting: Promise<ChatCompletion> | undefined;
    for await (const { choices } of stream) {
      text += choices[0]?.delta.content ?? '';
      finish = choices[0]?.finish_reason ?? finish;
      if (waiting || !text.includes('2')) continue;
      waiting = engine.chat.completions.create({ messages: MESSAGES });
      engine.interruptGenerate?.();
    }
    expect(text).toMatch(/^1 2 /);
    expect(finish).toBe('abort');
    expect((await waiting)?.choices[0]).toMatchObject({ finish_reason: 'abort', message: { content: '' } });
  });

  it('passes web-llm’s requests on in its own words', async () => {
    await engine.chat.completions.create({
      messages: [
        {
          role: 'developer',
          content: [
            { type: 'text', text: 'Be' },
            { type: 'text', text: ' brief.' },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==', detail: 'low' } },
            { type: 'text', text: 'x' },
          ],
        },
      ],
      max_completion_tokens: 2,
      response_format: { type: 'json_schema', json_schema: { name: 's', schema: { type: 'null' } } },
    });
    expect(host.counting.requests[0]).toMatchObject({
      messages: [
        { role: 'system', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
            { type: 'text', text: 'x' },
          ],
        },
      ],
      max_tokens: 2,
      response_format: { type: 'json_object', schema: '{"type":"null"}' },
    });
  });

  it('refuses what web-llm has not, by the field', async () => {
    for (const [param, fields] of [
      ['top_k', { top_k: 3 }],
      ['min_p', { min_p: 0.1 }],
      ['response_format.type', { response_format: { type: 'regex', regex: 'a' } as const }],
      ['temperature_', { temperature_: 1 }],
    ] as const) {
      const refused = engine.chat.completions.create({ messages: MESSAGES, ...fields });
      await expect(refused).rejects.toMatchObject({ code: 'request-invalid', param });
    }
    await expect(engine.completions.create({ prompt: [1, 2] })).rejects.toMatchObject({ param: 'prompt' });
  });

  it('passes faults on, and ends with its worker', async () => {
    const failing = [{ role: 'user' as const, content: 'fail' }];
    await expect(engine.chat.completions.create({ messages: failing })).rejects.toThrow('It is too long');
    await engine.unload();
    expect(terminate).toHaveBeenCalledOnce();
    expect(host.counting.isUnloaded).toBe(true);
    await expect(engine.chat.completions.create({ messages: MESSAGES })).rejects.toMatchObject({
      code: 'engine-unloaded',
    });
  });
});

describe('a load that fails', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('names a model that web-llm has not, before anything is fetched', async () => {
    const load = createEngine({ model: 'no-such-model', backend: 'web-llm' });
    await expect(load).rejects.toMatchObject({ code: 'model-unknown', value: 'no-such-model' });
  });

  it('says that there is no WebGPU before web-llm fetches a library for it', async () => {
    const fetched = vi.fn();
    vi.stubGlobal('fetch', fetched);
    vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => null } });
    const load = createEngine({ model: 'Llama-3.2-1B-Instruct-q4f16_1-MLC', backend: 'web-llm' });
    await expect(load).rejects.toMatchObject({ code: 'webgpu-unavailable' });
    expect(fetched).not.toHaveBeenCalled();
  });

  it('ends with the signal', async () => {
    const load = createEngine({
      model: 'Llama-3.2-1B-Instruct-q4f16_1-MLC',
      backend: 'web-llm',
      signal: AbortSignal.abort(new Error('enough')),
    });
    await expect(load).rejects.toThrow('enough');
  });
});

describe('toOriginalFault', () => {
  it('knows web-llm’s own errors, also as the text that a worker makes of them', async () => {
    // What web-llm itself throws.
    const missing = await webllm.CreateMLCEngine('no-such-model').catch((error: unknown) => error);
    const unloaded = await new webllm.MLCEngine()
      .chatCompletion({ messages: [] })
      .catch((error: unknown) => error);
    for (const [thrown, code] of [
      [missing, 'model-unknown'],
      [unloaded, 'engine-unloaded'],
    ] as const) {
      expect(thrown).toBeInstanceOf(Error);
      expect(toOriginalFault(thrown, 'internal')).toMatchObject({ code, cause: thrown });
      expect(toOriginalFault(String(thrown), 'internal')).toMatchObject({ code });
    }
    expect(toOriginalFault(new TypeError('Failed to fetch'), 'internal')).toMatchObject({ code: 'network' });
    expect(toOriginalFault('anything', 'request-invalid')).toMatchObject({ code: 'request-invalid' });
  });
});

describe('toLoadProgress', () => {
  it('reads web-llm’s sentences', () => {
    const text = 'Fetching param cache[3/22]: 84MB fetched. 12% completed, 6 secs elapsed.';
    expect(toLoadProgress({ progress: 0.12, timeElapsed: 6, text })).toEqual({
      phase: 'downloading',
      loadedBytes: 84e6,
      totalBytes: 7e8,
      bytesPerSecond: 14e6,
    });
    const shaders = {
      progress: 0.5,
      timeElapsed: 1,
      text: 'Loading GPU shader modules[5/10]: 50% completed',
    };
    expect(toLoadProgress(shaders)).toMatchObject({ phase: 'compiling', loadedBytes: 5e5, totalBytes: 1e6 });
  });
});
