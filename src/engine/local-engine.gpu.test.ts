/** The engine on the embedded model: the OpenAI surface, one answer at a time, stopping, and reuse of the KV cache. */
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { isAbortError } from '../base/errors.ts';
import type { AnswerSummary, AnswerToken } from './answer.ts';
import { EMBEDDED_MODEL, toDataUrl } from './embedded-model.test-support.ts';
import type { LoadProgress } from './engine.ts';
import type { LocalEngine } from './local-engine.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  ContentPart,
} from './openai.ts';
import { openNodeEngine } from './open-node-engine.ts';

/** Small, so that filling it takes a moment. */
const CONTEXT = 256;
/** Tokens of a chunk that every adapter has buffers for. */
const SHORT_CHUNK = 64;
/** Enough to tell answers apart. */
const FEW_TOKENS = 6;
const SYSTEM: ChatMessage = {
  role: 'system',
  content: 'You are a phone agent. Look at the screen and reply with one action.',
};
const HELLO: ChatMessage[] = [SYSTEM, { role: 'user', content: 'Hello! What can you do?' }];
const SETTINGS: ChatMessage[] = [SYSTEM, { role: 'user', content: 'Open the settings.' }];

let engine: LocalEngine;
const phases: LoadProgress[] = [];
/** The smallest picture that is not enlarged: 16 tokens. */
let picture: ContentPart;
let otherPicture: ContentPart;

beforeAll(async () => {
  engine = await load();
  [picture, otherPicture] = await Promise.all(['#2a6fdb', '#d9412a'].map(createPicture));
});
afterAll(() => engine?.unload());

function load(signal?: AbortSignal): Promise<LocalEngine> {
  return openNodeEngine({
    model: EMBEDDED_MODEL,
    contextWindow: CONTEXT,
    // Else the engines of these tests would remember every conversation.
    slots: 1,
    // Half the time of compiling on a software adapter.
    device: { toggles: ['disable_workgroup_init'] },
    signal,
    onProgress: (progress) => phases.push(progress),
  });
}

async function createPicture(background: string): Promise<ContentPart> {
  const bytes = await sharp({ create: { width: 112, height: 112, channels: 3, background } })
    .png()
    .toBuffer();
  return { type: 'image_url', image_url: { url: toDataUrl(bytes) } };
}

type Fields = Omit<ChatCompletionRequest, 'messages' | 'stream'>;

/** The beginning of an answer, or more where `max_tokens` asks for it. */
function complete(messages: readonly ChatMessage[], fields: Fields = {}): Promise<ChatCompletion> {
  return engine.chat.completions.create({
    messages,
    temperature: 0,
    max_tokens: FEW_TOKENS,
    ...fields,
  });
}

async function collect(
  messages: readonly ChatMessage[],
  fields: Fields = {},
): Promise<{ chunks: ChatCompletionChunk[]; text: string }> {
  const stream = await engine.chat.completions.create({ messages, temperature: 0, ...fields, stream: true });
  const chunks: ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { chunks, text: chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('') };
}

async function drain(
  stream: AsyncGenerator<AnswerToken, AnswerSummary>,
): Promise<{ ids: number[]; text: string; summary: AnswerSummary }> {
  const tokens: AnswerToken[] = [];
  let next = await stream.next();
  while (!next.done) {
    tokens.push(next.value);
    next = await stream.next();
  }
  return {
    ids: tokens.map(({ id }) => id),
    text: tokens.map(({ text }) => text).join(''),
    summary: next.value,
  };
}

async function answer(target: LocalEngine, messages: readonly ChatMessage[], maxTokens = FEW_TOKENS) {
  const prompt = await target.prompts.fromMessages(messages);
  return drain(target.answer(prompt, { temperature: 0, max_tokens: maxTokens }));
}

describe('loading', () => {
  it('reports its phases in order, with the bytes of the weights', () => {
    const names = phases.map(({ phase }) => phase);
    expect(names.filter((name, index) => name !== names[index - 1])).toEqual([
      'checking',
      'uploading',
      'compiling',
      'ready',
    ]);
    expect(phases.at(-1)).toMatchObject({ loadedBytes: 7628416, totalBytes: 7628416 });
  });

  it('tells what it runs on', () => {
    expect(engine.info).toMatchObject({
      model: 'autoglm-tiny-q4f16_1',
      backend: process.env['AUTOGLM_TESTS_ON'] === 'cuda' ? 'cuda' : 'webgpu',
      contextWindow: CONTEXT,
      quantization: 'q4f16_1',
    });
    expect(engine.info.adapter).not.toBe('');
    expect(engine.info.gpuBytes).toBeGreaterThan(7628416);
  });

  it('stops with the signal', async () => {
    const controller = new AbortController();
    const loading = load(controller.signal);
    controller.abort();
    await expect(loading).rejects.toSatisfy(isAbortError);
  });
});

