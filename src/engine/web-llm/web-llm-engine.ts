import type {
  AppConfig,
  ChatCompletion as MlcChatCompletion,
  ChatCompletionChunk as MlcChunk,
  Completion as MlcCompletion,
  CompletionUsage,
  InitProgressReport,
  MLCEngineInterface,
} from '@mlc-ai/web-llm';
import { abortable } from '../../base/abortable.ts';
import { AutoglmError } from '../../base/errors.ts';
import { AnswerParser, type AnswerPart } from '../answer-parser.ts';
import type {
  CallOptions,
  ChatCompletions,
  Engine,
  EngineInfo,
  LoadPhase,
  LoadProgress,
  TextCompletions,
} from '../engine.ts';
import type { EngineOptions } from '../engine-options.ts';
import type {
  AnswerDelta,
  AnswerMessage,
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChoiceLogprobs,
  Completion,
  CompletionLogprobs,
  CompletionRequest,
  FinishReason,
  RankedTokenText,
  ToolCall,
  Usage,
} from '../openai.ts';
import { TurnQueue } from '../turn-queue.ts';
import { loadOriginal } from './load-original.ts';
import { toOriginalFault } from './original-fault.ts';
import { toOriginalChat, toOriginalText, type OriginalChat, type OriginalText } from './original-request.ts';

/** Where web-llm's list and ours say nothing: what most of its models have. */
const DEFAULT_CONTEXT = 4096;

/**
 * Loads any model of web-llm on web-llm itself, which is fetched only now, behind this package's interface.
 *
 * @throws AutoglmError `model-unknown`, `webgpu-unavailable`, `limit-exceeded`, `network` and whatever web-llm meets
 *   as `internal`; the signal's reason
 */
export async function openWebLlmEngine(options: EngineOptions): Promise<Engine> {
  const { model, webLlm = {}, signal, onProgress, contextWindow } = options;
  signal?.throwIfAborted();
  const { prebuiltAppConfig } = await import('./web-llm-library.ts');
  const appConfig: AppConfig = webLlm.appConfig ?? prebuiltAppConfig;
  const record = appConfig.model_list.find(({ model_id: id }) => id === model);
  if (typeof model !== 'string' || !record) {
    throw new AutoglmError('model-unknown', `web-llm has no model "${String(model)}".`, {
      value: model,
      limit: 'a model_id of webLlm.appConfig.model_list',
      param: 'model',
      cure: 'Use a model_id of web-llm, or add a record to webLlm.appConfig.',
    });
  }
  onProgress?.({ phase: 'checking', loadedBytes: 0, totalBytes: 0, bytesPerSecond: 0 });
  // Web-llm would find out only after it had fetched the model's library.
  const worker = webLlm.createWorker?.();
  if (!worker) await requireAdapter(signal);
  const chatOptions = {
    ...webLlm.chatOptions,
    ...(contextWindow !== undefined && { context_window_size: contextWindow }),
  };
  try {
    const original = await loadOriginal([model], {
      appConfig,
      chatOptions,
      worker,
      signal,
      onProgress: (report) => onProgress?.(toLoadProgress(report)),
    });
    const vendor = await original.getGPUVendor().catch(() => '');
    const info: EngineInfo = {
      model,
      backend: 'web-llm',
      adapter: vendor || 'WebGPU',
      isSoftware: false,
      contextWindow:
        chatOptions.context_window_size ?? record.overrides?.context_window_size ?? DEFAULT_CONTEXT,
      gpuBytes: (record.vram_required_MB ?? 0) * 1e6,
      quantization: /q\d+f\d+(?:_\d)?/.exec(model)?.[0] ?? '',
      reason: { code: 'asked-for', text: 'The page asks for web-llm.' },
    };
    onProgress?.({ phase: 'ready', loadedBytes: 1, totalBytes: 1, bytesPerSecond: 0 });
    return new WebLlmEngine(original, info, () => worker?.terminate());
  } catch (error) {
    worker?.terminate();
    signal?.throwIfAborted();
    throw toOriginalFault(error, 'internal');
  }
}

