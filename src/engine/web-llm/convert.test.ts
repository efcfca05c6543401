import type { ChatCompletionChunk } from '@mlc-ai/web-llm';
import { expect, it } from 'vitest';
import type { EngineInfo } from '../engine.ts';
import { toChatRequest, toMlcUsage, WholeCalls } from './convert.ts';

const INFO = { contextWindow: 100, vocabularySize: 50 } as EngineInfo;

it('counts the tokens of a prompt that were computed, as web-llm does', () => {
  const usage = {
    prompt_tokens: 90,
    completion_tokens: 5,
    total_tokens: 95,
    prompt_tokens_details: { cached_tokens: 70 },
  };
  expect(toMlcUsage(usage, 0)).toMatchObject({ prompt_tokens: 20, completion_tokens: 5, total_tokens: 25 });
});

it('leaves out biases of tokens that the model has not', () => {
  const request = toChatRequest({ messages: [], logit_bias: { 49: 1, 50: -100, 46510: 5 } }, undefined, INFO);
  expect(request.logit_bias).toEqual({ 49: 1 });
});

it('takes results of calls that stand in no message for a user’s turn', () => {
  const call = { id: 'a', type: 'function' as const, function: { name: 'f', arguments: '{}' } };
  const known = [
    { role: 'assistant' as const, content: null, tool_calls: [call] },
    { role: 'tool' as const, tool_call_id: 'a', content: 'known' },
  ];
  const messages = [...known, { role: 'tool' as const, tool_call_id: '0', content: 'unknown' }];
  expect(toChatRequest({ messages }, undefined, INFO).messages).toEqual([
    ...known,
    { role: 'user', content: 'unknown' },
  ]);
});

it('gives calls whole, in the last chunk of their choice', () => {
  const calls = new WholeCalls();
  const hold = (delta: object, finish: 'tool_calls' | null = null) =>
    calls.hold({
      choices: [{ index: 0, delta, finish_reason: finish }],
    } as unknown as ChatCompletionChunk)?.choices[0]?.delta;
  const call = (index: number, text: string, name?: string) => ({
    tool_calls: [
      { index, ...(name && { id: `id ${name}` }), function: { ...(name && { name }), arguments: text } },
    ],
  });
  expect(hold({ content: 'I call.' })).toEqual({ content: 'I call.' });
  expect(hold(call(0, '', 'f'))).toBeUndefined();
  expect(hold(call(0, '{"a": '))).toBeUndefined();
  expect(hold({ content: 'x', ...call(0, '1}') })).toEqual({ content: 'x' });
  expect(hold(call(1, '{}', 'g'))).toBeUndefined();
  expect(hold({}, 'tool_calls')).toEqual({
    tool_calls: [
      { index: 0, id: 'id f', type: 'function', function: { name: 'f', arguments: '{"a": 1}' } },
      { index: 1, id: 'id g', type: 'function', function: { name: 'g', arguments: '{}' } },
    ],
  });
});