describe('chat.completions.create', () => {
  it('answers in the shape of OpenAI', async () => {
    const completion = await complete(HELLO, { max_tokens: 100 });
    expect(completion).toMatchObject({ object: 'chat.completion', model: 'autoglm-tiny-q4f16_1' });
    expect(completion.id).toMatch(/^chatcmpl-/);
    expect(Math.abs(completion.created - Date.now() / 1000)).toBeLessThan(60);
    const [choice] = completion.choices;
    expect(choice).toMatchObject({
      index: 0,
      finish_reason: 'stop',
      logprobs: null,
      message: { role: 'assistant' },
    });
    expect(choice.message.content.length).toBeGreaterThan(10);
    const { usage } = completion;
    const prompt = await engine.prompts.fromMessages(HELLO);
    expect(usage.prompt_tokens).toBe(prompt.tokenIds.length);
    expect(usage.total_tokens).toBe(usage.prompt_tokens + usage.completion_tokens);
    expect(usage.extra?.timeToFirstTokenMs).toBeGreaterThan(0);
  });

  it('streams the text of the plain answer, then the reason, then the usage', async () => {
    const plain = await complete(HELLO, { max_tokens: 100 });
    const { chunks, text } = await collect(HELLO, { stream_options: { include_usage: true } });
    expect(text).toBe(plain.choices[0].message.content);
    expect(chunks[0].choices[0]).toMatchObject({ delta: { role: 'assistant', content: '' } });
    expect(chunks.at(-2)?.choices[0]).toMatchObject({ delta: {}, finish_reason: 'stop' });
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: plain.usage.prompt_tokens, completion_tokens: plain.usage.completion_tokens },
    });
    expect(chunks.slice(0, -2).every(({ choices }) => choices[0].finish_reason === null)).toBe(true);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks.every(({ object }) => object === 'chat.completion.chunk')).toBe(true);
    expect((await collect(HELLO, { max_tokens: 1 })).chunks.some(({ usage }) => usage)).toBe(false);
  });

  it('lists log-probabilities of every token, the same in a stream', async () => {
    const fields = { logprobs: true, top_logprobs: 3, max_tokens: FEW_TOKENS } as const;
    const plain = await complete(HELLO, fields);
    const content = plain.choices[0].logprobs?.content ?? [];
    expect(content).toHaveLength(FEW_TOKENS);
    expect(content.map(({ token }) => token).join('')).toBe(plain.choices[0].message.content);
    for (const { token_id: id, logprob, top_logprobs: top } of content) {
      expect(top).toHaveLength(3);
      expect(top[0].token_id).toBe(id);
      expect(top[0].logprob).toBeCloseTo(logprob, 4);
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top.map((one) => one.logprob)).toEqual(top.map((one) => one.logprob).toSorted((a, b) => b - a));
    }
    const { chunks } = await collect(HELLO, fields);
    const streamed = chunks.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? []);
    expect(streamed.map(({ token_id: id }) => id)).toEqual(content.map(({ token_id: id }) => id));
  });

  it('gives a log-probability without alternatives where none are asked for', async () => {
    const { choices } = await complete(HELLO, { logprobs: true, max_tokens: 2 });
    expect(choices[0].logprobs?.content).toHaveLength(2);
    expect(choices[0].logprobs?.content[0].top_logprobs).toEqual([]);
    expect(choices[0].logprobs?.content[0].logprob).toBeLessThan(0);
  });

  it('ends at max_tokens, at a stop string, or where the context is full, and says so', async () => {
    const whole = (await complete(HELLO, { max_tokens: 12 })).choices[0].message.content;
    const cut = await complete(HELLO, { max_tokens: 3 });
    expect(cut.choices[0].finish_reason).toBe('length');
    expect(cut.usage.completion_tokens).toBe(3);
    expect(whole.startsWith(cut.choices[0].message.content)).toBe(true);
    const stop = whole.slice(8, 13);
    const stopped = await complete(HELLO, { stop: [stop], max_tokens: 12 });
    expect(stopped.choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { content: whole.slice(0, whole.indexOf(stop)) },
    });
    const ids = Array.from({ length: CONTEXT - 3 }, (_, index) => (index * 7) % 1000);
    const full = await drain(
      engine.answer(engine.prompts.fromTokens(ids, []), { temperature: 0, ignore_eos: true }),
    );
    expect(full.summary.completionTokens).toBe(3 + 1);
  });

  it('gives the same text for the same seed, and other texts for others', async () => {
    const sample = async (seed: number): Promise<string> =>
      (await complete(HELLO, { temperature: 2, seed, max_tokens: 12 })).choices[0].message.content;
    const first = await sample(1);
    expect(await sample(1)).toBe(first);
    expect(new Set([first, await sample(2), await sample(3)]).size).toBeGreaterThan(1);
  });

  it('keeps a token out that the request bans, in that request alone', async () => {
    const plain = await complete(HELLO, { logprobs: true, max_tokens: 1 });
    const id = plain.choices[0].logprobs?.content[0].token_id as number;
    const banned = await complete(HELLO, { logprobs: true, max_tokens: 1, logit_bias: { [id]: -100 } });
    expect(banned.choices[0].logprobs?.content[0].token_id).not.toBe(id);
    expect((await complete(HELLO, { max_tokens: 1 })).choices[0].message).toEqual(plain.choices[0].message);
  });

  it('answers requests that come together one after the other, each rightly', async () => {
    const alone = [await complete(HELLO), await complete(SETTINGS)];
    const together = await Promise.all([complete(HELLO), complete(SETTINGS), complete(HELLO)]);
    const texts = (completions: readonly ChatCompletion[]): string[] =>
      completions.map(({ choices }) => choices[0].message.content);
    expect(texts(together)).toEqual([...texts(alone), texts(alone)[0]]);
  });
});

