/** The drop-in against web-llm's own package: its list, its types, its protocol and its failures. */
import * as webllm from '@mlc-ai/web-llm';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CountingEngine } from '../../worker/counting-engine.test-support.ts';
import * as dropIn from './index.ts';
import { MLCEngine } from './mlc-engine.ts';
import { createHandler } from './counting-handler.test-support.ts';
import { WebWorkerMLCEngine, type ChatWorker } from './worker-client.ts';

const TINY = 'autoglm-tiny-q4f16_1';

/** The class without its first arguments' types: what a program that is written for web-llm may do with it. */
type Create = (
  modelId: string | string[],
  engineConfig?: webllm.MLCEngineConfig,
  chatOpts?: webllm.ChatOptions | webllm.ChatOptions[],
) => Promise<webllm.MLCEngineInterface>;

// Drift of web-llm's types breaks the type check of these lines.
void (dropIn.CreateMLCEngine satisfies Create);
void (dropIn.CreateServiceWorkerMLCEngine satisfies Create);
void (dropIn.CreateWebWorkerMLCEngine satisfies typeof webllm.CreateWebWorkerMLCEngine extends (
  worker: infer W,
  ...rest: infer R
) => unknown
  ? (worker: W, ...rest: R) => Promise<webllm.MLCEngineInterface>
  : never);
void (dropIn.hasModelInCache satisfies typeof webllm.hasModelInCache);
void (dropIn.deleteModelAllInfoInCache satisfies typeof webllm.deleteModelAllInfoInCache);
void (dropIn.deleteModelInCache satisfies typeof webllm.deleteModelInCache);
void (dropIn.deleteChatConfigInCache satisfies typeof webllm.deleteChatConfigInCache);
void (dropIn.deleteModelWasmInCache satisfies typeof webllm.deleteModelWasmInCache);
void (dropIn.prebuiltAppConfig satisfies webllm.AppConfig);
void (dropIn.functionCallingModelIds satisfies string[]);
void ((engine: dropIn.MLCEngine): webllm.MLCEngineInterface => engine);
void ((engine: dropIn.WebWorkerMLCEngine): webllm.MLCEngineInterface => engine);

/** Values that web-llm exports and the drop-in does not, with the reason. */
const LEFT_OUT = {
  ARTIFACT_SCHEMA_VERSION: 'packing of web-llm models',
  MODEL_PACKAGE_MANIFEST_FILENAME: 'packing of web-llm models',
  TENSOR_CACHE_MANIFEST_FILENAME: 'packing of web-llm models',
  Chat: 'classes behind engine.chat',
  Completions: 'classes behind engine.completions',
  Embeddings: 'classes behind engine.embeddings',
  ChatCompletionRequestUnsupportedFields: 'checks of web-llm',
  postInitAndCheckFieldsChatCompletion: 'checks of web-llm',
  postInitAndCheckFieldsCompletion: 'checks of web-llm',
  postInitAndCheckFieldsEmbedding: 'checks of web-llm',
  rejectCompletionResumable: 'checks of web-llm',
  CreateExtensionServiceWorkerMLCEngine: 'Chrome extensions',
  ExtensionServiceWorkerMLCEngine: 'Chrome extensions',
  ExtensionServiceWorkerMLCEngineHandler: 'Chrome extensions',
};

describe('the entry', () => {
  it('has all that web-llm has, but for what is listed here', () => {
    const names = Object.keys(webllm).filter((name) => !(name in dropIn));
    expect(names.toSorted()).toEqual(Object.keys(LEFT_OUT).toSorted());
  });

  it('lists the models of the installed web-llm, after its own', () => {
    const own = dropIn.prebuiltAppConfig.model_list.filter(({ model_lib: lib }) => lib === 'autoglm-web');
    expect(own.map(({ model_id: id }) => id)).toEqual(['AutoGLM-Phone-9B-q4f16_1', TINY]);
    expect(dropIn.prebuiltAppConfig.model_list.slice(own.length)).toEqual(
      webllm.prebuiltAppConfig.model_list,
    );
    expect(dropIn.modelVersion).toBe(webllm.modelVersion);
    expect(dropIn.modelLibURLPrefix).toBe(webllm.modelLibURLPrefix);
    expect(dropIn.functionCallingModelIds).toEqual(webllm.functionCallingModelIds);
  });
});

