/**
 * Other people's interfaces on the embedded model: the official OpenAI client, the AI SDK and the Prompt API. What the
 * last must do follows the Prompt API's explainer and the behaviour that the web platform tests describe.
 */
import { generateText, jsonSchema, Output, streamText, tool } from 'ai';
import sharp from 'sharp';
import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAutoglmModel } from './ai-sdk/index.ts';
import { EMBEDDED_MODEL } from './embedded-model.test-support.ts';
import type { CallOptions } from './engine.ts';
import type { LocalEngine } from './local-engine.ts';
import type { ChatCompletionRequest } from './openai.ts';
import { createOpenAIFetch } from './openai-fetch.ts';
import { openNodeEngine } from './open-node-engine.ts';
import {
  createLanguageModelClass,
  installLanguageModel,
  type LanguageModelSession,
} from './prompt-api/index.ts';

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openNodeEngine({
    model: EMBEDDED_MODEL,
    contextWindow: 512,
    device: { toggles: ['disable_workgroup_init'] },
  });
});
afterAll(() => engine?.unload());

/** The smallest picture that is not enlarged: 16 tokens. */
async function createPicture(): Promise<Uint8Array<ArrayBuffer>> {
  const picture = sharp({ create: { width: 112, height: 112, channels: 3, background: '#2a6fdb' } });
  return Uint8Array.from(await picture.png().toBuffer());
}

const MESSAGES = [{ role: 'user' as const, content: 'Open the settings.' }];

describe('the official OpenAI client', () => {
  let client: OpenAI;
  beforeAll(() => {
    client = new OpenAI({
      apiKey: 'none',
      baseURL: 'http://engine/v1',
      fetch: createOpenAIFetch(engine),
      maxRetries: 0,
    });
  });
  const model = 'autoglm-tiny-q4f16_1';

  it('lists the model, completes, streams and counts', async () => {
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual([model]);
    expect((await client.models.retrieve(model)).owned_by).toBe('autoglm-web');
    const request = { model, messages: MESSAGES, max_completion_tokens: 4, temperature: 0 };
    const whole = await client.chat.completions.create(request);
    let text = '';
    let total = 0;
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const { choices, usage } of stream) {
      text += choices[0]?.delta.content ?? '';
      total = usage?.total_tokens ?? total;
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(total).toBe(whole.usage?.total_tokens);
    const completion = await client.completions.create({ model, prompt: 'A', max_tokens: 2, temperature: 0 });
    expect(completion.usage?.completion_tokens).toBe(2);
  });

  it('puts streamed calls of functions together, and parses an answer of a schema', async () => {
    const runner = client.chat.completions.stream({
      model,
      messages: MESSAGES,
      tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }],
      tool_choice: { type: 'function', function: { name: 'f' } },
    });
    const { choices } = await runner.finalChatCompletion();
    expect(choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: { name: 'f', arguments: '{}' } });
    const { choices: parsed } = await client.chat.completions.parse({
      model,
      messages: MESSAGES,
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 's',
          strict: true,
          schema: { type: 'object', properties: { a: { enum: [1] } }, required: ['a'] },
        },
      },
    });
    expect(JSON.parse(parsed[0]?.message.content ?? '')).toEqual({ a: 1 });
  });

  it('throws its own errors, before a stream and in it', async () => {
    const refused = { model, messages: MESSAGES, temperature: 9 };
    await expect(client.chat.completions.create(refused)).rejects.toThrow(BadRequestError);
    await expect(client.chat.completions.create({ ...refused, stream: true })).rejects.toThrow(
      BadRequestError,
    );
    await expect(client.chat.completions.create({ ...refused, model: 'gpt' })).rejects.toThrow(NotFoundError);
    await expect(client.embeddings.create({ model, input: 'x' })).rejects.toThrow(NotFoundError);
  });

  it('stops the engine when a stream is left or aborted', async () => {
    const stream = await client.chat.completions.create({ model, messages: MESSAGES, stream: true });
    for await (const _ of stream) break;
    const controller = new AbortController();
    const aborted = client.chat.completions.create(
      { model, messages: MESSAGES, stream: true },
      { signal: controller.signal },
    );
    controller.abort();
    await expect(aborted).rejects.toThrow('Request was aborted.');
    expect((await engine.completions.create({ prompt: 'A', max_tokens: 1 })).usage?.completion_tokens).toBe(
      1,
    );
  });
});

