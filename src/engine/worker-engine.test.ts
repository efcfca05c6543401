import { afterEach, describe, expect, it } from 'vitest';
import { isAbortError, isAutoglmError } from '../base/errors.ts';
import type { WorkerRequest } from '../protocol/worker-messages.ts';
import { createOpener, type CountingEngine } from '../worker/counting-engine.test-support.ts';
import { EngineHost } from '../worker/engine-host.ts';
import type { EngineOptions } from './engine-options.ts';
import type { ChatCompletionRequest } from './openai.ts';
import { SteadyEngine } from './steady-engine.ts';
import { WorkerEngine } from './worker-engine.ts';

/** A worker's outside: a real channel to an `EngineHost` that runs in the same thread. */
class ChannelWorker extends EventTarget {
  readonly engines: CountingEngine[];
  readonly options: EngineOptions[];
  readonly sent: WorkerRequest['type'][] = [];
  readonly #page: MessagePort;
  readonly #inside: MessagePort;
  isTerminated = false;

  constructor() {
    super();
    const { port1, port2 } = new MessageChannel();
    this.#page = port1;
    this.#inside = port2;
    const { open, engines, options } = createOpener();
    this.engines = engines;
    this.options = options;
    const host = new EngineHost(open, (message) => this.#inside.postMessage(message));
    this.#inside.addEventListener('message', ({ data }) => void host.receive(data as WorkerRequest));
    this.#inside.start();
    this.#page.addEventListener('message', ({ data }) => {
      this.dispatchEvent(new MessageEvent('message', { data }));
    });
    this.#page.start();
  }

  postMessage(message: WorkerRequest): void {
    this.#page.postMessage(message);
    this.sent.push(message.type);
  }

  /** As a browser does it: what the worker has sent and nobody has received yet is dropped. */
  terminate(): void {
    this.isTerminated = true;
    this.#page.close();
  }

  fail(): void {
    this.dispatchEvent(Object.assign(new Event('error'), { message: 'out of memory' }));
  }
}

type PlainRequest = Omit<ChatCompletionRequest, 'stream'>;

const request: PlainRequest = { messages: [{ role: 'user', content: 'count' }] };
const failing: PlainRequest = { messages: [{ role: 'user', content: 'fail' }] };

let worker: ChannelWorker;
afterEach(() => worker?.terminate());

function load(options: Partial<EngineOptions> = {}): Promise<WorkerEngine> {
  worker = new ChannelWorker();
  return WorkerEngine.load(worker as unknown as Worker, { model: 'm', ...options });
}

async function readAll(engine: WorkerEngine, extra: Partial<PlainRequest> = {}, signal?: AbortSignal) {
  const stream = await engine.chat.completions.create(
    { ...request, ...extra, stream: true },
    signal ? { signal } : {},
  );
  const texts: string[] = [];
  for await (const { choices } of stream) texts.push(choices[0]?.delta.content ?? '');
  return texts.join('');
}

