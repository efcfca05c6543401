import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamPart,
  LanguageModelV4StreamResult,
  LanguageModelV4Usage,
  SharedV4Warning,
} from '@ai-sdk/provider';
import type { Engine } from '../engine.ts';
import type {
  ChatCompletionChunk,
  ChatCompletionRequest,
  FinishReason,
  ResponseFormat,
  Tool,
  ToolChoice,
  Usage,
} from '../openai.ts';
import { toMessages } from './prompt.ts';

/** Fields of a chat request that the AI SDK has no option for; passed as `providerOptions.autoglm`. */
export type AutoglmProviderOptions = Pick<
  ChatCompletionRequest,
  'min_p' | 'repetition_penalty' | 'logit_bias' | 'ignore_eos' | 'parallel_tool_calls' | 'reasoning_format'
> & {
  /** Overrides the form that the AI SDK asks for: a regular expression, a grammar, a structural tag. */
  readonly response_format?: ResponseFormat;
};

/**
 * An engine as a language model of the AI SDK, by its specification v4:
 * `generateText({ model: createAutoglmModel(engine), prompt: … })`.
 *
 * Thinking is reported as reasoning; set `providerOptions.autoglm.reasoning_format` for another way.
 */
export function createAutoglmModel(engine: Engine): LanguageModelV4 {
  return new AutoglmLanguageModel(engine);
}

class AutoglmLanguageModel implements LanguageModelV4 {
  readonly specificationVersion = 'v4';
  readonly provider = 'autoglm';
  /** The engine reads images by itself, so that the SDK need not download them. */
  readonly supportedUrls = { 'image/*': [/^https?:/, /^blob:/] };
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get modelId(): string {
    return this.#engine.info.model;
  }

  async doGenerate(options: LanguageModelV4CallOptions): Promise<LanguageModelV4GenerateResult> {
    const { request, warnings } = toRequest(options);
    const completion = await this.#engine.chat.completions.create(
      { ...request, stream: false },
      toCallOptions(options),
    );
    const { message, finish_reason: finish } = completion.choices[0] ?? {};
    const content: LanguageModelV4Content[] = [];
    if (message?.reasoning_content) content.push({ type: 'reasoning', text: message.reasoning_content });
    if (message?.content) content.push({ type: 'text', text: message.content });
    for (const { id, function: called } of message?.tool_calls ?? []) {
      content.push({
        type: 'tool-call',
        toolCallId: id,
        toolName: called.name,
        input: called.arguments,
      });
    }
    return {
      content,
      finishReason: toFinishReason(finish),
      usage: toUsage(completion.usage),
      warnings,
      request: { body: request },
      response: {
        id: completion.id,
        modelId: completion.model,
        timestamp: new Date(completion.created * 1000),
      },
    };
  }

  async doStream(options: LanguageModelV4CallOptions): Promise<LanguageModelV4StreamResult> {
    const { request, warnings } = toRequest(options);
    const chunks = await this.#engine.chat.completions.create(
      { ...request, stream: true, stream_options: { include_usage: true } },
      toCallOptions(options),
    );
    const parts = toParts(chunks, warnings, options.includeRawChunks ?? false);
    const stream = new ReadableStream<LanguageModelV4StreamPart>({
      pull: async (controller) => {
        const next = await parts.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: async () => void (await parts.return(undefined)),
    });
    return { stream, request: { body: request } };
  }
}

/** Leaves the signal out where there is none: `undefined` is no value of it. */
function toCallOptions({ abortSignal: signal }: LanguageModelV4CallOptions): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}

function toRequest(options: LanguageModelV4CallOptions): {
  readonly request: ChatCompletionRequest;
  readonly warnings: SharedV4Warning[];
} {
  const warnings: SharedV4Warning[] = [];
  const tools = (options.tools ?? []).flatMap((tool): Tool[] => {
    if (tool.type !== 'function') {
      warnings.push({
        type: 'unsupported',
        feature: `tool "${tool.name}"`,
        details: 'It is the provider’s own.',
      });
      return [];
    }
    const { name, description, inputSchema, strict } = tool;
    const parameters = inputSchema as Tool['function']['parameters'];
    return [{ type: 'function', function: { name, description, parameters, strict } }];
  });
  const { autoglm } = options.providerOptions ?? {};
  const request: ChatCompletionRequest = {
    messages: toMessages(options.prompt),
    max_tokens: options.maxOutputTokens,
    temperature: options.temperature,
    top_p: options.topP,
    top_k: options.topK,
    presence_penalty: options.presencePenalty,
    frequency_penalty: options.frequencyPenalty,
    seed: options.seed,
    stop: options.stopSequences?.length ? options.stopSequences : undefined,
    response_format: toResponseFormat(options.responseFormat),
    reasoning_format: 'parsed',
    ...(tools.length > 0 && { tools, tool_choice: toToolChoice(options.toolChoice) }),
    ...(autoglm as AutoglmProviderOptions | undefined),
  };
  return { request, warnings };
}

