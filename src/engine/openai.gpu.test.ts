/** The OpenAI surface on the embedded model: forms of answers, functions, thinking, several choices, completions. */
import { Ajv2020, type AnySchema } from 'ajv/dist/2020.js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EMBEDDED_MODEL } from './embedded-model.test-support.ts';
import suite from './grammar/json-schema-suite.json' with { type: 'json' };
import type { LocalEngine } from './local-engine.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  JsonSchema,
  Tool,
  ToolCall,
} from './openai.ts';
import { toOpenAIError } from './openai-errors.ts';
import { openNodeEngine } from './open-node-engine.ts';

const HELLO: ChatMessage[] = [{ role: 'user', content: 'Open the settings.' }];
const WEATHER: Tool = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'Weather of a city.',
    parameters: {
      type: 'object',
      properties: { city: { enum: ['B', '京'] }, days: { type: 'integer', minimum: 1, maximum: 9 } },
      required: ['city', 'days'],
    },
  },
};
const CLOCK: Tool = { type: 'function', function: { name: 'time' } };

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openNodeEngine({
    model: EMBEDDED_MODEL,
    contextWindow: 512,
    device: { toggles: ['disable_workgroup_init'] },
  });
});
afterAll(() => engine?.unload());

type Fields = Partial<Omit<ChatCompletionRequest, 'stream'>>;

function complete(fields: Fields): Promise<ChatCompletion> {
  return engine.chat.completions.create({ messages: HELLO, temperature: 0, max_tokens: 60, ...fields });
}

async function stream(fields: Fields): Promise<ChatCompletionChunk[]> {
  const chunks: ChatCompletionChunk[] = [];
  const request = { messages: HELLO, temperature: 0, max_tokens: 60, ...fields, stream: true } as const;
  for await (const chunk of await engine.chat.completions.create(request)) chunks.push(chunk);
  return chunks;
}

/** What a client makes of a stream: the message of each choice. */
function assemble(chunks: readonly ChatCompletionChunk[], index = 0) {
  const message = { content: '', reasoning: '', calls: [] as ToolCall[], finish: '' };
  for (const choice of chunks.flatMap(({ choices }) => choices)) {
    if (choice.index !== index) continue;
    message.content += choice.delta.content ?? '';
    message.reasoning += choice.delta.reasoning_content ?? '';
    message.finish = choice.finish_reason ?? message.finish;
    for (const call of choice.delta.tool_calls ?? []) {
      const known = message.calls[call.index];
      const text = (known?.function.arguments ?? '') + call.function.arguments;
      message.calls[call.index] = {
        id: known?.id ?? (call.id as string),
        type: 'function',
        function: { name: known?.function.name ?? (call.function.name as string), arguments: text },
      };
    }
  }
  return message;
}