describe('WorkerEngine', () => {
  it('loads in the worker, with progress and without what cannot be sent', async () => {
    const loaded: number[] = [];
    const engine = await load({
      contextWindow: 64,
      onProgress: ({ loadedBytes }) => loaded.push(loadedBytes),
      signal: new AbortController().signal,
    });
    expect(engine.info).toMatchObject({ model: 'counting' });
    expect(loaded).toEqual([0, 10]);
    expect(worker.options[0]).toMatchObject({ model: 'm', contextWindow: 64 });
  });

  it('answers plainly and in a stream', async () => {
    const engine = await load();
    const plain = await engine.chat.completions.create(request);
    expect(plain.choices[0].message.content).toBe('1 2 3 ');
    expect(await readAll(engine, { max_tokens: 5 })).toBe('1 2 3 4 5 ');
  });

  it('keeps sessions in the worker, and their history here', async () => {
    const engine = await load();
    const system = { role: 'system', content: 'Count.' } as const;
    const session = engine.sessions.create({ id: 'one', messages: [system], request: { max_tokens: 2 } });
    expect((await session.send('go')).choices[0]?.message.content).toBe('1 2 ');
    const saved = await session.save();
    expect(saved).toMatchObject({ id: 'one', tokenCount: 3 });
    expect(await engine.sessions.list()).toEqual([saved]);
    const restored = await engine.sessions.restore('one');
    expect(restored.messages).toEqual(session.messages);
    for await (const chunk of restored.stream('on', { max_tokens: 3 })) expect(chunk.id).toBe('c');
    expect(restored.messages.map(({ content }) => content)).toEqual(['Count.', 'go', '1 2 ', 'on', '1 2 3 ']);
    expect(session.messages).toHaveLength(3);
    await engine.sessions.delete('one');
    await expect(engine.sessions.restore('one')).rejects.toMatchObject({
      code: 'session-missing',
      value: 'one',
    });
  });

  it('passes an interruption on, and is silent when there is no worker any more', async () => {
    const engine = await load();
    engine.interruptGenerate();
    await engine.sessions.list();
    expect(worker.engines[0]?.interruptCount).toBe(1);
    await engine.unload();
    engine.interruptGenerate();
  });

  it('tells of answers that have ended while somebody listens, also behind an engine that may be replaced', async () => {
    const engine = await load();
    const steady = new SteadyEngine(engine, { recover: async () => undefined });
    const seen: string[] = [];
    const forget = steady.onMetrics(({ outcome, completionTokens }) => {
      seen.push(`${outcome} ${completionTokens}`);
    });
    await steady.chat.completions.create(request);
    await steady.chat.completions.create(failing).catch(() => {});
    expect(seen).toEqual(['length 3', 'error 3']);
    forget();
    await steady.chat.completions.create(request);
    expect(seen).toHaveLength(2);
    expect(worker.engines[0]?.metricsListeners.size).toBe(0);
  });

  it('deals answers of calls that run together out to their callers', async () => {
    const engine = await load();
    const texts = await Promise.all([2, 5, 3].map((count) => readAll(engine, { max_tokens: count })));
    expect(texts).toEqual(['1 2 ', '1 2 3 4 5 ', '1 2 3 ']);
  });

  it('throws faults of the worker as they were thrown there', async () => {
    const engine = await load();
    const details = { code: 'prompt-too-long', value: 9, limit: 8, cure: 'Cut it.' };
    const plain = await engine.chat.completions.create(failing).catch((error: unknown) => error);
    expect(isAutoglmError(plain, 'prompt-too-long')).toBe(true);
    expect(plain).toMatchObject(details);
    expect((plain as Error).message).toBe('It is too long. Cut it.');
    await expect(readAll(engine, failing)).rejects.toMatchObject(details);
    expect(await readAll(engine)).toBe('1 2 3 ');
  });

  it('ends the worker when the model does not load', async () => {
    await expect(load({ model: 'missing' })).rejects.toMatchObject({
      code: 'file-missing',
      value: 'missing',
    });
    expect(worker.isTerminated).toBe(true);
  });

  it('ends the worker when the load is aborted, with the reason of the signal', async () => {
    const controller = new AbortController();
    const reason = new Error('the user left');
    const loading = load({
      model: 'slow',
      signal: controller.signal,
      onProgress: () => controller.abort(reason),
    });
    await expect(loading).rejects.toBe(reason);
    expect(worker.isTerminated).toBe(true);
  });

  it('stops a call whose signal fires, plain and streamed', async () => {
    const engine = await load();
    const endless = { ...request, max_tokens: 1e6 };
    const first = new AbortController();
    const plain = engine.chat.completions.create(endless, { signal: first.signal });
    setTimeout(() => first.abort(), 5);
    await expect(plain).rejects.toSatisfy(isAbortError);
    const second = new AbortController();
    setTimeout(() => second.abort(), 20);
    await expect(readAll(engine, endless, second.signal)).rejects.toSatisfy(isAbortError);
    expect(worker.engines[0].outcomes).toEqual(['failed', 'failed']);
    expect(await readAll(engine)).toBe('1 2 3 ');
  });

  it('sends nothing for a signal that was aborted before', async () => {
    const engine = await load();
    const { sent } = worker;
    const before = sent.length;
    const options = { signal: AbortSignal.abort() };
    await expect(engine.chat.completions.create(request, options)).rejects.toSatisfy(isAbortError);
    await expect(readAll(engine, {}, options.signal)).rejects.toSatisfy(isAbortError);
    expect(sent).toHaveLength(before);
  });

  it('listens to a signal only while its call is open', async () => {
    const engine = await load();
    const controller = new AbortController();
    expect(await readAll(engine, {}, controller.signal)).toBe('1 2 3 ');
    const before = worker.sent.length;
    controller.abort();
    expect(worker.sent).toHaveLength(before);
  });

  it('stops the worker when the reader leaves the stream', async () => {
    const engine = await load();
    const stream = await engine.chat.completions.create({ ...request, max_tokens: 1e6, stream: true });
    for await (const chunk of stream) {
      expect(chunk.choices[0].delta.content).toBe('1 ');
      break;
    }
    expect(worker.sent.at(-1)).toBe('abort');
    expect(await readAll(engine)).toBe('1 2 3 ');
    expect(worker.engines[0].outcomes).toEqual(['failed', 'whole']);
  });

  it('ends the worker when it is unloaded, and every call that is still open', async () => {
    const engine = await load();
    const endless = { ...request, max_tokens: 1e6 };
    const calls = Promise.allSettled([engine.chat.completions.create(endless), readAll(engine, endless)]);
    await new Promise((resolve) => setTimeout(resolve, 10));
    await engine.unload();
    expect(worker.isTerminated).toBe(true);
    expect(worker.engines[0].isUnloaded).toBe(true);
    const unloaded = { code: 'engine-unloaded', cure: 'Create a new one.' };
    expect(await calls).toMatchObject([
      { status: 'rejected', reason: unloaded },
      { status: 'rejected', reason: unloaded },
    ]);
    await expect(engine.chat.completions.create(request)).rejects.toMatchObject(unloaded);
    await engine.unload();
  });

  it('fails open and later calls when the worker dies, and ends it', async () => {
    const engine = await load();
    const open = engine.chat.completions.create({ ...request, max_tokens: 1e6 });
    const expectation = expect(open).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('out of memory') as string,
      cure: 'Load the model again.',
    });
    worker.fail();
    await expectation;
    expect(worker.isTerminated).toBe(true);
    await expect(engine.chat.completions.create(request)).rejects.toMatchObject({ code: 'internal' });
    await engine.unload();
  });

  it('passes on what is known of a coming request, and its abort', async () => {
    const engine = await load();
    const messages = [{ role: 'system', content: 'Be brief.' }] as const;
    const summary = { promptTokens: 1, cachedTokens: 0, computedTokens: 1 };
    expect(await engine.prefill({ messages })).toEqual(summary);
    expect(await new SteadyEngine(engine, { recover: async () => undefined }).prefill({ messages })).toEqual(
      summary,
    );
    const controller = new AbortController();
    const slow = engine.prefill({ messages: [{ role: 'user', content: 'slow' }] }, controller);
    controller.abort();
    await expect(slow).rejects.toSatisfy(isAbortError);
  });

  it('refuses a request that cannot be sent, and answers the next', async () => {
    const engine = await load();
    const odd = { ...request, logit_bias: { 1: (() => 1) as unknown as number } };
    await expect(engine.chat.completions.create(odd)).rejects.toMatchObject({
      code: 'request-invalid',
      limit: 'plain data, without functions',
    });
    expect(await readAll(engine)).toBe('1 2 3 ');
  });
});