function toResponseFormat(format: LanguageModelV4CallOptions['responseFormat']): ResponseFormat | undefined {
  if (format?.type !== 'json') return undefined;
  const { schema, name = 'response', description } = format;
  if (!schema) return { type: 'json_object' };
  const safeName = name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'response';
  return {
    type: 'json_schema',
    json_schema: { name: safeName, description, schema: schema as Readonly<Record<string, unknown>> },
  };
}

function toToolChoice(choice: LanguageModelV4CallOptions['toolChoice']): ToolChoice | undefined {
  if (choice?.type === 'tool') return { type: 'function', function: { name: choice.toolName } };
  return choice?.type;
}

/** Turns deltas into the SDK's parts: each text, reasoning or call begins and ends by name. */
async function* toParts(
  chunks: AsyncIterable<ChatCompletionChunk>,
  warnings: SharedV4Warning[],
  includeRaw: boolean,
): AsyncGenerator<LanguageModelV4StreamPart, void> {
  yield { type: 'stream-start', warnings };
  const blocks = new OpenBlocks();
  let finish: FinishReason | null | undefined;
  let usage: Usage | undefined;
  let isFirst = true;
  try {
    for await (const chunk of chunks) {
      if (includeRaw) yield { type: 'raw', rawValue: chunk };
      if (isFirst) {
        isFirst = false;
        const timestamp = new Date(chunk.created * 1000);
        yield { type: 'response-metadata', id: chunk.id, modelId: chunk.model, timestamp };
      }
      const [choice] = chunk.choices;
      if (choice) yield* blocks.take(choice.delta);
      finish = choice?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
  } catch (error) {
    // The SDK tells its caller, and ends the stream itself.
    yield { type: 'error', error };
    return;
  }
  yield* blocks.end();
  yield { type: 'finish', finishReason: toFinishReason(finish), usage: toUsage(usage) };
}

type Delta = ChatCompletionChunk['choices'][number]['delta'];
type ToolInput = { readonly id: string; readonly name: string; text: string };

/** What of an answer has begun and not ended. */
class OpenBlocks {
  #kind: 'text' | 'reasoning' | undefined;
  #count = 0;
  #call: ToolInput | undefined;

  *take(delta: Delta): Generator<LanguageModelV4StreamPart> {
    if (delta.reasoning_content) yield* this.#say('reasoning', delta.reasoning_content);
    if (delta.content) yield* this.#say('text', delta.content);
    for (const { id, function: called } of delta.tool_calls ?? []) {
      if (id !== undefined) {
        yield* this.end();
        this.#call = { id, name: called.name ?? '', text: '' };
        yield { type: 'tool-input-start', id, toolName: this.#call.name };
      }
      if (!this.#call || called.arguments === '') continue;
      this.#call.text += called.arguments;
      yield { type: 'tool-input-delta', id: this.#call.id, delta: called.arguments };
    }
  }

  *end(): Generator<LanguageModelV4StreamPart> {
    if (this.#kind) yield { type: `${this.#kind}-end`, id: String(this.#count) };
    this.#kind = undefined;
    const call = this.#call;
    if (!call) return;
    this.#call = undefined;
    yield { type: 'tool-input-end', id: call.id };
    yield { type: 'tool-call', toolCallId: call.id, toolName: call.name, input: call.text };
  }

  *#say(kind: 'text' | 'reasoning', delta: string): Generator<LanguageModelV4StreamPart> {
    if (this.#kind !== kind) {
      yield* this.end();
      this.#kind = kind;
      this.#count++;
      yield { type: `${kind}-start`, id: String(this.#count) };
    }
    yield { type: `${kind}-delta`, id: String(this.#count), delta };
  }
}

const FINISH_REASONS: Record<FinishReason, LanguageModelV4FinishReason['unified']> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool-calls',
  abort: 'interrupted',
};

function toFinishReason(reason: FinishReason | null | undefined): LanguageModelV4FinishReason {
  return { unified: reason ? FINISH_REASONS[reason] : 'other', raw: reason ?? undefined };
}

function toUsage(usage: Usage | undefined): LanguageModelV4Usage {
  const total = usage?.prompt_tokens;
  const cacheRead = usage?.prompt_tokens_details?.cached_tokens;
  const output = usage?.completion_tokens;
  const reasoning = usage?.completion_tokens_details?.reasoning_tokens;
  return {
    inputTokens: {
      total,
      noCache: total === undefined || cacheRead === undefined ? undefined : total - cacheRead,
      cacheRead,
      cacheWrite: undefined,
    },
    outputTokens: {
      total: output,
      text: output === undefined || reasoning === undefined ? undefined : output - reasoning,
      reasoning,
    },
  };
}