async function requireAdapter(signal: AbortSignal | undefined): Promise<void> {
  const adapter = await (globalThis.navigator as Navigator | undefined)?.gpu?.requestAdapter();
  signal?.throwIfAborted();
  if (adapter) return;
  throw new AutoglmError('webgpu-unavailable', 'This browser offers no WebGPU adapter.', {
    cure: 'Use a browser with WebGPU, and switch hardware acceleration on.',
  });
}

/** What a stream is called and where it belongs. */
interface Header {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

/** What ends a request, from when it was made on. */
interface Stops {
  /** Throws. */
  readonly signal: AbortSignal;
  /** Keeps what there is. */
  readonly interrupt: AbortSignal;
}

type ChatChoiceChunk = ChatCompletionChunk['choices'][number];
type TextChoice = Completion['choices'][number];

/** What all of web-llm's streams give. */
interface OriginalPiece {
  readonly choices: readonly { readonly finish_reason: FinishReason | null }[];
  readonly usage?: CompletionUsage | null;
}

/** What the streams of chats and of texts do not share. */
interface Telling<Piece extends OriginalPiece, Choice, Chunk> {
  /** Asks web-llm for a choice. */
  readonly open: (index: number) => Promise<AsyncIterable<Piece>>;
  /** How a choice is told: its beginning, each piece, and its end. */
  readonly tell: (index: number) => {
    readonly begin: readonly Choice[];
    readonly toChoices: (choice: Piece['choices'][number]) => readonly Choice[];
    readonly end: (finish: FinishReason) => Choice;
  };
  readonly toChunk: (choices: Choice[], usage?: Usage) => Chunk;
}

/** How a choice's pieces ended: by themselves, or before they began. */
type Ended = 'told' | 'interrupted';

/** Web-llm's engine behind this package's interface. It gives one answer at a time; others wait in order. */
export class WebLlmEngine implements Engine {
  readonly info: EngineInfo;
  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: TextCompletions;
  readonly #original: MLCEngineInterface;
  readonly #end: () => void;
  readonly #turns = new TurnQueue();
  readonly #unloading = new AbortController();
  #interrupt = new AbortController();

  constructor(original: MLCEngineInterface, info: EngineInfo, end: () => void = () => {}) {
    this.#original = original;
    this.info = info;
    this.#end = end;
    const create = async (request: ChatCompletionRequest, options: CallOptions = {}) => {
      const stops = this.#stops(options.signal);
      const chat = await toOriginalChat(request, this.info, stops.signal);
      return request.stream ? this.#streamChat(chat, stops) : this.#completeChat(chat, stops);
    };
    this.chat = { completions: { create: create as ChatCompletions['create'] } };
    const complete = async (request: CompletionRequest, options: CallOptions = {}) => {
      const stops = this.#stops(options.signal);
      const text = toOriginalText(request, this.info);
      return request.stream ? this.#streamText(text, stops) : this.#completeText(text, stops);
    };
    this.completions = { create: complete as TextCompletions['create'] };
  }

  /** Ends all answers that are being given or wait, as complete as they are. */
  interruptGenerate(): void {
    this.#interrupt.abort();
    this.#interrupt = new AbortController();
    void this.#original.interruptGenerate();
  }

  async unload(): Promise<void> {
    if (this.#unloading.signal.aborted) return;
    this.#unloading.abort(
      new AutoglmError('engine-unloaded', 'This engine was unloaded.', { cure: 'Create a new one.' }),
    );
    try {
      // An answer that is being given holds what would be freed.
      const leave = await this.#turns.enter();
      leave();
      await this.#original.unload();
    } finally {
      this.#end();
    }
  }