describe('answer, constrained', () => {
  /** Allows the ids of a list, one after the other, and all of `others` beside them. */
  function createScript(ids: readonly number[], others: readonly number[] = []) {
    const accepted: number[] = [];
    return {
      accepted,
      nextMask: async () => {
        const mask = new Uint32Array(Math.ceil(engine.texts.config.text.V / 32));
        for (const id of [ids[accepted.length], ...others]) mask[id >>> 5] |= 1 << (id & 31);
        return mask;
      },
      accept: (id: number) => void accepted.push(id),
    };
  }

  it('chooses among the allowed tokens alone, and tells each to the constraint', async () => {
    const script = createScript([100, 7, 1999, 31, 32]);
    const prompt = await engine.prompts.fromMessages(HELLO);
    const options = { temperature: 2, seed: 3, max_tokens: 5, ignore_eos: true };
    const { ids } = await drain(engine.answer(prompt, options, { constraint: script }));
    expect(ids).toEqual([100, 7, 1999, 31, 32]);
    expect(script.accepted).toEqual(ids);
  });

  it('leaves the choice where everything is allowed', async () => {
    const prompt = await engine.prompts.fromMessages(HELLO);
    const free = await drain(engine.answer(prompt, { temperature: 0, max_tokens: 4 }));
    const accepted: number[] = [];
    const constraint = { nextMask: () => undefined, accept: (id: number) => void accepted.push(id) };
    const { ids } = await drain(engine.answer(prompt, { temperature: 0, max_tokens: 4 }, { constraint }));
    expect(ids).toEqual(free.ids);
    expect(accepted).toEqual(ids);
  });

  it('ends the answer with what the constraint throws, and harms no other', async () => {
    const constraint = {
      nextMask: () => undefined,
      accept: () => {
        throw new RangeError('not in the grammar');
      },
    };
    const prompt = await engine.prompts.fromMessages(HELLO);
    await expect(drain(engine.answer(prompt, { temperature: 0 }, { constraint }))).rejects.toThrow(
      'not in the grammar',
    );
    expect((await complete(HELLO, { max_tokens: 2 })).usage.completion_tokens).toBe(2);
  });
});

