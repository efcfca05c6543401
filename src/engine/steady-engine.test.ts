import { describe, expect, it } from 'vitest';
import { AutoglmError } from '../base/errors.ts';
import type { CallOptions, ChatCompletions, Engine, EngineChange, TextCompletions } from './engine.ts';
import type { ChatCompletionChunk, ChatCompletionRequest } from './openai.ts';
import { SteadyEngine } from './steady-engine.ts';

const WORDS = ['one ', 'two ', 'three ', 'four ', 'five '];
const REQUEST = {
  messages: [{ role: 'user', content: 'count' }],
  stream: true,
  stream_options: { include_usage: true },
} as const satisfies ChatCompletionRequest;

/** Says the words that are not said yet; after `failsAfter` of them its device is lost. */
class CountingEngine implements Engine {
  readonly info;
  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: TextCompletions = {
    create: async (): Promise<never> => Promise.reject(new Error('This engine has chats only.')),
  };
  readonly requests: ChatCompletionRequest[] = [];
  failsAfter = Infinity;
  isUnloaded = false;

  constructor(backend: 'webgpu' | 'helper', failsAfter = Infinity) {
    this.failsAfter = failsAfter;
    this.info = {
      model: backend,
      backend,
      adapter: backend,
      isSoftware: false,
      contextWindow: 64,
      gpuBytes: 0,
      quantization: '',
    };
    const create = async (request: ChatCompletionRequest, options: CallOptions = {}) => {
      this.requests.push(request);
      if (request.stream) return this.#stream(request, options.signal);
      if (this.failsAfter === 0) throw lost();
      return { choices: [], usage: {} };
    };
    this.chat = { completions: { create: create as unknown as ChatCompletions['create'] } };
  }

  async unload(): Promise<void> {
    this.isUnloaded = true;
  }

  async *#stream(
    { messages }: ChatCompletionRequest,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ChatCompletionChunk> {
    const last = messages.at(-1);
    const said = last?.role === 'assistant' ? String(last.content).trim().split(' ').length : 0;
    const chunk = (content: string): ChatCompletionChunk => ({
      id: this.info.model,
      object: 'chat.completion.chunk',
      created: 1,
      model: this.info.model,
      choices: [
        {
          index: 0,
          delta: content === '' ? { role: 'assistant', content } : { content },
          finish_reason: null,
        },
      ],
    });
    yield chunk('');
    let count = 0;
    for (const word of WORDS.slice(said)) {
      if (count++ === this.failsAfter) throw lost();
      signal?.throwIfAborted();
      yield chunk(word);
    }
    const end = { index: 0, delta: {}, finish_reason: 'stop' as const };
    yield { ...chunk(''), choices: [end] };
    const completion = WORDS.length - said;
    yield {
      ...chunk(''),
      choices: [],
      usage: { prompt_tokens: 10 + said, completion_tokens: completion, total_tokens: 10 + WORDS.length },
    };
  }
}

function lost(): AutoglmError {
  return new AutoglmError('device-lost', 'The GPU went away.');
}

async function read(chunks: AsyncIterable<ChatCompletionChunk>) {
  const list: ChatCompletionChunk[] = [];
  for await (const chunk of chunks) list.push(chunk);
  const text = list.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
  return { list, text, usage: list.at(-1)?.usage };
}