  #streamChat({ plan, request }: OriginalChat, stops: Stops): AsyncGenerator<ChatCompletionChunk> {
    const header = this.#createHeader('chatcmpl');
    return this.#stream<MlcChunk, ChatChoiceChunk, ChatCompletionChunk>(plan, stops, {
      open: (index) => this.#original.chatCompletion({ ...request, seed: seedOf(request.seed, index) }),
      tell: (index) => {
        const parser = new AnswerParser({ hasReasoning: plan.form.hasReasoning, hasCalls: false });
        return {
          begin: [{ index, delta: { role: 'assistant', content: '' }, finish_reason: null }],
          toChoices: ({ delta, finish_reason: finish, logprobs: told }) => {
            const parts = parser.push(delta.content ?? '');
            if (finish) parts.push(...parser.flush());
            const logprobs = toLogprobs(told);
            const deltas = [...toDeltas(parts, plan.hidesReasoning), ...toCallDeltas(delta.tool_calls)];
            const shown = deltas.length === 0 && logprobs ? [{ content: '' }] : deltas;
            return shown.map((one, at) => ({
              index,
              delta: one,
              finish_reason: null,
              logprobs: (at === 0 && logprobs) || null,
            }));
          },
          end: (finish) => ({ index, delta: {}, finish_reason: finish }),
        };
      },
      toChunk: (choices, usage) => ({
        ...header,
        object: 'chat.completion.chunk',
        choices,
        ...(usage && { usage }),
      }),
    });
  }

  async #completeChat(chat: OriginalChat, stops: Stops): Promise<ChatCompletion> {
    const choices: ChatCompletion['choices'] = [];
    const plan = { ...chat.plan, includeUsage: true };
    let header: Header | undefined;
    let usage = toUsage([]);
    for await (const chunk of this.#streamChat({ ...chat, plan }, stops)) {
      header ??= { id: chunk.id, created: chunk.created, model: chunk.model };
      usage = chunk.usage ?? usage;
      for (const choice of chunk.choices) {
        const before = choices[choice.index] ?? emptyChoice(choice.index);
        choices[choice.index] = addDelta(before, choice);
      }
    }
    return { ...(header as Header), object: 'chat.completion', choices, usage };
  }

  #streamText({ plan, request }: OriginalText, stops: Stops): AsyncGenerator<Completion> {
    const header = this.#createHeader('cmpl');
    return this.#stream<MlcCompletion, TextChoice, Completion>(plan, stops, {
      open: (index) => this.#original.completion({ ...request, seed: seedOf(request.seed, index) }),
      tell: (index) => {
        let offset = 0;
        return {
          begin: [],
          toChoices: ({ text, logprobs: told }) => {
            const logprobs = toTextLogprobs(told, offset);
            offset += text.length;
            return text === '' && !logprobs ? [] : [{ index, text, finish_reason: null, logprobs }];
          },
          end: (finish) => ({
            index,
            text: '',
            finish_reason: finish === 'tool_calls' ? 'stop' : finish,
            logprobs: null,
          }),
        };
      },
      toChunk: (choices, usage) => ({
        ...header,
        object: 'text_completion',
        choices,
        ...(usage && { usage }),
      }),
    });
  }

  async #completeText(text: OriginalText, stops: Stops): Promise<Completion> {
    const choices: Completion['choices'] = [];
    const plan = { ...text.plan, includeUsage: true };
    let last: Completion | undefined;
    for await (const chunk of this.#streamText({ ...text, plan }, stops)) {
      last = chunk;
      for (const { index, text: said, finish_reason: finish, logprobs } of chunk.choices) {
        const before = choices[index] ?? { index, text: '', finish_reason: null, logprobs: null };
        choices[index] = {
          index,
          text: before.text + said,
          finish_reason: finish ?? before.finish_reason,
          logprobs: joinTextLogprobs(before.logprobs, logprobs),
        };
      }
    }
    return { ...(last as Completion), choices };
  }

  /** All choices, one after the other as web-llm answers, and what they took. */
  async *#stream<Piece extends OriginalPiece, Choice, Chunk>(
    plan: Pick<OriginalChat['plan'], 'choiceCount' | 'includeUsage'>,
    stops: Stops,
    { open, tell, toChunk }: Telling<Piece, Choice, Chunk>,
  ): AsyncGenerator<Chunk> {
    const usages: CompletionUsage[] = [];
    for (let index = 0; index < plan.choiceCount; index++) {
      const { begin, toChoices, end } = tell(index);
      for (const choice of begin) yield toChunk([choice]);
      const pieces = this.#pieces(() => open(index), stops);
      let finish: FinishReason = 'abort';
      try {
        for (let next = await pieces.next(); !next.done; next = await pieces.next()) {
          const { choices, usage } = next.value;
          if (usage) usages.push(usage);
          const [choice] = choices;
          if (!choice) continue;
          for (const one of toChoices(choice)) yield toChunk([one]);
          finish = choice.finish_reason ?? finish;
        }
      } finally {
        await pieces.return('told');
      }
      yield toChunk([end(finish)]);
    }
    if (plan.includeUsage) yield toChunk([], toUsage(usages));
  }

  /**
   * The pieces of one answer of web-llm, in turn. A reader that leaves waits until the work has ended; an abort
   * does not, as web-llm cannot stop in a prefill: the next answer does.
   */
  async *#pieces<Piece>(
    open: () => Promise<AsyncIterable<Piece>>,
    { signal, interrupt }: Stops,
  ): AsyncGenerator<Piece, Ended> {
    let leave: () => void;
    try {
      leave = await this.#turns.enter(AbortSignal.any([signal, interrupt]));
    } catch (error) {
      signal.throwIfAborted();
      if (interrupt.aborted) return 'interrupted';
      throw error;
    }
    let pieces: AsyncIterator<Piece> | undefined;
    let isOver = false;
    try {
      signal.throwIfAborted();
      if (interrupt.aborted) return 'interrupted';
      pieces = (await open())[Symbol.asyncIterator]();
      for (;;) {
        const next = await abortable(pieces.next(), signal);
        if (next.done) break;
        yield next.value;
      }
      isOver = true;
      return 'told';
    } catch (error) {
      signal.throwIfAborted();
      isOver = true;
      throw toOriginalFault(error, 'request-invalid');
    } finally {
      if (!pieces || isOver) leave();
      else {
        const stopping = this.#stop(pieces).finally(leave);
        if (!signal.aborted) await stopping;
      }
    }
  }

  async #stop(pieces: AsyncIterator<unknown>): Promise<void> {
    try {
      await this.#original.interruptGenerate();
      await pieces.return?.();
    } catch {
      // Nobody reads it any more.
    }
  }

  #createHeader(prefix: string): Header {
    return {
      id: `${prefix}-${crypto.randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      model: this.info.model,
    };
  }

  #stops(signal: AbortSignal | undefined): Stops {
    const unloading = this.#unloading.signal;
    unloading.throwIfAborted();
    signal?.throwIfAborted();
    return {
      signal: signal ? AbortSignal.any([unloading, signal]) : unloading,
      interrupt: this.#interrupt.signal,
    };
  }
}

/** Choice `i` of several has `seed + i`, as on the package's own engine. */
function seedOf(seed: number | null | undefined, index: number): number | null {
  return typeof seed === 'number' ? seed + index : null;
}

function toDeltas(parts: readonly AnswerPart[], hidesReasoning: boolean): AnswerDelta[] {
  return parts.flatMap((part): AnswerDelta[] => {
    if (part.type === 'content') return [{ content: part.text }];
    if (part.type !== 'reasoning' || hidesReasoning) return [];
    return [{ reasoning_content: part.text }];
  });
}

function toCallDeltas(calls: MlcChunk.Choice.Delta['tool_calls']): AnswerDelta[] {
  return (calls ?? []).map(({ index, id, function: called }) => ({
    tool_calls: [
      {
        index,
        // Web-llm's ids are places in the list: they must be told apart over a whole conversation.
        id: `call_${id ?? index}_${crypto.randomUUID().slice(0, 8)}`,
        type: 'function',
        function: { ...(called?.name && { name: called.name }), arguments: called?.arguments ?? '' },
      },
    ],
  }));
}

function emptyChoice(index: number): ChatCompletion['choices'][number] {
  const message: AnswerMessage = { role: 'assistant', content: '', refusal: null };
  return { index, message, finish_reason: 'abort', logprobs: null };
}

function addDelta(
  before: ChatCompletion['choices'][number],
  { delta, finish_reason: finish, logprobs }: ChatCompletionChunk['choices'][number],
): ChatCompletion['choices'][number] {
  const { message } = before;
  const calls = (delta.tool_calls ?? []).map(({ id = '', function: called }): ToolCall => ({
    id,
    type: 'function',
    function: { name: called.name ?? '', arguments: called.arguments },
  }));
  const reasoning = `${message.reasoning_content ?? ''}${delta.reasoning_content ?? ''}`;
  const allCalls = [...(message.tool_calls ?? []), ...calls];
  const content = [...(before.logprobs?.content ?? []), ...(logprobs?.content ?? [])];
  return {
    index: before.index,
    message: {
      role: 'assistant',
      content: message.content + (delta.content ?? ''),
      refusal: null,
      ...(allCalls.length > 0 && { tool_calls: allCalls }),
      ...(reasoning !== '' && { reasoning_content: reasoning }),
    },
    finish_reason: finish ?? before.finish_reason,
    logprobs: content.length > 0 ? { content, refusal: null } : null,
  };
}

type MlcLogprobs = MlcChatCompletion.Choice.Logprobs | null | undefined;

/** Web-llm tells no ids of tokens: -1. */
const NO_ID = -1;

function toLogprobs(logprobs: MlcLogprobs): ChoiceLogprobs | undefined {
  if (!logprobs?.content) return undefined;
  const toRanked = (one: { token: string; logprob: number; bytes: number[] | null }): RankedTokenText => ({
    token: one.token,
    bytes: one.bytes ?? [],
    token_id: NO_ID,
    logprob: one.logprob,
  });
  return {
    content: logprobs.content.map((one) => ({
      ...toRanked(one),
      top_logprobs: one.top_logprobs.map(toRanked),
    })),
    refusal: null,
  };
}

function toTextLogprobs(logprobs: MlcLogprobs, offset: number): CompletionLogprobs | null {
  if (!logprobs?.content) return null;
  let at = offset;
  return {
    tokens: logprobs.content.map(({ token }) => token),
    token_logprobs: logprobs.content.map(({ logprob }) => logprob),
    top_logprobs: logprobs.content.map(({ top_logprobs: top }) =>
      Object.fromEntries(top.map(({ token, logprob }) => [token, logprob])),
    ),
    token_ids: logprobs.content.map(() => NO_ID),
    text_offset: logprobs.content.map(({ token }) => (at += token.length) - token.length),
  };
}

function joinTextLogprobs(
  before: CompletionLogprobs | null,
  added: CompletionLogprobs | null,
): CompletionLogprobs | null {
  if (!before || !added) return before ?? added;
  return {
    tokens: [...before.tokens, ...added.tokens],
    token_logprobs: [...before.token_logprobs, ...added.token_logprobs],
    top_logprobs: [...before.top_logprobs, ...added.top_logprobs],
    token_ids: [...before.token_ids, ...added.token_ids],
    text_offset: [...before.text_offset, ...added.text_offset],
  };
}

/** What all choices took; the prompt counts once. */
function toUsage(usages: readonly CompletionUsage[]): Usage {
  const [first] = usages;
  const prompt = first?.prompt_tokens ?? 0;
  const completion = usages.reduce((sum, { completion_tokens: count }) => sum + count, 0);
  const { prefill_tokens_per_s: prefillSpeed = 0, decode_tokens_per_s: decodeSpeed = 0 } = first?.extra ?? {};
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    ...(first && {
      extra: {
        visionMs: 0,
        prefillMs: prefillSpeed > 0 ? (prompt * 1000) / prefillSpeed : 0,
        timeToFirstTokenMs: (first.extra?.time_to_first_token_s ?? 0) * 1000,
        decodeMs: decodeSpeed > 0 ? (first.completion_tokens * 1000) / decodeSpeed : 0,
        decodeTokensPerSecond: decodeSpeed,
      },
    }),
  };
}

const PHASES: readonly (readonly [RegExp, LoadPhase])[] = [
  [/^Fetching param cache/, 'downloading'],
  [/^Loading model from cache/, 'uploading'],
  [/shader/i, 'compiling'],
];

/** Web-llm's report is a share and a sentence, such as `Fetching param cache[3/22]: 84MB fetched. 12% completed`. */
export function toLoadProgress({ progress, text, timeElapsed }: InitProgressReport): LoadProgress {
  // Only `openWebLlmEngine` knows when all is ready.
  const phase = PHASES.find(([form]) => form.test(text))?.[1] ?? 'checking';
  const megabytes = /: (\d+)MB (?:fetched|loaded)/.exec(text)?.[1];
  const loadedBytes = megabytes === undefined ? progress * 1e6 : Number(megabytes) * 1e6;
  const totalBytes = progress > 0 ? Math.round(loadedBytes / progress) : 0;
  return {
    phase,
    loadedBytes,
    totalBytes: megabytes === undefined ? 1e6 : totalBytes,
    bytesPerSecond: timeElapsed > 0 && megabytes !== undefined ? loadedBytes / timeElapsed : 0,
  };
}
