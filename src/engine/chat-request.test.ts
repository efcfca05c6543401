import { describe, expect, it } from 'vitest';
import { isAutoglmError } from '../base/errors.ts';
import { parseChatRequest } from './chat-request.ts';
import { parseCompletionRequest } from './completion-request.ts';
import type { ChatCompletionRequest, CompletionRequest } from './openai.ts';
import { toOpenAIError } from './openai-errors.ts';

const MODEL = { model: 'tiny' };
const USER = { role: 'user', content: 'Hi' } as const;
const TOOL = {
  type: 'function',
  function: { name: 'f', description: 'Does f.', parameters: { type: 'object', properties: { a: {} } } },
} as const;

const parse = (request: object) =>
  parseChatRequest({ messages: [USER], ...request } as ChatCompletionRequest, MODEL);

/** What OpenAI's client would be told of a request. */
function refusal(run: () => unknown) {
  try {
    run();
  } catch (error) {
    expect(isAutoglmError(error)).toBe(true);
    const { status, body } = toOpenAIError(error);
    return { status, param: body.error.param, code: body.error.code };
  }
  return expect.fail('The request was taken.');
}

describe('parseChatRequest', () => {
  it('takes every field of OpenAI that means something here, and hints that do not', () => {
    const plan = parse({
      model: 'tiny',
      n: 2,
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 5,
      max_completion_tokens: 7,
      logprobs: true,
      top_logprobs: 20,
      user: 'me',
      store: false,
      metadata: { a: 'b' },
      reasoning_effort: 'low',
      service_tier: 'auto',
      modalities: ['text'],
      extra_body: { enable_thinking: true },
      tools: null,
      response_format: null,
    });
    expect(plan).toMatchObject({
      choiceCount: 2,
      stream: true,
      includeUsage: true,
      logprobs: true,
      options: { max_tokens: 7 },
      grammar: undefined,
      form: { hasReasoning: false, hasCalls: false },
    });
  });

  it.each<[object, string, string]>([
    [{ temprature: 1 }, 'temprature', 'unknown_parameter'],
    [{ stream_options: { include_usage: true } }, 'stream_options', 'invalid_value'],
    [{ stream: true, stream_options: { usage: true } }, 'stream_options.usage', 'unknown_parameter'],
    [{ n: 0 }, 'n', 'invalid_value'],
    [{ n: 1.5 }, 'n', 'invalid_type'],
    [{ n: 129 }, 'n', 'invalid_value'],
    [{ stream: 'yes' }, 'stream', 'invalid_type'],
    [{ max_tokens: 0 }, 'max_tokens', 'invalid_value'],
    [{ max_completion_tokens: '9' }, 'max_completion_tokens', 'invalid_type'],
    [{ audio: { voice: 'x' } }, 'audio', 'unsupported_parameter'],
    [{ modalities: ['text', 'audio'] }, 'modalities', 'unsupported_parameter'],
    [{ functions: [] }, 'functions', 'unsupported_parameter'],
    [{ extra_body: { x: 1 } }, 'extra_body.x', 'unknown_parameter'],
    [{ messages: undefined }, 'messages', 'missing_required_parameter'],
    [{ messages: [] }, 'messages', 'invalid_value'],
    [{ messages: [{ role: 'assistant' }] }, 'messages[0].content', 'missing_required_parameter'],
    [
      { messages: [USER, { role: 'tool', content: '1' }] },
      'messages[1].tool_call_id',
      'missing_required_parameter',
    ],
    [
      { messages: [USER, { role: 'tool', content: '1', tool_call_id: 'no' }] },
      'messages[1].tool_call_id',
      'invalid_value',
    ],
    [
      { messages: [USER, { role: 'assistant', tool_calls: [{ id: 'a', function: { name: 'f' } }] }] },
      'messages[1].tool_calls[0].function.arguments',
      'missing_required_parameter',
    ],
    [{ response_format: { type: 'xml' } }, 'response_format.type', 'invalid_value'],
    [
      { response_format: { type: 'json_schema' } },
      'response_format.json_schema',
      'missing_required_parameter',
    ],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'a b', schema: {} } } },
      'response_format.json_schema.name',
      'invalid_value',
    ],
    [{ response_format: { type: 'json_object', schema: '{' } }, 'response_format.schema', 'invalid_value'],
    [{ response_format: { type: 'regex' } }, 'response_format.regex', 'missing_required_parameter'],
    [{ response_format: { type: 'text', schema: '{}' } }, 'response_format.schema', 'unknown_parameter'],
    [{ response_format: { type: 'json_object' }, ignore_eos: true }, 'ignore_eos', 'invalid_value'],
    [{ tools: [{ type: 'custom' }] }, 'tools[0].type', 'invalid_value'],
    [{ tools: [TOOL, TOOL] }, 'tools', 'invalid_value'],
    [
      { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'array' } } }] },
      'tools[0].function.parameters.type',
      'invalid_value',
    ],
    [{ tool_choice: 'required' }, 'tool_choice', 'invalid_value'],
    [{ tools: [TOOL], tool_choice: 'maybe' }, 'tool_choice', 'invalid_value'],
    [
      { tools: [TOOL], tool_choice: { type: 'function', function: { name: 'g' } } },
      'tool_choice.function.name',
      'invalid_value',
    ],
    [{ reasoning_format: 'loud' }, 'reasoning_format', 'invalid_value'],
    [{ continue_final_message: true }, 'continue_final_message', 'invalid_value'],
  ])('refuses %j', (request, param, code) => {
    expect(refusal(() => parse(request))).toEqual({ status: 400, param, code });
  });

  it('does not answer for another model', () => {
    expect(refusal(() => parse({ model: 'gpt-4o' }))).toEqual({
      status: 404,
      param: 'model',
      code: 'model_not_found',
    });
  });

  it('tells the model of the functions where its system message ends, or in one of its own', () => {
    const alone = parse({ tools: [TOOL] }).messages;
    expect(alone.map(({ role }) => role)).toEqual(['system', 'user']);
    expect(alone[0]?.content).toContain('{"type":"function","function":{"name":"f","description":"Does f."');
    const added = parse({
      messages: [{ role: 'developer', content: 'Be brief.' }, USER],
      tools: [TOOL],
      tool_choice: 'required',
    }).messages;
    expect(added.map(({ role }) => role)).toEqual(['developer', 'user']);
    expect(added[0]?.content).toMatch(/^Be brief\.\n\n# Tools[^]*Answer by calling f\.$/);
  });

  it('writes calls and their results as text that the template knows', () => {
    const { messages } = parse({
      messages: [
        USER,
        {
          role: 'assistant',
          content: null,
          tool_calls: ['1', '2'].map((id) => ({
            id,
            type: 'function',
            function: { name: 'f', arguments: `{"a": ${id}}` },
          })),
        },
        { role: 'tool', tool_call_id: '1', content: 'one' },
        { role: 'tool', tool_call_id: '2', content: [{ type: 'text', text: 'two' }] },
        { role: 'user', content: 'And?' },
      ],
    });
    expect(messages).toEqual([
      USER,
      {
        role: 'assistant',
        content:
          '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>\n' +
          '<tool_call>\n{"name": "f", "arguments": {"a": 2}}\n</tool_call>',
      },
      {
        role: 'user',
        content: '<tool_response>\none\n</tool_response>\n<tool_response>\ntwo\n</tool_response>',
      },
      { role: 'user', content: 'And?' },
    ]);
  });

  it.each<[object, object]>([
    [{}, { mode: 'auto', parallel: true }],
    [
      { tool_choice: 'required', parallel_tool_calls: false },
      { mode: 'required', parallel: false },
    ],
    [
      { tool_choice: { type: 'function', function: { name: 'f' } } },
      { mode: 'required', parallel: false, tools: [{ begin: '<tool_call>\n{"name": "f", "arguments": ' }] },
    ],
    [
      {
        tool_choice: {
          type: 'allowed_tools',
          allowed_tools: { mode: 'required', tools: [{ type: 'function', function: { name: 'f' } }] },
        },
      },
      { mode: 'required', tools: [{}] },
    ],
    [{ response_format: { type: 'json_object' } }, { mode: 'auto', otherwise: { kind: 'json-schema' } }],
  ])('makes a form of the functions for %j', (request, grammar) => {
    const plan = parse({ tools: [TOOL], ...request });
    expect(plan.grammar).toMatchObject({ kind: 'tool-calls', ...grammar });
    expect(plan.form.hasCalls).toBe(true);
  });

  it('lets no function be called with "none", and still holds the answer to its form', () => {
    const plan = parse({ tools: [TOOL], tool_choice: 'none', response_format: { type: 'json_object' } });
    expect(plan.grammar).toMatchObject({ kind: 'json-schema' });
    expect(plan.form.hasCalls).toBe(false);
  });
});