describe('the AI SDK', () => {
  const createModel = () => createAutoglmModel(engine);

  it('generates and streams text with the thinking apart', async () => {
    const options = {
      model: createModel(),
      prompt: 'Open the settings.',
      temperature: 0,
      maxOutputTokens: 60,
    };
    const whole = await generateText(options);
    expect(whole.text).not.toContain('<');
    expect(whole.reasoningText).not.toBe('');
    expect(whole.finishReason).toBe('stop');
    expect(whole.usage.inputTokens).toBeGreaterThan(0);
    const streamed = streamText(options);
    let text = '';
    for await (const piece of streamed.textStream) text += piece;
    expect(text).toBe(whole.text);
    expect(await streamed.reasoningText).toBe(whole.reasoningText);
    expect((await streamed.usage).outputTokens).toBe(whole.usage.outputTokens);
  });

  it('generates objects of a schema', async () => {
    const schema = jsonSchema<{ on: boolean }>({
      type: 'object',
      properties: { on: { type: 'boolean' } },
      required: ['on'],
      additionalProperties: false,
    });
    const { output } = await generateText({
      model: createModel(),
      prompt: 'x',
      output: Output.object({ schema }),
    });
    expect(typeof output.on).toBe('boolean');
  });

  it('calls functions and goes on with their results', async () => {
    const inputs: unknown[] = [];
    const result = streamText({
      model: createModel(),
      prompt: 'x',
      temperature: 0,
      maxOutputTokens: 80,
      tools: {
        f: tool({
          description: 'f',
          inputSchema: jsonSchema<{ a: string }>({
            type: 'object',
            properties: { a: { enum: ['p', 'q'] } },
            required: ['a'],
          }),
          execute: async (input) => (inputs.push(input), 'done'),
        }),
      },
      toolChoice: { type: 'tool', toolName: 'f' },
    });
    const kinds = new Set<string>();
    for await (const { type } of result.fullStream) kinds.add(type);
    expect([...kinds]).toEqual(
      expect.arrayContaining(['tool-input-start', 'tool-input-delta', 'tool-call', 'tool-result', 'finish']),
    );
    expect(inputs).toEqual([{ a: expect.stringMatching(/^[pq]$/) as string }]);
    expect((await result.steps).map(({ finishReason }) => finishReason)[0]).toBe('tool-calls');
  });

  it('sends pictures and stops when it is aborted', async () => {
    const image = await createPicture();
    const { usage } = await generateText({
      model: createModel(),
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image', image },
            { type: 'text', text: 'x' },
          ],
        },
      ],
      maxOutputTokens: 1,
    });
    expect(usage.inputTokens).toBeGreaterThan(16);
    const controller = new AbortController();
    const aborted = generateText({ model: createModel(), prompt: 'x', abortSignal: controller.signal });
    controller.abort();
    await expect(aborted).rejects.toThrow(/abort/i);
  });
});