describe('stopping', () => {
  afterEach(() => vi.restoreAllMocks());

  let whole: string;
  beforeAll(async () => {
    whole = (await complete(HELLO)).choices[0].message.content;
  });
  const expectRight = async (): Promise<void> =>
    expect((await complete(HELLO)).choices[0].message.content).toBe(whole);

  it('ends the work when the reader leaves the stream', async () => {
    const stream = await engine.chat.completions.create({ messages: SETTINGS, temperature: 0, stream: true });
    for await (const { choices } of stream) if (choices[0]?.delta.content) break;
    await expectRight();
  });

  it('ends the work when the reader leaves before the first token', async () => {
    const stream = await engine.chat.completions.create({ messages: SETTINGS, temperature: 0, stream: true });
    for await (const chunk of stream) {
      expect(chunk.choices[0].delta.role).toBe('assistant');
      break;
    }
    await expectRight();
  });

  it.each(['first', 'last'])(
    'throws the abort in prefill, in the %s chunk, and keeps nothing wrong',
    async (which) => {
      const controller = new AbortController();
      const long = Array.from({ length: 30 }, (_, index) => `Step ${index}.`).join(' ');
      const messages: ChatMessage[] = [SYSTEM, { role: 'user', content: long }];
      const expected = await answer(await fresh(), messages);
      const prompt = await engine.prompts.fromMessages(messages);
      const total = prompt.tokenIds.length;
      expect(total).toBeGreaterThan(2 * SHORT_CHUNK);
      const { device, text } = engine.model;
      // Several chunks also on a GPU, which else takes the prompt at once.
      vi.spyOn(text.pace, 'most').mockReturnValue(SHORT_CHUNK);
      // With the chunk, not by a clock: a fast GPU would be done before it rings.
      const createRecorder = device.createRecorder.bind(device);
      const ends: number[] = [];
      vi.spyOn(device, 'createRecorder').mockImplementation((label) => {
        const end = Number(/^prefill .*\.\.(\d+)$/.exec(label)?.[1]);
        if (end) ends.push(end);
        if (end && (which === 'first' || end === total)) controller.abort();
        return createRecorder(label);
      });
      const running = drain(engine.answer(prompt, { temperature: 0 }, { signal: controller.signal }));
      await expect(running).rejects.toSatisfy(isAbortError);
      vi.restoreAllMocks();
      if (which === 'first') expect(ends).toHaveLength(1);
      else expect(ends.length).toBeGreaterThan(1);
      // The chunks that were computed are kept, and are right.
      const again = await answer(engine, messages);
      expect(again.ids).toEqual(expected.ids);
      expect(again.summary.cachedTokens).toBe(Math.min(ends.at(-1)!, total - 1));
      await expectRight();
    },
  );

  it('throws the abort in decode', async () => {
    const controller = new AbortController();
    const stream = await engine.chat.completions.create(
      { messages: SETTINGS, temperature: 0, stream: true },
      { signal: controller.signal },
    );
    const read = async (): Promise<void> => {
      for await (const { choices } of stream) if (choices[0]?.delta.content) controller.abort();
    };
    await expect(read()).rejects.toSatisfy(isAbortError);
    await expectRight();
  });

  it('gives up waiting for its turn without disturbing the one that runs', async () => {
    const controller = new AbortController();
    const running = complete(HELLO);
    const waiting = engine.chat.completions.create(
      { messages: SETTINGS, temperature: 0 },
      { signal: controller.signal },
    );
    controller.abort();
    await expect(waiting).rejects.toSatisfy(isAbortError);
    expect((await running).choices[0].message.content).toBe(whole);
  });

  it('does not begin for a signal that was aborted before', async () => {
    const options = { signal: AbortSignal.abort() };
    await expect(
      engine.chat.completions.create({ messages: HELLO, temperature: 0 }, options),
    ).rejects.toSatisfy(isAbortError);
    await expectRight();
  });
});

/** A second engine that has seen nothing but what `answer` gives it. */
let second: LocalEngine | undefined;
afterAll(() => second?.unload());
async function fresh(): Promise<LocalEngine> {
  second ??= await load();
  // What it has seen before shares no more than the first words with the tests' prompts.
  await drain(second.answer(second.prompts.fromText('x'), { max_tokens: 1 }));
  return second;
}