describe('parseCompletionRequest', () => {
  const parseText = (request: object) => parseCompletionRequest(request as CompletionRequest, MODEL);

  it.each<[unknown, unknown]>([
    ['a', ['a']],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
    [[1, 2], [[1, 2]]],
    [
      [[1], [2, 3]],
      [[1], [2, 3]],
    ],
  ])('takes the prompt %j', (prompt, prompts) => {
    expect(parseText({ prompt }).prompts).toEqual(prompts);
  });

  it('takes both spellings of log-probabilities', () => {
    expect(parseText({ prompt: 'a', logprobs: 3 }).options).toMatchObject({
      logprobs: true,
      top_logprobs: 3,
    });
    expect(parseText({ prompt: 'a', logprobs: true, top_logprobs: 2 }).options).toMatchObject({
      logprobs: true,
      top_logprobs: 2,
    });
    expect(parseText({ prompt: 'a' })).toMatchObject({ logprobs: false, options: { max_tokens: 16 } });
  });

  it.each<[object, string, string]>([
    [{}, 'prompt', 'missing_required_parameter'],
    [{ prompt: [] }, 'prompt', 'invalid_value'],
    [{ prompt: [1, 'a'] }, 'prompt', 'invalid_value'],
    [{ prompt: 'a', suffix: 'b' }, 'suffix', 'unsupported_parameter'],
    [{ prompt: 'a', best_of: 2 }, 'best_of', 'unsupported_parameter'],
    [{ prompt: 'a', messages: [] }, 'messages', 'unknown_parameter'],
    [{ prompt: 'a', logprobs: 21 }, 'logprobs', 'invalid_value'],
    [{ prompt: 'a', top_logprobs: 2 }, 'top_logprobs', 'invalid_value'],
  ])('refuses %j', (request, param, code) => {
    expect(refusal(() => parseText(request))).toEqual({ status: 400, param, code });
  });
});