describe('models of web-llm', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('fail as they do in web-llm itself: no such model, no WebGPU', async () => {
    await expect(dropIn.CreateMLCEngine('no-such-model')).rejects.toMatchObject({ code: 'model-unknown' });
    // Web-llm takes for granted that it is in a page.
    vi.stubGlobal('location', new URL('http://127.0.0.1/'));
    const original = await webllm.CreateMLCEngine('Llama-3.2-1B-Instruct-q4f16_1-MLC').catch(String);
    const ours = await dropIn.CreateMLCEngine('Llama-3.2-1B-Instruct-q4f16_1-MLC').catch(String);
    expect(ours).toBe(original);
    // It gets as far as the cache, which Node has not; the browser's tests go on from there.
    expect(original).toContain('caches is not defined');
    await expect(dropIn.hasModelInCache('no-such-model')).rejects.toMatchObject({ code: 'model-unknown' });
  });

  it('leave nothing of AutoGLM behind where they share an engine with it and do not load', async () => {
    const counting = new CountingEngine();
    const engine = MLCEngine.withOpener(async () => counting);
    const load = engine.reload([TINY, 'Llama-3.2-1B-Instruct-q4f16_1-MLC']);
    await expect(load).rejects.toThrow();
    expect(counting.isUnloaded).toBe(true);
    await expect(engine.chat.completions.create({ messages: [] })).rejects.toMatchObject({
      code: 'engine-unloaded',
    });
  });
});

describe('a logit processor', () => {
  it('is refused where the engine’s logits are out of reach, and nothing stays loaded', async () => {
    const processor: webllm.LogitProcessor = {
      processLogits: (logits) => logits,
      processSampledToken: () => {},
      resetState: () => {},
    };
    const counting = new CountingEngine();
    const config = { logitProcessorRegistry: new Map([[TINY, processor]]) };
    const engine = MLCEngine.withOpener(async () => counting, config);
    await expect(engine.reload(TINY)).rejects.toMatchObject({ param: 'logitProcessorRegistry' });
    expect(counting.isUnloaded).toBe(true);
  });
});

describe('MLCEngine', () => {
  it('says that no model is loaded', async () => {
    const engine = new MLCEngine();
    await expect(engine.chat.completions.create({ messages: [] })).rejects.toMatchObject({
      code: 'engine-unloaded',
    });
    await expect(engine.completions.create({ prompt: 'x' })).rejects.toMatchObject({
      code: 'engine-unloaded',
    });
    await expect(engine.embeddings.create({ input: 'x' })).rejects.toMatchObject({ code: 'engine-unloaded' });
    expect(await engine.getMessage()).toBe('');
    expect(await engine.listResumableSessions()).toEqual([]);
  });

  it('ends a load when another begins, and reports progress in web-llm’s words', async () => {
    const reports: webllm.InitProgressReport[] = [];
    let loads = 0;
    const engine = MLCEngine.withOpener(
      async ({ signal, onProgress }) => {
        loads++;
        onProgress?.({ phase: 'downloading', loadedBytes: 1e6, totalBytes: 4e6, bytesPerSecond: 0 });
        if (loads === 1) {
          await new Promise((_, reject) =>
            signal?.addEventListener('abort', () => reject(signal.reason as Error)),
          );
        }
        onProgress?.({ phase: 'ready', loadedBytes: 4e6, totalBytes: 4e6, bytesPerSecond: 0 });
        return new CountingEngine();
      },
      { initProgressCallback: (report) => reports.push(report) },
    );
    const first = engine.reload(TINY);
    await vi.waitFor(() => expect(loads).toBe(1));
    const second = engine.reload(TINY);
    // As web-llm's: a page that does not wait for it must not find a rejection that nobody handles.
    await expect(first).resolves.toBeUndefined();
    await second;
    expect(reports.map(({ progress }) => progress)).toEqual([0.25, 0.25, 1]);
    expect(reports[0]?.text).toBe('Fetching the model: 1 of 4 MB');
  });

  it('holds several models, each with its own answers, and asks which one is meant', async () => {
    const second = dropIn.createAutoglmRecord('second', 'models/second/');
    const appConfig = { model_list: [...dropIn.prebuiltAppConfig.model_list, second] };
    const opened: CountingEngine[] = [];
    const windows: unknown[] = [];
    const engine = MLCEngine.withOpener(
      async ({ contextWindow }) => {
        windows.push(contextWindow);
        opened.push(new CountingEngine());
        return opened.at(-1) as CountingEngine;
      },
      { appConfig },
    );
    await engine.reload([TINY, 'second'], [{ context_window_size: 100 }, { context_window_size: 200 }]);
    expect(windows).toEqual([100, 200]);
    const ask = (model: string | undefined, count: number) =>
      engine.chat.completions.create({ messages: MESSAGES, max_tokens: count, ...(model && { model }) });
    await ask(TINY, 2);
    expect((await ask('second', 3)).model).toBe('second');
    expect([await engine.getMessage(TINY), await engine.getMessage('second')]).toEqual(['1 2 ', '1 2 3 ']);
    await engine.resetChat(false, TINY);
    expect([await engine.getMessage(TINY), await engine.getMessage('second')]).toEqual(['', '1 2 3 ']);
    await expect(ask(undefined, 1)).rejects.toMatchObject({ code: 'model-unknown', param: 'model' });
    await expect(engine.getMessage()).rejects.toMatchObject({ code: 'model-unknown' });
    await expect(ask('third', 1)).rejects.toThrow('"third" is not loaded');
    await engine.unload();
    expect(opened.map(({ isUnloaded }) => isUnloaded)).toEqual([true, true]);
  });

  it('keeps what there is of an interrupted answer, whole or streamed', async () => {
    const engine = MLCEngine.withOpener(async () => new CountingEngine());
    await engine.reload(TINY);
    const messages: webllm.ChatCompletionMessageParam[] = [{ role: 'user', content: 'count' }];
    const whole = engine.chat.completions.create({ messages, max_tokens: 1e6 });
    const stream = await engine.chat.completions.create({ messages, max_tokens: 1e6, stream: true });
    const finishes: unknown[] = [];
    let count = 0;
    for await (const { choices } of stream) {
      if (++count === 5) await engine.interruptGenerate();
      finishes.push(choices[0]?.finish_reason);
    }
    expect(finishes.at(-1)).toBe('abort');
    const { choices } = await whole;
    expect(choices[0]?.finish_reason).toBe('abort');
    expect(choices[0]?.message.content).toMatch(/^1 2 3 /);
    expect(await engine.getMessage()).toMatch(/^1 2 /);
  });
});