describe('SteadyEngine', () => {
  it('goes on with another engine from the text so far, as one answer', async () => {
    const first = new CountingEngine('webgpu', 2);
    const second = new CountingEngine('helper');
    const engine = new SteadyEngine(first, { recover: async () => second });
    const changes: EngineChange[] = [];
    engine.onChange((change) => changes.push(change));
    const { text, list, usage } = await read(await engine.chat.completions.create(REQUEST));
    expect(text).toBe(WORDS.join(''));
    expect(new Set(list.map(({ id }) => id))).toEqual(new Set(['webgpu']));
    expect(list.filter(({ choices }) => choices[0]?.delta.role !== undefined)).toHaveLength(1);
    expect(list.filter(({ choices }) => choices[0]?.finish_reason === 'stop')).toHaveLength(1);
    expect(usage).toMatchObject({ prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 });
    expect(second.requests[0]).toMatchObject({
      continue_final_message: true,
      messages: [...REQUEST.messages, { role: 'assistant', content: 'one two ' }],
    });
    expect(changes).toMatchObject([
      { type: 'interrupted', fault: { code: 'device-lost' } },
      { type: 'running', info: { backend: 'helper' } },
    ]);
    expect(engine.info.backend).toBe('helper');
    expect(first.isUnloaded).toBe(true);
  });

  it('survives several failures in one answer, each from the whole text so far', async () => {
    const engines = [1, 2, 1, Infinity].map((after) => new CountingEngine('helper', after));
    let next = 1;
    const engine = new SteadyEngine(engines[0] as Engine, { recover: async () => engines[next++] });
    const { text, usage } = await read(await engine.chat.completions.create(REQUEST));
    expect(text).toBe(WORDS.join(''));
    expect(usage?.completion_tokens).toBe(5);
    expect(engines[3]?.requests[0]?.messages).toHaveLength(2);
  });

  it('asks again from the start where nothing was said, and takes fewer tokens where something was', async () => {
    const engines = [
      new CountingEngine('helper', 0),
      new CountingEngine('helper', 2),
      new CountingEngine('helper'),
    ];
    let next = 1;
    const engine = new SteadyEngine(engines[0] as Engine, { recover: async () => engines[next++] });
    await read(await engine.chat.completions.create({ ...REQUEST, max_tokens: 5 }));
    expect(engines[1]?.requests[0]).toEqual({ ...REQUEST, max_tokens: 5 });
    expect(engines[2]?.requests[0]).toMatchObject({ max_tokens: 3 });
  });

  it('throws the fault where nothing is to be gained', async () => {
    const engine = new SteadyEngine(new CountingEngine('webgpu', 1), { recover: async () => undefined });
    await expect(read(await engine.chat.completions.create(REQUEST))).rejects.toMatchObject({
      code: 'device-lost',
    });
  });

  it('does not take up text in the middle of what a grammar, a tool or a second choice makes', async () => {
    for (const more of [
      { response_format: { type: 'json_object' } },
      { tools: [{ type: 'function' }] },
      { n: 2 },
      { logprobs: true },
    ]) {
      const engine = new SteadyEngine(new CountingEngine('webgpu', 1), {
        recover: async () => new CountingEngine('helper'),
      });
      const request = { ...REQUEST, ...more } as unknown as typeof REQUEST;
      await expect(read(await engine.chat.completions.create(request))).rejects.toMatchObject({
        code: 'device-lost',
      });
    }
  });

  it('recovers once for all answers, and also those that are not streamed', async () => {
    let count = 0;
    const second = new CountingEngine('helper');
    const engine = new SteadyEngine(new CountingEngine('webgpu', 0), {
      recover: async () => {
        count++;
        await new Promise((resolve) => setTimeout(resolve, 10));
        return second;
      },
    });
    const streamed = engine.chat.completions.create(REQUEST).then(read);
    const plain = engine.chat.completions.create({ messages: REQUEST.messages });
    expect((await streamed).text).toBe(WORDS.join(''));
    await plain;
    expect(count).toBe(1);
    expect(second.requests).toHaveLength(2);
  });

  it('lets go of an answer that is stopped while it waits, and goes on looking for an engine', async () => {
    let arrive: (engine: Engine) => void = () => {};
    const engine = new SteadyEngine(new CountingEngine('helper', 1), {
      recover: () => new Promise((resolve) => (arrive = resolve)),
    });
    const abort = new AbortController();
    const reading = read(await engine.chat.completions.create(REQUEST, { signal: abort.signal }));
    await new Promise((resolve) => setTimeout(resolve, 5));
    abort.abort();
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
    arrive(new CountingEngine('helper'));
    expect((await read(await engine.chat.completions.create(REQUEST))).text).toBe(WORDS.join(''));
  });

  it('ends a recovery when it is unloaded', async () => {
    let signal: AbortSignal | undefined;
    const engine = new SteadyEngine(new CountingEngine('helper', 1), {
      recover: (_, __, given) =>
        new Promise((___, reject) => {
          signal = given;
          given.addEventListener('abort', () => reject(given.reason as Error));
        }),
    });
    const reading = read(await engine.chat.completions.create(REQUEST));
    await new Promise((resolve) => setTimeout(resolve, 5));
    const failing = expect(reading).rejects.toMatchObject({ code: 'engine-unloaded' });
    await engine.unload();
    await failing;
    expect(signal?.aborted).toBe(true);
  });

  it('computes nothing ahead where the engine of the moment cannot', async () => {
    const engine = new SteadyEngine(new CountingEngine('helper'), { recover: async () => undefined });
    const nothing = { promptTokens: 0, cachedTokens: 0, computedTokens: 0 };
    expect(await engine.prefill({ messages: REQUEST.messages })).toEqual(nothing);
  });

  it('keeps the histories of sessions, and says where none can be saved', async () => {
    const engine = new SteadyEngine(new CountingEngine('helper'), { recover: async () => undefined });
    const session = engine.sessions.create();
    let text = '';
    for await (const { choices } of session.stream('count')) text += choices[0]?.delta.content ?? '';
    expect(session.messages).toEqual([
      { role: 'user', content: 'count' },
      { role: 'assistant', content: text },
    ]);
    await expect(session.save()).rejects.toMatchObject({ code: 'request-invalid' });
    await expect(engine.sessions.restore('x')).rejects.toMatchObject({ code: 'request-invalid' });
    engine.interruptGenerate();
  });
});