describe('response_format', () => {
  const schema = {
    type: 'object',
    properties: { name: { enum: ['x', '点'] }, on: { type: 'boolean' }, size: { enum: [1, 22] } },
    required: ['name', 'on'],
    additionalProperties: false,
  };

  it('holds an answer to a schema, however hot it is sampled', async () => {
    const validate = new Ajv2020().compile(schema);
    for (const seed of [1, 2]) {
      const { choices } = await complete({
        temperature: 2,
        seed,
        response_format: { type: 'json_schema', json_schema: { name: 's', schema, strict: true } },
      });
      expect(choices[0].finish_reason).toBe('stop');
      expect(validate(JSON.parse(choices[0].message.content))).toBe(true);
    }
  });

  it.each<[ChatCompletionRequest['response_format'], RegExp]>([
    [{ type: 'regex', regex: '(on|off) [0-9]{3}' }, /^(on|off) \d{3}$/],
    [{ type: 'grammar', grammar: 'root ::= "tap " [a-f] [a-f]' }, /^tap [a-f]{2}$/],
    [
      { type: 'structural_tag', structural_tag: { format: { type: 'const_string', value: 'Hello <b>!' } } },
      /^Hello <b>!$/,
    ],
    [{ type: 'json_object', schema: '{"enum": ["aaaa", "bbbb"]}' }, /^"(aaaa|bbbb)"$/],
  ])('holds an answer to %j, streamed or not', async (response_format, form) => {
    const whole = await complete({ response_format, temperature: 1.5, seed: 7 });
    expect(whole.choices[0].message.content).toMatch(form);
    const streamed = assemble(await stream({ response_format, temperature: 1.5, seed: 7 }));
    expect(streamed.content).toBe(whole.choices[0].message.content);
    expect(streamed.finish).toBe('stop');
  });

  it('names the field of a form that cannot be enforced, and goes on', async () => {
    const error = await complete({ response_format: { type: 'regex', regex: '(?=a)b' } }).catch(
      toOpenAIError,
    );
    expect(error).toMatchObject({
      status: 400,
      body: { error: { param: 'response_format', code: 'invalid_value' } },
    });
    await expect(stream({ response_format: { type: 'grammar', grammar: 'x ::= ' } })).rejects.toThrow(
      /Cannot enforce/,
    );
    expect(
      (await complete({ response_format: { type: 'regex', regex: 'ok' } })).choices[0].message.content,
    ).toBe('ok');
  });

  it('applies bias, penalties and log-probabilities beside a form', async () => {
    const plain = await complete({
      response_format: { type: 'regex', regex: '[ab]' },
      logprobs: true,
      top_logprobs: 20,
    });
    const [token] = plain.choices[0].logprobs?.content ?? [];
    expect(token.top_logprobs).toHaveLength(20);
    expect(new TextDecoder().decode(Uint8Array.from(token.bytes))).toBe(token.token);
    const other = await complete({
      response_format: { type: 'regex', regex: '[ab]' },
      logit_bias: { [token.token_id]: -100 },
    });
    expect(`${plain.choices[0].message.content}${other.choices[0].message.content}`).toMatch(/^(ab|ba)$/);
  });
});

describe('schemas of the official suite', () => {
  const all = suite.schemas as [string, JsonSchema][];
  const isWhole = process.env['AUTOGLM_SCHEMA_SUITE'] === 'all';
  const chosen = isWhole ? all : all.filter((_, index) => index % 15 === 1);
  const MOST_TRIES = 12;

  /** A hot small model may write a string without end: then another seed. */
  async function answer(schema: JsonSchema): Promise<{ text: string; tries: number } | undefined> {
    for (let tries = 1; tries <= MOST_TRIES; tries++) {
      const { choices } = await complete({
        temperature: 2,
        seed: tries,
        max_tokens: 80,
        response_format: { type: 'json_schema', json_schema: { name: 's', schema, strict: true } },
      });
      if (choices[0]?.finish_reason === 'stop') return { text: choices[0].message.content, tries };
    }
    return undefined;
  }

  it(
    `give valid JSON at temperature 2, ${chosen.length} of ${all.length}`,
    { timeout: 3_600_000 },
    async () => {
      let tries = 0;
      for (const [name, schema] of chosen) {
        const validate = new Ajv2020({ strict: false }).compile(schema as AnySchema);
        const written = await answer(schema);
        if (!written) expect.fail(`${name}: no answer ended in ${MOST_TRIES} tries`);
        expect([name, written.text, validate(JSON.parse(written.text))]).toEqual([name, written.text, true]);
        tries += written.tries;
      }
      if (isWhole)
        console.info(`${chosen.length} schemas valid, ${tries} answers of which the rest did not end`);
    },
  );
});