describe('the Prompt API', () => {
  const LanguageModel = createLanguageModelClass({
    createEngine: async ({ onProgress }) => {
      onProgress({ phase: 'downloading', loadedBytes: 1, totalBytes: 4, bytesPerSecond: 0 });
      return engine;
    },
  });
  const QUICK = { temperature: 0, topK: 1 };

  it('tells of the download, first and last without fail, and is available then', async () => {
    expect(await LanguageModel.availability({ expectedInputs: [{ type: 'audio' }] })).toBe('unavailable');
    expect(await LanguageModel.availability({ expectedOutputs: [{ type: 'text', languages: ['fr'] }] })).toBe(
      'unavailable',
    );
    const seen: number[] = [];
    const session = await LanguageModel.create({
      monitor: (monitor) =>
        monitor.addEventListener('downloadprogress', (event) => seen.push((event as ProgressEvent).loaded)),
    });
    expect([seen[0], seen.at(-1)]).toEqual([0, 1]);
    expect(session).toBeInstanceOf(LanguageModel);
    expect(
      await LanguageModel.availability({ expectedInputs: [{ type: 'image', languages: ['zh-CN'] }] }),
    ).toBe('available');
  });

  it('counts initial prompts as it measures them, and each turn as it is said', async () => {
    const initialPrompts = [{ role: 'system', content: 'Be brief.' }] as const;
    const session = await LanguageModel.create({ ...QUICK, initialPrompts });
    expect(session.contextUsage).toBe(await session.measureContextUsage(initialPrompts));
    expect(session.inputUsage).toBe(session.contextUsage);
    expect(session.contextWindow).toBe(512);
    const before = session.contextUsage;
    await session.append('And friendly.');
    expect(session.contextUsage).toBeGreaterThan(before);
  });

  it('answers whole and streamed alike, goes on from clones, and keeps them apart', async () => {
    const session = await LanguageModel.create({
      ...QUICK,
      initialPrompts: [{ role: 'user', content: 'Hi' }],
    });
    const clone = await session.clone();
    const text = await session.prompt('Open the settings.');
    let streamed = '';
    for await (const piece of clone.promptStreaming('Open the settings.')) streamed += piece;
    expect(streamed).toBe(text);
    expect(clone.contextUsage).toBe(session.contextUsage);
    const third = await session.clone();
    expect(third.contextUsage).toBe(session.contextUsage);
  });

  it('holds answers to schemas and regular expressions', async () => {
    const session = await LanguageModel.create({ temperature: 1.5, topK: 100 });
    const circular: { self?: object } = {};
    circular.self = circular;
    for (const responseConstraint of [circular, { type: 'objekt' }]) {
      const refused = session.prompt('x', { responseConstraint });
      await expect(refused).rejects.toMatchObject({ name: 'NotSupportedError' });
    }
    expect(await session.prompt('x', { responseConstraint: /on|off/ })).toMatch(/^(on|off)$/);
    const schema = { type: 'object', properties: { a: { enum: ['b'] } }, required: ['a'] };
    expect(JSON.parse(await session.prompt('x', { responseConstraint: schema }))).toEqual({ a: 'b' });
    const whole = await session.measureContextUsage('x', { responseConstraint: schema });
    const bare = await session.measureContextUsage('x', {
      responseConstraint: schema,
      omitResponseConstraintInput: true,
    });
    expect(whole).toBeGreaterThan(bare);
  });

  it('takes a system prompt as the first message alone', async () => {
    const system = { role: 'system', content: 'Be brief.' } as const;
    const user = { role: 'user', content: 'x' } as const;
    for (const initialPrompts of [
      [user, system],
      [system, system, user],
    ]) {
      await expect(LanguageModel.create({ initialPrompts })).rejects.toThrow(TypeError);
    }
    const session = await LanguageModel.create(QUICK);
    await expect(session.prompt([user, system])).rejects.toThrow(TypeError);
    // One that is said first comes first: the second finds it there.
    const first = session.append([system]);
    await expect(session.append([system])).rejects.toThrow(TypeError);
    await first;
    await expect(session.prompt([system])).rejects.toThrow(TypeError);
  });

  it('takes what is no list of messages for a text, as the platform does', async () => {
    const session = await LanguageModel.create(QUICK);
    const sizes = await Promise.all(
      [null, undefined, {}, [], [{ role: 'user', content: [] }]].map((input) =>
        session.measureContextUsage(input as never),
      ),
    );
    expect(sizes[0]).toBe(await session.measureContextUsage('null'));
    expect(sizes[2]).toBe(await session.measureContextUsage('[object Object]'));
    expect(sizes[3]).toBe(0);
    expect(sizes[4]).toBe(await session.measureContextUsage(''));
    const options = { responseConstraint: /ok/, omitResponseConstraintInput: true };
    expect(await session.prompt([], options)).toBe('ok');
  });

  it('refuses options that the API refuses, in its own errors', async () => {
    const execute = () => Promise.resolve('');
    const lookup = { name: 'f', description: 'f', inputSchema: { type: 'object' }, execute };
    const expectations: [object, object | (abstract new (...args: never[]) => Error)][] = [
      [{ topK: 3 }, { name: 'NotSupportedError' }],
      [{ temperature: 0.5 }, { name: 'NotSupportedError' }],
      [{ topK: 3, temperature: -0.5 }, RangeError],
      [{ topK: 0, temperature: 0.5 }, RangeError],
      [{ samplingMode: 'balanced', topK: 1, temperature: 1 }, TypeError],
      [{ expectedInputs: [{ type: 'text', languages: ['en-abc-invalid'] }] }, RangeError],
      [{ expectedInputs: [{ type: 'soup' }] }, TypeError],
      [{ expectedOutputs: [{ type: 'image' }] }, { name: 'NotSupportedError' }],
      [{ tools: [{ ...lookup, name: '' }] }, TypeError],
      [{ tools: [{ ...lookup, description: '' }] }, TypeError],
      [{ tools: [lookup, lookup] }, TypeError],
      [{ tools: [{ ...lookup, inputSchema: null }] }, TypeError],
      [{ tools: [{ ...lookup, inputSchema: {} }] }, TypeError],
      [{ tools: [{ ...lookup, inputSchema: { type: 'object', properties: 'x' } }] }, TypeError],
      [{ tools: [{ ...lookup, inputSchema: { type: 'object', required: 'x' } }] }, TypeError],
      [{ tools: [{ ...lookup, execute: undefined }] }, TypeError],
    ];
    for (const [options, error] of expectations) {
      const refused = LanguageModel.create(options as never);
      if (typeof error === 'function') await expect(refused).rejects.toThrow(error);
      else await expect(refused).rejects.toMatchObject(error);
    }
    const session = await LanguageModel.create({ topK: 1.5, temperature: 0.5 });
    expect([session.topK, session.samplingMode]).toEqual([1, null]);
    for (const samplingMode of ['most-predictable', 'slightly-predictable', 'slightly-creative'] as const) {
      const clone = await (await LanguageModel.create({ samplingMode })).clone();
      expect(clone.samplingMode).toBe(samplingMode);
    }
    expect((await LanguageModel.create()).samplingMode).toBe('balanced');
  });

  it('goes on with the beginning of an answer', async () => {
    const session = await LanguageModel.create(QUICK);
    const text = await session.prompt(
      [
        { role: 'user', content: 'x' },
        { role: 'assistant', content: 'The colour is ', prefix: true },
      ],
      { responseConstraint: /The colour is (red|blue)/ },
    );
    expect(text).toMatch(/^(red|blue)$/);
    const rating = [
      { role: 'user', content: 'x' },
      { role: 'assistant', content: '{ "a": ', prefix: true },
    ] as const;
    const schema = { type: 'object', properties: { a: { enum: [1, 2] } }, required: ['a'] };
    const rest = await session.prompt(rating, { responseConstraint: schema });
    expect(JSON.parse(`{ "a": ${rest}`)).toMatchObject({ a: expect.any(Number) as number });
    await expect(session.prompt(rating, { responseConstraint: /^Greetings/ })).rejects.toMatchObject({
      name: 'NotSupportedError',
    });
    await expect(
      session.prompt([
        { role: 'assistant', content: 'x', prefix: true },
        { role: 'user', content: 'y' },
      ]),
    ).rejects.toThrow(TypeError);
  });

  it('takes pictures where they are expected, and refuses what the API refuses', async () => {
    const value = new Blob([await createPicture()], { type: 'image/png' });
    const input = [{ role: 'user', content: [{ type: 'image', value }] }] as const;
    const blind = await LanguageModel.create(QUICK);
    await expect(blind.prompt(input)).rejects.toMatchObject({ name: 'NotSupportedError' });
    const session = await LanguageModel.create({ ...QUICK, expectedInputs: [{ type: 'image' }] });
    const bytes = [{ role: 'user', content: [{ type: 'image', value: await value.arrayBuffer() }] }] as const;
    expect(await session.measureContextUsage(input)).toBe(await session.measureContextUsage(bytes));
    expect(await session.prompt(input, { responseConstraint: /ok/ })).toBe('ok');
    const broken = [{ role: 'user', content: [{ type: 'image', value: new Uint8Array(9) }] }] as const;
    await expect(session.prompt(broken)).rejects.toMatchObject({ name: 'InvalidStateError' });
    const fromAssistant = [{ role: 'assistant', content: [{ type: 'image', value }] }] as const;
    await expect(session.prompt(fromAssistant)).rejects.toMatchObject({ name: 'NotSupportedError' });
    await expect(session.prompt([{ role: 'user', content: [{ type: 'text', value: 5 }] }])).rejects.toThrow(
      TypeError,
    );
  });

  it('drops the oldest turns when it is full, tells so, and refuses what cannot fit at all', async () => {
    const system = { role: 'system', content: 'Stay.' } as const;
    const session = await LanguageModel.create({ ...QUICK, initialPrompts: [system] });
    const overflows: Event[] = [];
    session.oncontextoverflow = (event) => overflows.push(event);
    const long = 'word '.repeat(60);
    for (let turn = 0; turn < 8 && overflows.length === 0; turn++) await session.append(long);
    expect(overflows).toHaveLength(1);
    expect(session.contextUsage).toBeLessThan(512);
    await expect(session.prompt('word '.repeat(2000))).rejects.toMatchObject({ name: 'QuotaExceededError' });
  });

  it('calls the functions of the page and goes on with what they return', async () => {
    const roles: string[][] = [];
    // The small model never calls by itself: it must, once.
    const completions = {
      create: (request: ChatCompletionRequest, options: CallOptions) => {
        roles.push(request.messages.map(({ role }) => role));
        const tool_choice = request.messages.at(-1)?.role === 'tool' ? 'none' : 'required';
        const asked = { ...request, tool_choice, parallel_tool_calls: false, stream: true } as const;
        return engine.chat.completions.create(
          { ...asked, max_tokens: tool_choice === 'none' ? 3 : 80 },
          options,
        );
      },
    };
    const calling = {
      info: engine.info,
      countTokens: engine.countTokens.bind(engine),
      chat: { completions },
    };
    const Calling = createLanguageModelClass({ createEngine: async () => calling as unknown as LocalEngine });
    const inputs: unknown[] = [];
    const session: LanguageModelSession = await Calling.create({
      ...QUICK,
      tools: [
        {
          name: 'f',
          description: 'f',
          inputSchema: { type: 'object', properties: {} },
          execute: async (input: never) => (inputs.push(input), 'done'),
        },
      ],
    });
    await session.prompt('x');
    expect(inputs).toEqual([{}]);
    expect(roles).toEqual([['user'], ['user', 'assistant', 'tool']]);
  });

  it('ends by signal, by cancelling the stream and by destroy', async () => {
    const session = await LanguageModel.create(QUICK);
    const controller = new AbortController();
    const aborted = session.prompt('x', { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    const reader = session.promptStreaming('x').getReader();
    await reader.read();
    await reader.cancel();
    const running = session.prompt('x');
    session.destroy();
    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
    await expect(session.prompt('x')).rejects.toMatchObject({ name: 'AbortError' });
    await expect(LanguageModel.create({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    });
  });

  // What follows are the rules that the web platform tests of the API hold every method to, in our own words.
  it('rejects with the very reason, pending or new, by the call’s signal, the session’s and destroy', async () => {
    const creating = new AbortController();
    const session = await LanguageModel.create({ ...QUICK, signal: creating.signal });
    const methods = [
      (one: LanguageModelSession, signal?: AbortSignal) => one.prompt('x', signal ? { signal } : {}),
      (one: LanguageModelSession, signal?: AbortSignal) => one.append('x', signal ? { signal } : {}),
      (one: LanguageModelSession, signal?: AbortSignal) => one.clone(signal ? { signal } : {}),
      (one: LanguageModelSession, signal?: AbortSignal) =>
        one.measureContextUsage('x', signal ? { signal } : {}),
    ];
    for (const method of methods) {
      const reason = new Error('test');
      const controller = new AbortController();
      const pending = method(session, controller.signal);
      controller.abort(reason);
      await expect(pending).rejects.toBe(reason);
      await expect(method(session, controller.signal)).rejects.toBe(reason);
    }
    const signal = AbortSignal.abort();
    expect(() => session.promptStreaming('x', { signal })).toThrow(signal.reason as Error);
    const other = await session.clone();
    const error = new Error('The create signal was aborted.');
    const pending = methods.map((method) => method(session));
    creating.abort(error);
    for (const promise of [...pending, ...methods.map((method) => method(session))]) {
      await expect(promise).rejects.toBe(error);
    }
    // A clone is a session of its own.
    const destroyed = methods.map((method) => method(other));
    other.destroy();
    for (const promise of [...destroyed, ...methods.map((method) => method(other))]) {
      await expect(promise).rejects.toMatchObject({ name: 'AbortError' });
    }
  });

  it('tells of a download in rising steps of 1/65536 from 0 to 1, and ends at any of them', async () => {
    const Loading = createLanguageModelClass({
      createEngine: async ({ onProgress }) => {
        for (const loadedBytes of [0, 1, 1, 3, 2, 7]) {
          onProgress({ phase: 'downloading', loadedBytes, totalBytes: 7, bytesPerSecond: 0 });
        }
        return engine;
      },
    });
    const seen: ProgressEvent[] = [];
    await Loading.create({
      monitor: (monitor) =>
        monitor.addEventListener('downloadprogress', (event) => seen.push(event as never)),
    });
    const shares = seen.map(({ loaded }) => loaded);
    expect([shares[0], shares.at(-1), shares.length]).toEqual([0, 1, 4]);
    expect(shares).toEqual(shares.toSorted((a, b) => a - b));
    expect(shares.every((share) => Number.isInteger(share * 65536))).toBe(true);
    expect(seen.every(({ total, lengthComputable }) => total === 1 && lengthComputable)).toBe(true);
    for (const last of [0, 1]) {
      const reason = new Error('test');
      const controller = new AbortController();
      const created = LanguageModel.create({
        signal: controller.signal,
        monitor: (monitor) =>
          monitor.addEventListener('downloadprogress', (event) => {
            if ((event as ProgressEvent).loaded === last) controller.abort(reason);
          }),
      });
      await expect(created).rejects.toBe(reason);
    }
    const fault = new Error('the monitor threw');
    const throwing = () => {
      throw fault;
    };
    await expect(LanguageModel.create({ monitor: throwing })).rejects.toBe(fault);
  });

  it('takes an empty list of parts, and refuses two ways of sampling at once', async () => {
    const session = await LanguageModel.create(QUICK);
    expect(await session.prompt([{ role: 'user', content: [] }], { responseConstraint: /ok/ })).toBe('ok');
    await expect(LanguageModel.create({ ...QUICK, samplingMode: 'creative' })).rejects.toThrow(TypeError);
  });

  it('installs itself where there is none yet', () => {
    const scope = {};
    const source = { createEngine: async () => engine };
    expect(installLanguageModel(source, { scope })).toBe(true);
    expect(scope).toHaveProperty('LanguageModel.create');
    expect(installLanguageModel(source, { scope })).toBe(false);
    expect(installLanguageModel(source, { scope, force: true })).toBe(true);
  });
});