const MESSAGES: webllm.ChatCompletionMessageParam[] = [{ role: 'user', content: 'count' }];

describe.each<[string, (worker: ChatWorker) => webllm.MLCEngineInterface]>([
  ['WebWorkerMLCEngine', (worker) => new WebWorkerMLCEngine(worker)],
  ['web-llm’s own WebWorkerMLCEngine', (worker) => new webllm.WebWorkerMLCEngine(worker)],
])('%s with WebWorkerMLCEngineHandler', (_, create) => {
  it('answers whole and streamed, interrupts and unloads', async () => {
    using host = createHandler();
    const engine = create(host.worker);
    await engine.reload(TINY);
    expect(host.handler.modelId).toEqual([TINY]);
    const whole = await engine.chatCompletion({ messages: MESSAGES });
    expect(whole.choices[0]?.message.content).toBe('1 2 3 ');
    let text = '';
    const stream = await engine.chatCompletion({ messages: MESSAGES, stream: true, max_tokens: 4 });
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? '';
    expect(text).toBe('1 2 3 4 ');
    expect(await engine.getMessage()).toBe('1 2 3 4 ');
    const plain = await engine.completion({ prompt: 'x' });
    expect(plain.choices[0]?.text).toBe('1 2 ');
    for await (const chunk of await engine.chatCompletion({
      messages: MESSAGES,
      stream: true,
      max_tokens: 1e6,
    })) {
      if (chunk.choices[0]?.delta.content === '3 ') break;
    }
    expect(host.counting.outcomes.at(-1)).toBe('left');
    const endless = engine.chatCompletion({ messages: MESSAGES, max_tokens: 1e6 });
    while ((await engine.getMessage()).length < 4);
    engine.interruptGenerate();
    expect((await endless).choices[0]?.finish_reason).toBe('abort');
    await engine.resetChat();
    expect(await engine.getMessage()).toBe('');
    await engine.unload();
    expect(host.counting.isUnloaded).toBe(true);
  });

  it('passes faults on', async () => {
    using host = createHandler();
    const engine = create(host.worker);
    await expect(engine.reload('no-such-model')).rejects.toBeTruthy();
    await engine.reload(TINY);
    const failing: webllm.ChatCompletionMessageParam[] = [{ role: 'user', content: 'fail' }];
    const told = await engine.chatCompletion({ messages: failing }).catch((error: unknown) => error);
    expect(String(told)).toContain('It is too long. Cut it.');
  });
});

describe('WebWorkerMLCEngine', () => {
  it('rebuilds the package’s own errors, and loads again what a new worker has lost', async () => {
    using host = createHandler();
    const engine = new WebWorkerMLCEngine(host.worker);
    await expect(engine.reload('no-such-model')).rejects.toMatchObject({ code: 'model-unknown' });
    await engine.reload(TINY);
    host.handler.modelId = undefined;
    await host.handler.engine.unload();
    expect((await engine.chatCompletion({ messages: MESSAGES })).choices[0]?.message.content).toBe('1 2 3 ');
  });
});