describe('reuse of the KV cache', () => {
  const first = (): ChatMessage[] => [
    SYSTEM,
    { role: 'user', content: [picture, { type: 'text', text: 'Open Maps' }] },
  ];

  async function expectReuse(messages: readonly ChatMessage[], leastCached: number): Promise<void> {
    const expected = await answer(await fresh(), messages);
    expect(expected.summary.cachedTokens).toBeLessThan(3);
    const actual = await answer(engine, messages);
    expect(actual.ids).toEqual(expected.ids);
    expect(actual.summary.cachedTokens).toBeGreaterThanOrEqual(leastCached);
    expect(actual.summary.promptTokens).toBe(expected.summary.promptTokens);
  }

  it('regenerates from the last token alone', async () => {
    const { summary } = await answer(engine, first());
    await expectReuse(first(), summary.promptTokens - 1);
  });

  it('goes on after an answer from what the slot holds', async () => {
    const { text, summary } = await answer(engine, first());
    const next: ChatMessage[] = [
      ...first(),
      { role: 'assistant', content: text },
      { role: 'user', content: 'And now go back.' },
    ];
    await expectReuse(next, summary.promptTokens);
  });

  it('keeps what lies before the picture when it is taken out of the history', async () => {
    const { text } = await answer(engine, first());
    const next: ChatMessage[] = [
      SYSTEM,
      { role: 'user', content: 'Open Maps' },
      { role: 'assistant', content: text },
      { role: 'user', content: [otherPicture, { type: 'text', text: 'Go on.' }] },
    ];
    const shared = engine.texts.tokenizer!.encodeChat([SYSTEM]).ids.length;
    await expectReuse(next, shared);
  });

  it('does not take one picture for another of the same size', async () => {
    await answer(engine, first());
    const other: ChatMessage[] = [
      SYSTEM,
      { role: 'user', content: [otherPicture, { type: 'text', text: 'Open Maps' }] },
    ];
    const prompt = await engine.prompts.fromMessages(other);
    const expected = await answer(await fresh(), other);
    const actual = await answer(engine, other);
    expect(actual.ids).toEqual(expected.ids);
    expect(actual.summary.cachedTokens).toBe(prompt.images[0].start);
  });

  it('encodes the same picture once', async () => {
    await answer(engine, first());
    await answer(engine, HELLO, 1);
    const { summary } = await answer(engine, first());
    expect(summary.timings.visionMs).toBeLessThan(5);
  });
});

describe('rankPrompt', () => {
  it('ranks every position, and leaves an answer that equals one without it', async () => {
    const expected = await answer(await fresh(), SETTINGS);
    const prompt = await engine.prompts.fromMessages(SETTINGS);
    const ranked = await engine.rankPrompt(prompt, 2);
    expect(ranked).toHaveLength(prompt.tokenIds.length);
    expect(ranked.every((row) => row.length === 2 && row[0].logprob >= row[1].logprob)).toBe(true);
    expect(ranked.at(-1)?.[0].id).toBe(expected.ids[0]);
    expect((await answer(engine, SETTINGS)).ids).toEqual(expected.ids);
  });

  it.each([[0], [21], [1.5]])('refuses to rank %d continuations', async (K) => {
    const prompt = await engine.prompts.fromMessages(HELLO);
    await expect(engine.rankPrompt(prompt, K)).rejects.toMatchObject({
      code: 'request-invalid',
      value: K,
      limit: '1 to 20',
    });
  });
});

describe('unload', () => {
  afterEach(() => vi.restoreAllMocks());

  it('ends what runs and what waits, frees the GPU, and refuses later calls', async () => {
    const doomed = await fresh();
    const { device } = doomed.model;
    // What comes from the device is held back until the end: a fast GPU would have answered both before.
    let letGo!: () => void;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    const read = device.read.bind(device);
    const reads = vi.spyOn(device, 'read').mockImplementation(async (...range) => {
      const bytes = await read(...range);
      await held;
      return bytes;
    });
    const request = { messages: HELLO, temperature: 0, ignore_eos: true } as const;
    const running = doomed.chat.completions.create(request);
    const waiting = doomed.chat.completions.create(request);
    const outcomes = Promise.allSettled([running, waiting]);
    await vi.waitFor(() => expect(reads).toHaveBeenCalled(), { timeout: 60_000 });
    expect(doomed.load).toEqual({ waiting: 1, active: 1 });
    expect(device.allocatedBytes).toBeGreaterThan(0);
    const unloading = doomed.unload();
    letGo();
    await unloading;
    const unloaded = { code: 'engine-unloaded', cure: 'Create a new one.' };
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: unloaded });
    }
    expect(device.allocatedBytes).toBe(0);
    await expect(doomed.chat.completions.create(request)).rejects.toMatchObject(unloaded);
    await doomed.unload();
  });
});