describe('tools', () => {
  it('calls the named function with arguments of its schema, in deltas that a client can put together', async () => {
    const tool_choice = { type: 'function', function: { name: 'weather' } } as const;
    const request = {
      tools: [CLOCK, WEATHER],
      tool_choice,
      temperature: 1.5,
      seed: 3,
      max_tokens: 120,
    } as const;
    const { choices } = await complete(request);
    expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: '' } });
    const [call] = choices[0].message.tool_calls ?? [];
    expect(call).toMatchObject({ type: 'function', id: expect.stringMatching(/^call_/) as string });
    expect(call.function.name).toBe('weather');
    const values = JSON.parse(call.function.arguments) as { city: string; days: number };
    expect(['B', '京']).toContain(values.city);
    expect(values.days).toBeGreaterThan(0);

    const chunks = await stream(request);
    const streamed = assemble(chunks);
    expect(streamed).toMatchObject({ content: '', finish: 'tool_calls' });
    expect(streamed.calls.map((one) => one.function)).toEqual([call.function]);
    const deltas = chunks.flatMap(({ choices: [choice] }) => choice?.delta.tool_calls ?? []);
    expect(deltas.length).toBeGreaterThan(3);
    expect(deltas.filter(({ id }) => id !== undefined)).toHaveLength(1);
  });

  it('calls one function or more where it must, and one at most where it may not call several', async () => {
    const { choices } = await complete({
      tools: [CLOCK],
      tool_choice: 'required',
      parallel_tool_calls: false,
      temperature: 1,
      seed: 1,
    });
    expect(choices[0].finish_reason).toBe('tool_calls');
    expect(choices[0].message.tool_calls?.map((call) => call.function)).toEqual([
      { name: 'time', arguments: '{}' },
    ]);
  });

  it('answers in words where it may, and a long call says that it was cut', async () => {
    const words = await complete({ tools: [CLOCK], max_tokens: 6 });
    expect(words.choices[0].message.tool_calls).toBeUndefined();
    expect(words.choices[0].message.content).not.toBe('');
    const cut = await complete({ tools: [WEATHER], tool_choice: 'required', max_tokens: 18 });
    expect(cut.choices[0].finish_reason).toBe('length');
  });

  it('takes a conversation with calls and results', async () => {
    const call: ToolCall = { id: 'a', type: 'function', function: { name: 'time', arguments: '{}' } };
    const messages: ChatMessage[] = [
      ...HELLO,
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'a', content: '12:00' },
    ];
    const { usage } = await complete({ messages, tools: [CLOCK], max_tokens: 3 });
    expect(usage.prompt_tokens).toBeGreaterThan(await engine.countTokens(HELLO));
    expect(await engine.countTokens(messages)).toBeLessThan(usage.prompt_tokens);
  });
});

describe('reasoning_format', () => {
  it('gives the thinking apart, drops it, or leaves all as it was written', async () => {
    const raw = (await complete({})).choices[0].message.content;
    const [, thinking, answer] =
      /^<think>(.*)<\/think><answer>(.*?)(?:<\/answer>)?$/s.exec(raw) ?? expect.fail(raw);
    const parsed = await complete({ reasoning_format: 'parsed' });
    expect(parsed.choices[0].message).toMatchObject({ content: answer, reasoning_content: thinking });
    expect(parsed.usage.completion_tokens_details?.reasoning_tokens).toBeGreaterThan(0);
    const hidden = await complete({ reasoning_format: 'hidden' });
    expect(hidden.choices[0].message).toEqual({ role: 'assistant', content: answer, refusal: null });
    const streamed = assemble(await stream({ reasoning_format: 'parsed' }));
    expect(streamed).toMatchObject({ content: answer, reasoning: thinking, finish: 'stop' });
  });
});

describe('n', () => {
  it('gives the answers of as many seeds, streamed or not, and counts the prompt once', async () => {
    const request = { temperature: 1.5, max_tokens: 6, seed: 40 };
    const alone: string[] = [];
    for (const seed of [40, 41, 42, 43]) {
      alone.push((await complete({ ...request, seed })).choices[0].message.content);
    }
    const { choices, usage } = await complete({ ...request, n: 4 });
    expect(choices.map(({ index, message }) => [index, message.content])).toEqual([...alone.entries()]);
    expect(usage.completion_tokens).toBeLessThanOrEqual(24);
    expect(usage.prompt_tokens).toBe(await engine.countTokens(HELLO));
    const chunks = await stream({ ...request, n: 4, stream_options: { include_usage: true } });
    expect(alone.map((_, index) => assemble(chunks, index).content)).toEqual(alone);
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { completion_tokens: usage.completion_tokens },
    });
  });

  it('stops all of them when the reader leaves', async () => {
    const request = { messages: HELLO, ignore_eos: true, n: 3, stream: true } as const;
    for await (const chunk of await engine.chat.completions.create(request)) {
      if (chunk.choices[0]?.delta.content) break;
    }
    expect((await complete({ max_tokens: 2 })).usage.completion_tokens).toBe(2);
  });
});

