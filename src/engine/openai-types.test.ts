/** Our requests and answers against the official package's own types: the type check fails where they drift apart. */
import type OpenAI from 'openai';
import type {
  ChatCompletionChunk as OpenAIChunk,
  ChatCompletion as OpenAIChatCompletion,
  ChatCompletionCreateParamsBase,
  ChatCompletionMessageParam,
  ChatCompletionTool,
  ChatCompletionToolChoiceOption,
} from 'openai/resources/chat/completions';
import { describe, expect, it } from 'vitest';
import { parseChatRequest } from './chat-request.ts';
import type {
  AnswerDelta,
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  Completion,
  CompletionRequest,
  ResponseFormat,
  Tool,
  ToolChoice,
} from './openai.ts';

/** OpenAI's lists may be written to; ours may not, so that a caller can give either. */
type Writable<T> = T extends (...args: never[]) => unknown
  ? T
  : T extends object
    ? { -readonly [Key in keyof T]: Writable<T[Key]> }
    : T;
/** A field that is undefined is one that is absent. */
type Loose<T> = T extends object
  ? { [Key in keyof T]: Loose<T[Key]> | (undefined extends T[Key] ? undefined : never) }
  : T;
type Assigned<From extends To, To> = From;

/** OpenAI has no `abort`, which only an interrupted answer has. */
type Finished<T> = T extends { finish_reason: infer Reason; choices?: never }
  ? Omit<T, 'finish_reason'> & { finish_reason: Exclude<Reason, 'abort'> }
  : T;
type FinishedAnswer<T extends { choices: { finish_reason: unknown }[] }> = Omit<T, 'choices'> & {
  choices: Finished<T['choices'][number]>[];
};

// Answers go to code that was written for OpenAI's.
export type Answers = [
  Assigned<FinishedAnswer<ChatCompletion>, OpenAIChatCompletion>,
  Assigned<FinishedAnswer<ChatCompletionChunk>, OpenAIChunk>,
  Assigned<AnswerDelta, OpenAIChunk.Choice.Delta>,
];
type CompletionAnswer = Omit<Completion, 'choices'> & {
  choices: (Omit<Completion['choices'][number], 'finish_reason'> & { finish_reason: 'stop' | 'length' })[];
};
export type TextAnswers = Assigned<CompletionAnswer, OpenAI.Completion>;

// Requests that were written for OpenAI's types come here, but for what is refused by name.
type PlainMessage =
  | OpenAI.ChatCompletionDeveloperMessageParam
  | OpenAI.ChatCompletionSystemMessageParam
  | OpenAI.ChatCompletionToolMessageParam
  | {
      role: 'user';
      content: string | (OpenAI.ChatCompletionContentPartText | OpenAI.ChatCompletionContentPartImage)[];
      name?: string;
    };
type Shared =
  | 'frequency_penalty'
  | 'logit_bias'
  | 'logprobs'
  | 'max_completion_tokens'
  | 'max_tokens'
  | 'metadata'
  | 'n'
  | 'parallel_tool_calls'
  | 'presence_penalty'
  | 'reasoning_effort'
  | 'seed'
  | 'service_tier'
  | 'stop'
  | 'store'
  | 'stream'
  | 'stream_options'
  | 'temperature'
  | 'top_logprobs'
  | 'top_p'
  | 'user'
  | 'verbosity';
export type Requests = [
  Assigned<PlainMessage, ChatMessage>,
  Assigned<Loose<Pick<ChatCompletionCreateParamsBase, Shared>>, Pick<ChatCompletionRequest, Shared>>,
  Assigned<OpenAI.ChatCompletionFunctionTool, Tool>,
  Assigned<Exclude<ChatCompletionToolChoiceOption, OpenAI.ChatCompletionNamedToolChoiceCustom>, ToolChoice>,
  Assigned<OpenAI.ResponseFormatJSONObject | OpenAI.ResponseFormatText, ResponseFormat>,
  Assigned<
    Loose<
      Pick<OpenAI.CompletionCreateParams, 'prompt' | 'echo' | 'logprobs' | 'max_tokens' | 'seed' | 'stop'>
    >,
    Pick<Partial<CompletionRequest>, 'echo' | 'logprobs' | 'max_tokens' | 'seed' | 'stop'>
  >,
];

// And ours, without extras, can be sent by OpenAI's client.
type OurUser = Writable<Extract<ChatMessage, { role: 'user' }>>;
export type Sent = [
  Assigned<
    Writable<Extract<ChatMessage, { role: 'system' | 'developer' | 'tool' }>>['role'],
    ChatCompletionMessageParam['role']
  >,
  Assigned<
    Exclude<OurUser['content'], object>,
    Extract<ChatCompletionMessageParam, { role: 'user' }>['content']
  >,
  Assigned<Tool['type'], ChatCompletionTool['type']>,
];

describe('requests that are typed by OpenAI', () => {
  it('are taken as they are', () => {
    const request: OpenAI.ChatCompletionCreateParamsStreaming = {
      model: 'tiny',
      messages: [
        { role: 'developer', content: 'Be brief.' },
        { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:,', detail: 'low' } }] },
        {
          role: 'assistant',
          tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'a', content: '1' },
      ],
      stream: true,
      stream_options: { include_usage: true },
      tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }],
      tool_choice: 'auto',
      max_completion_tokens: 4,
      seed: 1,
      n: 2,
      stop: ['a'],
      logprobs: true,
      top_logprobs: 20,
      response_format: { type: 'text' },
      reasoning_effort: 'low',
      service_tier: 'auto',
      prompt_cache_key: 'k',
    };
    const plan = parseChatRequest(request as ChatCompletionRequest, { model: 'tiny' });
    expect(plan).toMatchObject({ choiceCount: 2, stream: true, includeUsage: true, logprobs: true });
    expect(plan.messages).toHaveLength(4);
  });
});
