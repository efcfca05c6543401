import { describe, expect, it } from 'vitest';
import type { ChatCompletionRequest } from '../engine/openai.ts';
import type { WorkerRequest, WorkerResponse } from '../protocol/worker-messages.ts';
import { createOpener } from './counting-engine.test-support.ts';
import { EngineHost } from './engine-host.ts';

/** A host behind a real channel, so that everything that is sent is cloned. */
function createHost() {
  const { port1: page, port2: worker } = new MessageChannel();
  const opener = createOpener();
  const host = new EngineHost(opener.open, (message) => worker.postMessage(message));
  worker.addEventListener('message', ({ data }) => void host.receive(data as WorkerRequest));
  worker.start();
  const received: WorkerResponse[] = [];
  const waiting = new Set<() => void>();
  page.addEventListener('message', ({ data }) => {
    received.push(data as WorkerResponse);
    for (const wake of waiting) wake();
  });
  page.start();
  const of = (call: number): WorkerResponse[] => received.filter((message) => message.call === call);
  return {
    ...opener,
    of,
    send: (message: WorkerRequest) => page.postMessage(message),
    /** All answers to a call, once the last one is there. */
    last: async (call: number): Promise<WorkerResponse[]> => {
      while (!of(call).some(({ type }) => type !== 'progress' && type !== 'chunk')) {
        await new Promise<void>((resolve) => void waiting.add(resolve));
      }
      return of(call);
    },
    /** Waits until a call got so many answers. */
    until: async (call: number, count: number): Promise<void> => {
      while (of(call).length < count) await new Promise<void>((resolve) => void waiting.add(resolve));
    },
    [Symbol.dispose]: () => {
      page.close();
      worker.close();
    },
  };
}

const request: ChatCompletionRequest = { messages: [{ role: 'user', content: 'count' }] };

describe('EngineHost', () => {
  it('loads with progress and answers with what the engine says of itself', async () => {
    using host = createHost();
    host.send({ type: 'load', call: 1, options: { model: 'm', contextWindow: 64 } });
    const answers = await host.last(1);
    expect(answers.map(({ type }) => type)).toEqual(['progress', 'progress', 'result']);
    expect(answers[1]).toMatchObject({ progress: { phase: 'uploading', loadedBytes: 10 } });
    expect(answers[2]).toMatchObject({ value: { model: 'counting', contextWindow: 64 } });
    expect(host.options[0]).toMatchObject({ model: 'm', contextWindow: 64 });
  });

  it('answers a plain chat with one result, and a stream with chunks and an end', async () => {
    using host = createHost();
    host.send({ type: 'load', call: 1, options: { model: 'm' } });
    await host.last(1);
    host.send({ type: 'chat', call: 2, request });
    host.send({ type: 'chat', call: 3, request: { ...request, stream: true } });
    const [[plain], streamed] = await Promise.all([host.last(2), host.last(3)]);
    expect(plain).toMatchObject({
      type: 'result',
      value: { choices: [{ message: { content: '1 2 3 ' } }], usage: { total_tokens: 4 } },
    });
    expect(streamed.map(({ type }) => type)).toEqual(['chunk', 'chunk', 'chunk', 'end']);
    expect(streamed[0]).toMatchObject({ chunk: { choices: [{ delta: { content: '1 ' } }] } });
  });

  it('sends faults with their code, value, limit and cure; a stream keeps what came before', async () => {
    using host = createHost();
    host.send({ type: 'load', call: 1, options: { model: 'm' } });
    await host.last(1);
    const failing = { messages: [{ role: 'user', content: 'fail' }] };
    host.send({ type: 'chat', call: 2, request: failing });
    host.send({ type: 'chat', call: 3, request: { ...failing, stream: true } });
    const error = {
      code: 'prompt-too-long',
      message: 'It is too long. Cut it.',
      value: 9,
      limit: 8,
      cure: 'Cut it.',
    };
    expect(await host.last(2)).toEqual([{ type: 'error', call: 2, error }]);
    expect((await host.last(3)).map(({ type }) => type)).toEqual(['chunk', 'chunk', 'error']);
    host.send({ type: 'chat', call: 4, request });
    expect((await host.last(4))[0].type).toBe('result');
  });

  it('reports a model that does not load, and can load another', async () => {
    using host = createHost();
    host.send({ type: 'load', call: 1, options: { model: 'missing' } });
    expect((await host.last(1)).at(-1)).toMatchObject({ type: 'error', error: { code: 'file-missing' } });
    host.send({ type: 'load', call: 2, options: { model: 'm' } });
    expect((await host.last(2)).at(-1)?.type).toBe('result');
  });

  it('stops a call that is aborted, and no other', async () => {
    using host = createHost();
    host.send({ type: 'load', call: 1, options: { model: 'm' } });
    await host.last(1);
    host.send({ type: 'chat', call: 2, request: { ...request, stream: true, max_tokens: 1e6 } });
    host.send({ type: 'chat', call: 3, request: { ...request, stream: true, max_tokens: 20 } });
    await host.until(2, 2);
    host.send({ type: 'abort', call: 2 });
    expect((await host.last(2)).at(-1)).toEqual({ type: 'aborted', call: 2 });
    expect((await host.last(3)).map(({ type }) => type)).toEqual([...Array<string>(20).fill('chunk'), 'end']);
    expect(host.engines[0].outcomes).toEqual(['failed', 'whole']);
  });

  it('stops a load that is aborted', async () => {
    using host = createHost();
    host.send({ type: 'load', call: 1, options: { model: 'slow' } });
    await host.until(1, 2);
    host.send({ type: 'abort', call: 1 });
    expect((await host.last(1)).at(-1)).toEqual({ type: 'aborted', call: 1 });
  });

  it('ignores an abort that comes too late', async () => {
    using host = createHost();
    host.send({ type: 'load', call: 1, options: { model: 'm' } });
    await host.last(1);
    host.send({ type: 'abort', call: 1 });
    host.send({ type: 'abort', call: 99 });
    host.send({ type: 'chat', call: 2, request });
    expect((await host.last(2))[0].type).toBe('result');
    expect(host.of(1).filter(({ type }) => type !== 'progress')).toHaveLength(1);
  });

  it('stops everything and frees the engine when it is unloaded', async () => {
    using host = createHost();
    host.send({ type: 'load', call: 1, options: { model: 'm' } });
    await host.last(1);
    host.send({ type: 'chat', call: 2, request: { ...request, max_tokens: 1e6 } });
    host.send({ type: 'unload', call: 3 });
    expect(await host.last(3)).toEqual([{ type: 'result', call: 3, value: undefined }]);
    expect(await host.last(2)).toEqual([{ type: 'aborted', call: 2 }]);
    expect(host.engines[0].isUnloaded).toBe(true);
  });

  it('refuses a chat before a model is loaded', async () => {
    using host = createHost();
    host.send({ type: 'chat', call: 1, request });
    expect(await host.last(1)).toMatchObject([
      { type: 'error', error: { code: 'engine-unloaded', cure: 'Load a model first.' } },
    ]);
  });
});