describe('continue_final_message', () => {
  it('goes on with the text that the answer begins with', async () => {
    const whole = (await complete({ max_tokens: 12 })).choices[0].message.content;
    const begun = whole.slice(0, '<think>'.length);
    const { choices } = await complete({
      messages: [...HELLO, { role: 'assistant', content: begun }],
      continue_final_message: true,
      max_tokens: 11,
    });
    expect(begun + choices[0].message.content).toBe(whole);
  });
});

describe('setLogitProcessor', () => {
  afterEach(() => engine.setLogitProcessor(undefined));

  it('has every token chosen from the logits that it gives back, one answer after the other', async () => {
    const plain = await complete({ max_tokens: 4 });
    const wanted = [100, 7, 1999];
    const seen: number[] = [];
    let calls = 0;
    engine.setLogitProcessor({
      processLogits: (logits) => {
        expect(logits.length).toBe(engine.texts.config.text.V);
        expect(logits.every(Number.isFinite)).toBe(true);
        return logits.fill(-100).fill(100, wanted[calls % 3] as number, (wanted[calls++ % 3] as number) + 1);
      },
      processSampledToken: (token) => void seen.push(token),
    });
    const request = { temperature: 1, max_tokens: 3, ignore_eos: true, n: 2, logprobs: true };
    const { choices } = await complete(request);
    const ids = choices.map(({ logprobs }) => logprobs?.content.map(({ token_id: id }) => id));
    expect(ids).toEqual([wanted, wanted]);
    expect(seen).toEqual([...wanted, ...wanted]);
    // A form still holds: what it forbids stays forbidden.
    engine.setLogitProcessor({
      processLogits: (logits) => logits.map((one) => -one),
      processSampledToken() {},
    });
    const formed = await complete({ response_format: { type: 'regex', regex: 'on|off' } });
    expect(formed.choices[0]?.message.content).toMatch(/^(on|off)$/);
    engine.setLogitProcessor({ processLogits: () => new Float32Array(3), processSampledToken() {} });
    await expect(complete({})).rejects.toMatchObject({ code: 'request-invalid', value: 3 });
    engine.setLogitProcessor(undefined);
    expect((await complete({ max_tokens: 4 })).choices).toEqual(plain.choices);
  });
});

describe('completions', () => {
  it('completes text and ids, with echo and log-probabilities', async () => {
    const prompt = 'The phone';
    const { choices, usage } = await engine.completions.create({
      prompt,
      max_tokens: 5,
      temperature: 0,
      echo: true,
      logprobs: 2,
    });
    expect(choices[0].text.startsWith(prompt)).toBe(true);
    expect(choices[0].finish_reason).toBe('length');
    const {
      tokens,
      token_logprobs: values,
      top_logprobs: top,
      text_offset: offsets,
    } = choices[0].logprobs ?? {};
    expect([tokens?.length, values?.length, top?.length, offsets?.[0]]).toEqual([5, 5, 5, prompt.length]);
    expect(Object.keys(top?.[0] ?? {})).toHaveLength(2);
    const ids = engine.texts.tokenizer?.encode(prompt) as number[];
    expect(usage?.prompt_tokens).toBe(ids.length);
    const same = await engine.completions.create({ prompt: ids, max_tokens: 5, temperature: 0 });
    expect(prompt + same.choices[0].text).toBe(choices[0].text);
  });

  it('streams several prompts and choices as it gives them whole', async () => {
    const request = { prompt: ['A', 'B'], n: 2, max_tokens: 3, temperature: 1, seed: 5 };
    const whole = await engine.completions.create(request);
    const texts = ['', '', '', ''];
    let total = 0;
    const chunks = await engine.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const { choices, usage } of chunks) {
      for (const { index, text } of choices) texts[index] += text;
      total = usage?.total_tokens ?? total;
    }
    expect(texts).toEqual(whole.choices.map(({ text }) => text));
    expect(total).toBe(whole.usage?.total_tokens);
  });

  it('holds a completion to a form', async () => {
    const { choices } = await engine.completions.create({
      prompt: 'x',
      temperature: 2,
      response_format: { type: 'regex', regex: '[0-9]{4}' },
    });
    expect(choices[0].text).toMatch(/^\d{4}$/);
  });
});
